"""Zendesk: a declaration, see README.md."""
