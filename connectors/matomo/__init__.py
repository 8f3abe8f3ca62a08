"""Matomo: a declaration, see README.md."""
