"""The embedded default: real Kafka and the pipeline's processes on one machine, on one data directory."""
