"""The proofs of docs/reliability.md: the whole live job, killed and cut off, and compared with an oracle."""
