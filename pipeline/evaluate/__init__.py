"""From values to status, score and target state."""
