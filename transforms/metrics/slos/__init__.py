"""What service levels come to, by the metrics of a store."""
