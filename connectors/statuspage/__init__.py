"""Statuspage: a declaration, see README.md."""
