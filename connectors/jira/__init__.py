"""Jira Service Management: a declaration, see README.md."""
