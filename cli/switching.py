"""The Kafka side of ``csf replay``: what lies beyond the archive, and the switch from one generation of state to the next.

A switch is: a claim that *holds* every changelog partition, so that workers end at their next flush and those that are
started again wait; the new state, written once the workers that held the old one have left the group; and a claim that lets go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from agents import changelog
from agents.topics import changelog_topic
from cli.embedded.instance import Instance
from cli.rebuild import Rebuild
from cli.settings import Settings
from pipeline.engine.definitions import DEFS_KEY, whole_versions
from pipeline.engine.plan import Plan
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import PARTIALS

#: How long the workers that held the old state may take to end, seconds.
_LEAVE_S = 90.0
#: How long a new broker may take until it knows of groups, seconds.
_COORDINATOR_S = 60.0
_LOOK_S = 0.2


class Switch:
    """Reads and replaces the state of one installation."""

    def __init__(self, consumer: Any, producer: Any, admin: Any, settings: Settings) -> None:
        self._consumer, self._producer, self._admin = consumer, producer, admin
        self._group, self._partitions = settings.group, settings.partitions
        self._topic = changelog_topic(settings.group)
        self._generations: dict[int, int] = {}

    def members(self) -> set[str]:
        """Return the ids of the workers that are in the group."""
        described = self._described()
        return {member["member_id"] for member in described.get("members") or ()}

    def _described(self) -> dict[str, Any]:
        """Return what the brokers say of the group; a new broker first makes the topic in which it keeps groups."""
        until = time.monotonic() + _COORDINATOR_S
        while True:
            try:
                described: dict[str, Any] = self._admin.describe_groups([self._group])[self._group]
            except KafkaError as e:
                if not e.retriable or time.monotonic() > until:
                    raise
                time.sleep(_LOOK_S)
            else:
                return described

    def versions(self, plan: Plan) -> dict[str, int]:
        """Return the version of every KPI that the state was made by wholly, as far as the state says."""
        found: dict[str, int] = {}
        for number in range(self._partitions):
            rolled = self._read(number).finish().get(PARTIALS)
            chunks = dict(rolled.chunks()) if rolled else {}
            if DEFS_KEY in chunks:
                found |= whole_versions(plan, chunks[DEFS_KEY])
        return found

    def catch_up(self, rebuild: Rebuild) -> int:
        """Fold what Kafka holds beyond what was folded, up to now; return how many messages that were.

        Raises:
            ConfigError: Kafka begins later than what was folded ends.
        """
        places = [TopicPartition(topic, n) for topic in EVENT_TOPICS for n in range(self._partitions)]
        self._consumer.assign(places)
        begins, ends = self._consumer.beginning_offsets(places), self._consumer.end_offsets(places)
        left = set()
        for place in places:
            at = rebuild.position(place.topic, place.partition) + 1
            if at < begins[place] and at < ends[place]:
                raise ConfigError(
                    f"the archive of {place.topic}/{place.partition} ends before offset {at}, and Kafka begins at "
                    f"{begins[place]}: what lies between is lost, so nothing can be made anew"
                )
            self._consumer.seek(place, at)
            if at < ends[place]:
                left.add(place)
        before = rebuild.events
        while left:
            for place, messages in self._consumer.poll(500, max_records=20_000).items():
                for m in messages:
                    if m.offset < ends[place]:
                        rebuild.add(place.topic, place.partition, m.offset, m.timestamp, m.value)
            left = {place for place in left if rebuild.position(place.topic, place.partition) + 1 < ends[place]}
        rebuild.finish()
        return rebuild.events - before

    def hold(self) -> None:
        """Let no worker flush or begin any more, and wait until those that were there have left.

        Raises:
            ServiceUnavailable: one does not leave; the old state counts again.
        """
        there = self.members()
        for number in range(self._partitions):
            self._generations[number] = self._read(number).generation + 1
            self._send(number, changelog.claim_record(self._generations[number], hold=True))
        self._producer.flush(120)
        end = time.monotonic() + _LEAVE_S
        while left := self.members() & there:
            if time.monotonic() > end:
                self.let_go()
                raise ServiceUnavailable(
                    f"{len(left)} of the workers in group {self._group} did not end within {_LEAVE_S:.0f} s; the old state "
                    "counts again: stop them, then run csf replay once more"
                )
            time.sleep(_LOOK_S)

    def let_go(self) -> None:
        """Let workers begin."""
        for number, generation in self._generations.items():
            self._send(number, changelog.claim_record(generation))
        self._producer.flush(120)

    def write(self, rebuild: Rebuild) -> None:
        """Write the new state and let go of it.

        Raises:
            ConfigError: another replay took over meanwhile.
        """
        partials = [TopicPartition(PARTIALS, n) for n in range(self._partitions)]
        ends = self._consumer.end_offsets(partials)
        for number in range(self._partitions):
            end = ends[TopicPartition(PARTIALS, number)]
            states = [(t, part.engine.position, part.chunks) for (t, p), part in rebuild.sources.items() if p == number]
            states.append((PARTIALS, end - 1, rebuild.rolled(number, end)))
            for record in self._replacement(number, states):
                self._send(number, record)
        self._producer.flush(120)
        if any(self._read(n).generation != g for n, g in self._generations.items()):
            raise ConfigError(
                "another csf replay, or a worker of an older version, took the state over; run this one again"
            )
        self.let_go()

    def _replacement(
        self, number: int, states: list[tuple[str, int, dict[bytes, bytes]]]
    ) -> Iterator[changelog.Record]:
        """Yield the records that replace the state of a changelog partition."""
        log, generation = self._read(number), self._generations[number]
        for topic, position, chunks in states:
            known = log.topics.get(topic)
            flush = known.flush + 1 if known else 1
            for name in known.held if known else ():
                if name not in chunks:
                    yield from changelog.chunk_records(topic, generation, flush, name, None)
            for name, payload in chunks.items():
                yield from changelog.chunk_records(topic, generation, flush, name, payload)
            yield changelog.commit_record(topic, generation, flush, position)

    def _send(self, number: int, record: changelog.Record) -> None:
        self._producer.send(self._topic, record[1], key=record[0], partition=number)

    def _read(self, number: int) -> changelog.PartitionLog:
        """Return a changelog partition as it stands."""
        place, log = TopicPartition(self._topic, number), changelog.PartitionLog()
        self._consumer.assign([place])
        end = self._consumer.end_offsets([place])[place]
        self._consumer.seek_to_beginning(place)
        while self._consumer.position(place) < end:
            for messages in self._consumer.poll(1000).values():
                for message in messages:
                    log.apply(message.offset, message.key, message.value)
        return log


@contextmanager
def switching(instance: Instance, settings: Settings) -> Iterator[Switch]:
    """Open the connections of a switch.

    Raises:
        ServiceUnavailable: a broker does not answer or refuses.
    """
    where: dict[str, Any] = {"bootstrap_servers": instance.bootstrap, **instance.kafka_settings}
    try:
        consumer = KafkaConsumer(enable_auto_commit=False, max_partition_fetch_bytes=8 * 2**20, **where)
        producer = KafkaProducer(acks="all", max_request_size=8 * 2**20, **where)
        admin = KafkaAdminClient(**where)
        try:
            yield Switch(consumer, producer, admin, settings)
        finally:
            admin.close()
            producer.close()
            consumer.close()
    except KafkaError as e:
        raise ServiceUnavailable(f"Kafka at {instance.bootstrap} does not let the state be replaced: {e}") from None
