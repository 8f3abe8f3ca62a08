"""What the store holds in the end, beside the oracle's reading of the same log."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from pipeline.archive import ArchiveReader
from pipeline.catalogue.model import Catalogue
from pipeline.events.families import EVENT_TOPICS
from pipeline.stores.port import KpiStore
from pipeline.topics import DEAD_LETTERS
from pipeline.values import WINDOWS, CsfStatus, Exits, KpiRevision, KpiValue
from tests.oracle.oracle import Oracle
from tests.properties.compare import closings, differences

Message = tuple[str, int, int, int, bytes]


@dataclass(frozen=True)
class Log:
    """What Kafka holds in the end.

    Attributes:
        messages: everything in the event topics.
        dead_letters: (topic, partition) → reason → how many events have a dead letter of it.
    """

    messages: list[Message]
    dead_letters: dict[tuple[str, int], Counter[str]]


def read_log(bootstrap: str) -> Log:
    """Return what Kafka holds."""
    dead: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    letters = {r.key: json.loads(r.value) for _, r in _everything(bootstrap, [DEAD_LETTERS]) if r.key}
    for letter in letters.values():
        if "topic" in letter:
            dead[(letter["topic"], letter["partition"])][letter["reason"]] += 1
    events = _everything(bootstrap, EVENT_TOPICS)
    return Log([(place.topic, place.partition, r.offset, r.timestamp, r.value) for place, r in events], dead)


def _everything(bootstrap: str, topics: Sequence[str]) -> list[tuple[TopicPartition, Any]]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    places = [TopicPartition(t, p) for t in topics for p in sorted(consumer.partitions_for_topic(t) or ())]
    consumer.assign(places)
    ends = consumer.end_offsets(places)
    consumer.seek_to_beginning(*places)
    found: list[tuple[TopicPartition, Any]] = []
    while any(consumer.position(place) < ends[place] for place in places):
        for place, records in consumer.poll(500).items():
            found += [(place, r) for r in records]
    consumer.close()
    return found


class Stored:
    """The store's content in the form that ``differences`` compares."""

    def __init__(self, store: KpiStore, hours: int, seed: int) -> None:
        self.values: dict[tuple[str, str, str, int], KpiValue] = {}
        self.statuses: dict[tuple[str, str, str, int], CsfStatus] = {}
        self.revisions: dict[tuple[str, str, int, int], KpiRevision] = {
            (r.kpi, r.scope, r.start, r.revision): r for r in store.revisions(period="month")
        }
        self.exits: dict[tuple[str, int], Exits] = defaultdict(lambda: Exits(topic="", partition=-1))
        for period in ("month", "day", "hour"):
            values = store.periods(period=period)
            if period == "hour" and len(values) > hours:
                values = Random(seed).sample(values, hours)
            self.values |= {(v.kpi, v.scope, v.period, v.start): v for v in values}
        for window in WINDOWS:
            self.values |= {(v.kpi, v.scope, v.period, 0): v for v in store.live(window=window)}
        for period in ("month", "day", *WINDOWS):
            for s in store.statuses(period=period):
                self.statuses[(s.csf, s.scope, s.period, 0 if s.period in WINDOWS else s.start)] = s
        for counts in store.exits():
            self.exits[(counts.topic, counts.partition)] = counts


@dataclass(frozen=True)
class Verdict:
    """What was compared, and what differs.

    Attributes:
        values, statuses: how many of the store's were compared with the oracle's.
        revisions: superseded values of closed months.
        archived: messages in the archives.
        exits: events by exit, over all partitions.
        differences: one line each; empty is what everyone hopes for.
    """

    values: int
    statuses: int
    revisions: int
    archived: int
    exits: dict[str, int]
    differences: list[str]


def judge(
    catalogue: Catalogue, log: Log, store: KpiStore, archives: list[Path], seed: int, *, gaps: bool, hours: int = 2_000
) -> Verdict:
    """Compare with the oracle: all months, days and windows, a sample of hours, every exit, every archived message.

    Args:
        catalogue: of the workers.
        log: what Kafka holds.
        store: what the workers wrote.
        archives: a directory a worker.
        seed: chooses the hours.
        gaps: the archive may lack messages, as it could not be written for a while; what it has must be right.
        hours: how many.
    """
    oracle = Oracle(catalogue, log.messages)
    stored = Stored(store, hours, seed)
    found = differences(stored, oracle, most=20)  # type: ignore[arg-type] # it reads only what Stored has
    # hours are sampled: one that is not in the sample is not missing
    found = [line for line in found if not ("'hour'" in line and "engine has nothing" in line)]
    found += closings(stored, catalogue, log.messages, oracle.now_ms)[:20]  # type: ignore[arg-type]
    found += _dead_letters(log, oracle)
    archived = {(r.topic, r.partition, r.offset): r.value for path in archives for r in ArchiveReader(path).records()}
    found += _archive(log.messages, archived, gaps=gaps)[:20]
    exits: Counter[str] = Counter()
    for counts in oracle.exits.values():
        for name, n in counts.items():
            exits[name.partition(":")[0]] += n
    return Verdict(
        len(stored.values),
        len(stored.statuses),
        len(stored.revisions),
        len(archived),
        dict(sorted(exits.items())),
        found,
    )


def _dead_letters(log: Log, oracle: Oracle) -> list[str]:
    """Return where the dead letters that can be read are not those that were counted."""
    found = []
    for place, counts in oracle.exits.items():
        counted = {name.partition(":")[2]: n for name, n in counts.items() if name.startswith("dead_letter:")}
        if counted != dict(log.dead_letters.get(place, {})):
            found.append(f"{place}: dead letters {dict(log.dead_letters.get(place, {}))}, oracle {counted}")
    return found


def _archive(messages: list[Message], archived: dict[tuple[str, int, int], bytes], *, gaps: bool) -> list[str]:
    return [
        f"{topic} {partition} {offset}: not as sent in the archive"
        for topic, partition, offset, _, value in messages
        if archived.get((topic, partition, offset), value if gaps else None) != value
    ]
