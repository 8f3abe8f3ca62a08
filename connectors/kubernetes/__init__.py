"""Kubernetes: a declaration, see README.md, and what tells from its pods when a rescale was done."""
