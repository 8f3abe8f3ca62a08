"""Datadog: a declaration, see README.md."""
