"""``csf replay``: rebuild KPIs from the event archive, for a changed definition or a lost store.

The archive is folded into a new generation of state, past the live one; only then the state is switched, by
claiming the changelog with a higher generation, and the values are written. What Kafka holds beyond the archive
is folded by the next worker, as after any restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from agents import changelog
from agents.ingest import partials_partition
from agents.topics import changelog_topic
from cli.embedded.instance import Instance, read_state, running
from cli.options import bootstrap_option, config_option, data_dir_option
from cli.output import say
from cli.settings import Settings, load_settings
from pipeline.archive import ArchiveReader
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import Plan, build_plan
from pipeline.engine.rollup import RollupOutput, RollupPartition
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.stores.port import KpiStore
from pipeline.topics import PARTIALS

_BATCH = 5000
_SLICE = 5000


@dataclass
class _Part:
    """One source partition being rebuilt."""

    engine: IngestPartition
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    waiting: list[tuple[int, int, bytes]] = field(default_factory=list)


class Rebuild:
    """Folds archived records into fresh engines."""

    def __init__(self, plan: Plan, partitions: int) -> None:
        self._plan = plan
        self._partitions = partitions
        self.sources: dict[tuple[str, int], _Part] = {}
        self.rollups = [RollupPartition(plan, p) for p in range(partitions)]
        self.rollup_chunks: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self._told = 0
        self.events = 0

    def add(self, topic: str, partition: int, offset: int, arrival_ms: int, value: bytes) -> None:
        """Take one archived record; a partition's come in the order of their offsets.

        Raises:
            ConfigError: the archive lacks what lies before.
        """
        part = self.sources.get((topic, partition))
        if part is None:
            part = self.sources[(topic, partition)] = _Part(IngestPartition(self._plan, topic, partition))
        last = part.waiting[-1][0] if part.waiting else part.engine.position
        if offset != last + 1:
            raise ConfigError(
                f"the archive of {topic}/{partition} goes from offset {last} to {offset}: it is not whole"
            )
        part.waiting.append((offset, arrival_ms, value))
        self.events += 1
        if len(part.waiting) >= _BATCH:
            self._fold(part)

    def finish(self) -> None:
        """Fold what waits."""
        for part in self.sources.values():
            self._fold(part)

    def _fold(self, part: _Part) -> None:
        part.engine.fold(part.waiting)
        part.waiting = []
        out = part.engine.take()
        _keep(part.chunks, out.chunks)
        told: dict[int, list[tuple[int, int, bytes]]] = {}
        for csf, _, value in out.partials:
            told.setdefault(partials_partition(csf, self._partitions), []).append((self._told, 0, value))
            self._told += 1
        for number, records in told.items():
            self.rollups[number].fold(records)
            _keep(self.rollup_chunks[number], self.rollups[number].take_chunks())

    def values(self) -> Iterator[RollupOutput]:
        """Yield what the rebuilt state says, in slices; the state of closed months is kept with it."""
        for number, rollup in enumerate(self.rollups):
            while rollup.pending:
                yield rollup.evaluate(_SLICE)
            _keep(self.rollup_chunks[number], rollup.take_chunks())


def _keep(held: dict[bytes, bytes], chunks: Iterable[tuple[bytes, bytes | None]]) -> None:
    for key, value in chunks:
        if value is None:
            held.pop(key, None)
        else:
            held[key] = value


@click.command()
@config_option
@data_dir_option
@bootstrap_option
@click.option("--from", "first", metavar="MONTH", help="Write values from this month on [default: all].")
@click.option("--to", "last", metavar="MONTH", help="Write values up to this month, inclusive [default: all].")
@click.option(
    "--archive", type=click.Path(path_type=Path, file_okay=False), help="Archive [default: DATA_DIR/archive]."
)
def replay(
    config: Path | None, data_dir: Path | None, bootstrap: str | None, first: str | None, last: str | None,
    archive: Path | None,
) -> None:  # fmt: skip
    """Rebuild state and KPI values from the event archive; no worker may run meanwhile."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    state = read_state(settings.data_dir)
    if state is not None and state.worker:
        raise ConfigError(f"a worker runs on {settings.data_dir} (process {state.pid}): stop it, then replay")
    folder = archive or settings.data_dir / "archive"
    if not folder.is_dir():
        raise ConfigError(f"there is no archive at {folder}: name one with --archive")
    plan = build_plan(settings.load_catalogue())
    bounds = _bounds(plan, first, last)
    with running(settings, worker=False, say=partial(say, err=True)) as instance:
        rebuild = _fold(plan, settings, folder)
        store = settings.open_store()
        try:
            written = _write(rebuild, store, *bounds)
        finally:
            store.close()
        _switch(rebuild, instance, settings)
    say(f"{rebuild.events:,} messages were folded again; {written:,} values were written; state is switched")


