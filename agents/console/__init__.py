"""The built-in page and JSON API over the KPI store."""
