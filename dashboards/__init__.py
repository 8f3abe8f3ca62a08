"""Dashboards generated from the catalogue."""
