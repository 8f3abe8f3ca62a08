"""Membership of an instance: where it cannot begin, its connection is closed again."""

from __future__ import annotations

import pytest
from kafka.errors import KafkaError

from connectors.engine import share
from pipeline.errors import ServiceUnavailable


class Brokers:
    """A consumer that was let in, and what brokers then say of the topic."""

    def __init__(self, said: set[int] | KafkaError | None) -> None:
        self.said, self.open = said, False

    def __call__(self, *_topics: str, **_settings: object) -> Brokers:
        self.open = True
        return self

    def partitions_for_topic(self, _topic: str) -> set[int] | None:
        if isinstance(self.said, KafkaError):
            raise self.said
        return self.said

    def subscribe(self, _topics: list[str], listener: object) -> None:
        """Let in."""

    def close(self) -> None:
        self.open = False


@pytest.mark.parametrize(
    ("said", "why"),
    [(None, "has no topic csf.events.control"), (KafkaError("gone"), "does not answer: KafkaError: gone")],
)
def test_an_instance_that_cannot_begin_leaves_no_connection_open(
    monkeypatch: pytest.MonkeyPatch, said: KafkaError | None, why: str
) -> None:
    brokers = Brokers(said)
    monkeypatch.setattr(share, "KafkaConsumer", brokers)
    with pytest.raises(ServiceUnavailable, match=why):
        share.Share("127.0.0.1:1", "desk/ours")
    assert not brokers.open
