"""PagerDuty: a declaration, see README.md."""
