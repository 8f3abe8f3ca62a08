"""Tables and queries of databases, read as pull connectors read an API: declared in YAML, by time and id, without a hole."""
