"""Typeform: a declaration, see README.md."""
