"""A real Kafka for the tests of connectors with real systems."""

from __future__ import annotations

import pytest

from agents.topics import ensure_topics, topic_specs
from cli.embedded.kafka import EmbeddedKafka, free_port
from tests.connectors.pulling import benches_cleared  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory):
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), free_port())
    kafka.start()
    ensure_topics(kafka.bootstrap, topic_specs(group="test", partitions=2))
    yield kafka.bootstrap
    kafka.stop()
