"""Push and e-mail, the outbox, the ledger, and Deliver."""
