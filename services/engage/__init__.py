"""What customers touch: links, opens, unsubscribing and preferences."""
