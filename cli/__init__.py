"""The csf command: the composition root."""
