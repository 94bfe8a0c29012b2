"""What the product does, one folder a concern; each folder imports only folders above it in docs/explanation/code-map.md."""
