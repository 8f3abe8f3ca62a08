"""Ingest and rollup as pure state machines over positions in a log."""
