"""Aggregators: pure folds with versioned, mergeable state."""
