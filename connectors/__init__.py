"""Sources: what brings events into Kafka."""
