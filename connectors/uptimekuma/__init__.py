"""Uptime Kuma: a declaration, see README.md."""
