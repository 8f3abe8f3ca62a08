"""Kafka for the agents' tests: the one named by CSF_TEST_BOOTSTRAP, or the embedded one."""

import os

import pytest

from cli.embedded.kafka import EmbeddedKafka, free_port
from tests.agents.harness import Feeder, Worker, fresh_topics


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory):
    if "CSF_TEST_BOOTSTRAP" in os.environ:
        yield os.environ["CSF_TEST_BOOTSTRAP"]
        return
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), free_port())
    kafka.start()
    yield kafka.bootstrap
    kafka.stop()


@pytest.fixture
def group(bootstrap):
    fresh_topics(bootstrap, "test")
    return "test"


@pytest.fixture
def workers(bootstrap, group, tmp_path):
    """Start workers; whatever is left of them is ended."""
    started = []

    def start(**settings):
        worker = Worker(bootstrap, tmp_path, group=group, **settings)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def feeder(bootstrap, group):
    feeder = Feeder(bootstrap)
    yield feeder
    feeder.close()
