"""Kafka for the agents' tests: the one named by CSF_TEST_BOOTSTRAP, or one started here."""

import os
import socket
import subprocess

import pytest

from tests.agents.harness import Feeder, Worker, fresh_topics
from tests.paths import SHARED


def _free_ports():
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        return first.getsockname()[1]


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory):
    if "CSF_TEST_BOOTSTRAP" in os.environ:
        yield os.environ["CSF_TEST_BOOTSTRAP"]
        return
    script, directory = SHARED / "services" / "kafka.sh", tmp_path_factory.mktemp("kafka")
    port = _free_ports()
    subprocess.run([script, "fetch", directory / "libs"], check=True)
    subprocess.run([script, "start", directory / "libs", directory / "data", str(port)], check=True)
    yield f"127.0.0.1:{port}"
    subprocess.run([script, "stop", directory / "data"], check=True)


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
