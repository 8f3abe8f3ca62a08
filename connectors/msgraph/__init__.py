"""Microsoft Graph security incidents: a declaration, see README.md."""
