"""The embedded Kafka, real, on a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded.kafka import EmbeddedKafka, free_port


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    broker = EmbeddedKafka(tmp_path / "kafka", free_port())
    broker.start()
    yield broker
    broker.kill()
