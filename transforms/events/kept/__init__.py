"""Dead letters that the store keeps for a while."""
