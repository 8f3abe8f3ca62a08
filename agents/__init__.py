"""Faust agents and the console: the I/O around the pure core."""
