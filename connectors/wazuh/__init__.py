"""Wazuh: a declaration, see README.md."""
