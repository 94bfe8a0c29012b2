"""What the product does, one folder a concern. Each imports only those above it in docs/explanation/code-map.md."""
