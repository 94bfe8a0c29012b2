"""`todoke slo`: service levels of a store, and what follows from them."""
