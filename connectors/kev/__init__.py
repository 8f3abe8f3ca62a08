"""CISA KEV: a declaration, see README.md."""
