"""Alerting: conditions over KPI values, the state of every rule and scope, and who is told of what and when."""
