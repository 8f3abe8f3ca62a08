"""Panes, rolling windows, calendar periods and clocks."""
