"""Freshservice: a declaration, see README.md."""
