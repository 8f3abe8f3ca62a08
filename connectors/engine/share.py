"""Several instances of one connector share its streams, by Kafka's own group membership.

Partitions of the control topic stand for the streams: stream n belongs to whoever is assigned partition n modulo their
number. No record is read. For a moment two instances may read one stream: events have the same ids, and a cursor that
is written late only makes an overlap. An instance that has a lasting name (``connectors.engine.seat``) and is killed keeps
its streams for the process that bears the name next.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import KafkaError

from pipeline.errors import ServiceUnavailable
from pipeline.events.families import event_topic

_TOPIC = event_topic("control")
#: An instance that does not poll for so long still holds its streams: a page may take its time, a dead one is noticed by
#: its heartbeats.
_LONGEST_TURN_MS = 3_600_000
_SESSION_MS = 15_000


class _Losses(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python is untyped for us
    """Counts how often partitions were taken from this instance, even if it had them back before anybody looked."""

    def __init__(self) -> None:
        self.times = 0

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Count."""
        self.times += bool(revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Nothing: what is ours is asked for when it matters."""


class Share:
    """Membership of one instance.

    Args:
        bootstrap: brokers.
        source: the connector's; its instances are one group.
        settings: further keyword arguments for kafka-python.
        name: of this instance, that nobody else bears while it lives; None: it has none.

    Raises:
        ServiceUnavailable: the brokers do not answer.
    """

    def __init__(
        self, bootstrap: str, source: str, settings: dict[str, Any] | None = None, name: str | None = None
    ) -> None:
        self._bootstrap, self._group, self._name = bootstrap, f"csf-connector-{source}", name
        self._settings = {"bootstrap_timeout_ms": 10_000, **(settings or {})}
        self._losses = _Losses()
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap, group_id=self._group, group_instance_id=name, enable_auto_commit=False,
                auto_offset_reset="latest", max_poll_interval_ms=_LONGEST_TURN_MS, session_timeout_ms=_SESSION_MS,
                **self._settings,
            )  # fmt: skip
            self._consumer.subscribe([_TOPIC], listener=self._losses)
        except KafkaError as e:
            raise ServiceUnavailable(f"Kafka at {bootstrap} does not answer: {e}") from None
        try:
            self._partitions = self._shared_by()
        except ServiceUnavailable:
            self._consumer.close()
            raise

    def _shared_by(self) -> int:
        """Return how many partitions stand for streams."""
        try:
            found = len(self._consumer.partitions_for_topic(_TOPIC) or ())
        except KafkaError as e:
            raise ServiceUnavailable(f"Kafka at {self._bootstrap} does not answer: {e}") from None
        if not found:
            raise ServiceUnavailable(f"Kafka at {self._bootstrap} has no topic {_TOPIC}; a worker creates it")
        return found

    def beat(self, wait_s: float) -> None:
        """Stay a member, and learn what is ours; waits so long where nothing happens.

        Raises:
            ServiceUnavailable: the brokers do not answer.
        """
        try:
            self._consumer.poll(timeout_ms=int(wait_s * 1000))
            fresh = self._consumer.assignment() - self._consumer.paused()
            if fresh:
                self._consumer.pause(*fresh)
        except KafkaError as e:
            raise ServiceUnavailable(f"Kafka at {self._bootstrap} does not answer: {e}") from None

    @property
    def losses(self) -> int:
        """How often something was taken from this instance: what it knows of a stream may be old since then."""
        return self._losses.times

    def held(self) -> tuple[frozenset[int], int]:
        """Return the partitions that this instance holds, and how often it lost some.

        Once that changed, another one may have read what is ours.
        """
        return self._assigned(), self.losses

    def ours(self, number: int) -> bool:
        """Return whether stream number ``number`` is this instance's."""
        return number % self._partitions in self._assigned()

    def _assigned(self) -> frozenset[int]:
        return frozenset(place.partition for place in self._consumer.assignment())

    def close(self) -> None:
        """Leave: the others take over at once."""
        self._consumer.close()
        if self._name is None:
            return
        with suppress(KafkaError, OSError, ValueError):  # what goes wrong costs the length of a session
            admin = KafkaAdminClient(bootstrap_servers=self._bootstrap.split(","), **self._settings)
            try:  # who has a name is expected back, and does not leave by closing
                admin.remove_group_members(self._group, [MemberToRemove(group_instance_id=self._name)])
            finally:
                admin.close()
