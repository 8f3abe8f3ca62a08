"""The engine of the pull connectors: a connector is a declaration in YAML, everything else stands here once."""
