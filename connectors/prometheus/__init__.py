"""Prometheus: a declaration, see README.md."""
