"""GitLab: a declaration, see README.md."""
