"""MLflow: a declaration, see README.md."""
