"""ServiceNow: a declaration, see README.md."""
