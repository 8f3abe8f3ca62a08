"""GitHub: a declaration, see README.md."""
