"""Gatus: a declaration, see README.md."""
