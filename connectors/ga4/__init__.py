"""Google Analytics 4: a declaration, see README.md."""