def _bounds(plan: Plan, first: str | None, last: str | None) -> tuple[int, int]:
    calendar = plan.calendar
    try:
        start = 0 if first is None else calendar.parse_month(first)
        end = 2**53 if last is None else calendar.next_month(calendar.parse_month(last))
    except ValueError:
        raise ConfigError("--from and --to name months, like 2026-10") from None
    return start, end


def _fold(plan: Plan, settings: Settings, folder: Path) -> Rebuild:
    rebuild = Rebuild(plan, settings.partitions)
    with click.progressbar(ArchiveReader(folder).records(), label="Folding", show_pos=True) as records:
        for topic, partition, offset, arrival_ms, value in records:
            rebuild.add(topic, partition, offset, arrival_ms, value)
    rebuild.finish()
    return rebuild


def _write(rebuild: Rebuild, store: KpiStore, start: int, end: int) -> int:
    written = 0
    for out in rebuild.values():
        values = [v for v in out.values if start <= v.start < end]
        store.write_values(values)
        store.write_statuses([s for s in out.statuses if start <= s.start < end])
        store.write_revisions([r for r in out.revisions if start <= r.start < end])
        store.write_exits(out.exits)
        written += len(values)
    return written


def _switch(rebuild: Rebuild, instance: Instance, settings: Settings) -> None:
    """Make the rebuilt state the one that counts: claim each changelog partition with a higher generation."""
    topic = changelog_topic(settings.group)
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=instance.bootstrap, enable_auto_commit=False, **instance.kafka_settings
        )
        producer = KafkaProducer(
            bootstrap_servers=instance.bootstrap, acks="all", max_request_size=8 * 2**20, **instance.kafka_settings
        )
        try:
            ends = consumer.end_offsets([TopicPartition(PARTIALS, p) for p in range(settings.partitions)])
            for number in range(settings.partitions):
                log = _read_log(consumer, topic, number)
                rolled = (PARTIALS, ends[TopicPartition(PARTIALS, number)] - 1, rebuild.rollup_chunks[number])
                sources = [
                    (t, part.engine.position, part.chunks) for (t, p), part in rebuild.sources.items() if p == number
                ]
                for record in _generation(log, [*sources, rolled]):
                    producer.send(topic, record[1], key=record[0], partition=number)
            producer.flush(120)
        finally:
            producer.close()
            consumer.close()
    except KafkaError as e:
        raise ServiceUnavailable(f"the state in Kafka at {instance.bootstrap} cannot be switched: {e}") from None


def _generation(
    log: changelog.PartitionLog, states: list[tuple[str, int, dict[bytes, bytes]]]
) -> Iterator[changelog.Record]:
    """Yield the records that replace the state of a changelog partition."""
    generation = log.generation + 1
    yield changelog.claim_record(generation)
    for topic, position, chunks in states:
        known = log.topics.get(topic)
        flush = known.flush + 1 if known else 1
        for name in known.held if known else ():
            if name not in chunks:
                yield from changelog.chunk_records(topic, generation, flush, name, None)
        for name, payload in chunks.items():
            yield from changelog.chunk_records(topic, generation, flush, name, payload)
        yield changelog.commit_record(topic, generation, flush, position)


def _read_log(consumer: Any, topic: str, number: int) -> changelog.PartitionLog:
    """Return a changelog partition as it stands."""
    place, log = TopicPartition(topic, number), changelog.PartitionLog()
    consumer.assign([place])
    end = consumer.end_offsets([place])[place]
    consumer.seek_to_beginning(place)
    while consumer.position(place) < end:
        for messages in consumer.poll(1000).values():
            for message in messages:
                log.apply(message.offset, message.key, message.value)
    return log
