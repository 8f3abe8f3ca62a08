"""Qualtrics: a declaration, see README.md."""
