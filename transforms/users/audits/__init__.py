"""An audit of a store's memberships on any runner."""
