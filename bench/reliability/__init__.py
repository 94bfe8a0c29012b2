"""The proofs of docs/reliability.md: the live job whole, killed and cut off, and held against an oracle."""
