"""A real Kafka for the connectors' tests: the one named by CSF_TEST_BOOTSTRAP, or an embedded one."""

import os

import pytest

from agents.topics import ensure_topics, topic_specs
from cli.embedded.kafka import EmbeddedKafka, free_port
from tests.connectors.desk import quick  # noqa: F401 - a fixture
from tests.connectors.dropping import drop  # noqa: F401 - a fixture
from tests.connectors.pulling import benches_cleared  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory):
    if "CSF_TEST_BOOTSTRAP" in os.environ:
        address = os.environ["CSF_TEST_BOOTSTRAP"]
        ensure_topics(address, topic_specs(group="test", partitions=2))
        yield address
        return
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), free_port())
    kafka.start()
    ensure_topics(kafka.bootstrap, topic_specs(group="test", partitions=2))
    yield kafka.bootstrap
    kafka.stop()
