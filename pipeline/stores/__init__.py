"""The KPI store port and its adapters."""
