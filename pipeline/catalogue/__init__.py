"""CSFs, KPIs, targets, services and goals as data."""
