"""Memberships of a history by columns, on any runner."""
