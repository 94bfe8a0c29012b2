"""The state machine live on one machine: users are kept in its process, by shard."""
