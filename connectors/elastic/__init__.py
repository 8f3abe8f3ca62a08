"""Elastic Security: a declaration, see README.md."""
