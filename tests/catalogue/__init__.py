"""Tests of the catalogue: expressions, loading, the built-in entries, generated documents."""
