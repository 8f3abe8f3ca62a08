"""Plausible: a declaration, see README.md."""
