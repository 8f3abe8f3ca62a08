"""Where ingest's processor time goes: ``python -m benchmarks.peer.stages FILE [--rounds N]``.

FILE is a workload of the peers' bench, one event a line. In one process, without a broker: the floor's loop (decode, dictionary)
and csf-pulse's ingest of the same events from record batches, round by round; prints microseconds of CPU an event, least
of all rounds, by stage, and the ratio to the floor's loop.
"""

from __future__ import annotations

import argparse
import gc
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from agents.app import _collect_rarely
from agents.runs import Row, RunRecords
from benchmarks.peer import floor
from benchmarks.peer.catalogue import peer_catalogue
from pipeline.engine.plan import Plan, build_plan
from pipeline.events.families import event_topic
from pipeline.time.calendar import to_ms

PARTITIONS, RECORD_BATCH, RECORD_BATCHES_A_FETCH = 4, 500_000, 16
_SUBJECT, _TIME = re.compile(rb'"subject":"([^"]*)"'), re.compile(rb'"time":"([^"]*)"')


class Stopwatch:
    """CPU seconds by stage; of a stage within another only the inner one counts."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._inner = [0.0]

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with its time counted."""

        @wraps(work)
        def measured(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            started = time.process_time()
            try:
                return work(*args, **kwargs)
            finally:
                took = time.process_time() - started
                self.spent[stage] += took - self._inner.pop()
                self._inner[-1] += took

        return measured


def fetches(path: Path) -> list[tuple[int, int, bytes]]:
    """Return (partition, first offset, record batches) of fetches of about 8 MB: a service in one partition, live."""
    builders: dict[int, Any] = {}
    waiting: dict[int, list[bytes]] = defaultdict(list)
    first, offset = [0] * PARTITIONS, [0] * PARTITIONS
    found: list[tuple[int, int, bytes]] = []

    def close(number: int, least: int) -> None:
        if number in builders:
            built = bytes(builders.pop(number).build())
            waiting[number].append(offset_of[number].to_bytes(8, "big") + built[8:])
        if len(waiting[number]) >= least:
            found.append((number, first[number], b"".join(waiting.pop(number))))
            first[number] = offset[number]

    offset_of = [0] * PARTITIONS
    arrival_ms = 0
    for line in path.read_bytes().splitlines():
        subject, at = _SUBJECT.search(line), _TIME.search(line)
        if subject is None or at is None:
            raise SystemExit(f"{path}: a line is no event with subject and time: {line[:80]!r}")
        number = crc32(subject[1]) % PARTITIONS
        arrival_ms = max(arrival_ms, to_ms(datetime.fromisoformat(at[1].decode())))
        for _ in range(2):
            if number not in builders:
                builders[number] = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, RECORD_BATCH)
                offset_of[number] = offset[number]
            if builders[number].append(offset[number] - offset_of[number], arrival_ms, None, line, []) is not None:
                offset[number] += 1
                break
            close(number, RECORD_BATCHES_A_FETCH)
    for number in range(PARTITIONS):
        close(number, 1)
    return found


def by_floor(raws: list[bytes]) -> None:
    """The floor's loop without its client."""
    decode = msgspec.json.Decoder(floor.Event).decode
    rows: defaultdict[tuple[str, str], floor.Row] = defaultdict(floor.Row)
    for raw in raws:
        event = decode(raw)
        data, row = event.data, rows[event.subject, event.time[:16]]
        row.count += 1
        row.errors += data.status >= 500
        row.total += data.duration_ms
        row.histogram[floor.BUCKETS[data.duration_ms]] += 1
        row.users.add(data.user)


def by_ingest(plan: Plan, topic: str, found: list[tuple[int, int, bytes]], watch: Stopwatch) -> int:
    """Ingest every fetch; return how many events there were."""
    from pipeline.engine.ingest import IngestPartition

    engines = [IngestPartition(plan, topic, number) for number in range(PARTITIONS)]

    def read(number: int, first: int, raw: bytes) -> list[Row]:
        records = RunRecords(TP(topic, number), MemoryRecords(raw), [], first, None, None, True, 0)
        return [row for run in records._unpack_records() for row in run.rows]

    count = 0
    for number, first, raw in found:
        rows = watch.timed("records of a fetch", read)(number, first, raw)
        count += len(rows)
        watch.timed("the rest of ingest", engines[number].fold)(rows)
        watch.timed("packing what changed", engines[number].take)()
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    from pipeline.engine.cells import Cells
    from pipeline.engine.direct import DirectPath

    watch = Stopwatch()
    for stage, cls, name in (
        ("decoding", DirectPath, "_read"),
        ("duplicates", DirectPath, "_drop_duplicates"),
        ("cells and columns", DirectPath, "_fold"),
        ("states from columns", DirectPath, "settle"),
        ("into four levels of panes", Cells, "settle"),
    ):
        setattr(cls, name, watch.timed(stage, getattr(cls, name)))
    plan, topic, found = build_plan(peer_catalogue()), event_topic("usage"), fetches(a.file)
    raws = a.file.read_bytes().splitlines()
    _collect_rarely()
    least: dict[str, float] = {}
    for _ in range(a.rounds):
        watch.spent.clear()
        watch.timed("floor", by_floor)(raws)
        gc.collect()
        count = by_ingest(plan, topic, found, watch)
        spent = dict(watch.spent)
        spent["ingest"] = sum(took for stage, took in spent.items() if stage != "floor")
        least = {stage: min(took, least.get(stage, took)) for stage, took in spent.items()}
    for stage, took in sorted(least.items(), key=lambda each: -each[1]):
        print(f"{stage:26} {took / count * 1e6:6.2f} us {took / least['floor']:6.2f} x floor's loop")


if __name__ == "__main__":
    main()
