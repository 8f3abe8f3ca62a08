"""The baseline: plain Faust as its documentation shows it, one table written per event.

Its cells hold what ours do: count, errors, sum, a histogram for p95, the users, and with ``sessions`` each visitor's
running session beside them. The event is modelled with all its fields. It neither drops duplicates, nor merges
sessions that a late view bridges, nor survives a rebalance without loss.

usage: python -m benchmarks.plain_faust BOOTSTRAP TOPIC N PARTITIONS [sessions]; prints one JSON line with rate and CPU.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import sys
import tempfile
import time
from datetime import datetime

import faust

GAP_S = 1_800
_LOG_GAMMA = math.log(1.02)


class Data(faust.Record):
    """What a page view tells."""

    user: str
    session: str
    path: str
    duration_ms: int
    status: int


class View(faust.Record, serializer="json"):
    """A CloudEvent of type page.viewed."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Data


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    bootstrap, topic_name, count, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sessions = "sessions" in sys.argv[5:]
    app = faust.App(
        f"plain-{os.getpid()}", broker=f"kafka://{bootstrap}", store="memory://", topic_partitions=partitions,
        consumer_auto_offset_reset="earliest", web_enabled=False, datadir=tempfile.mkdtemp(), topic_disable_leader=True,
    )  # fmt: skip
    topic = app.topic(topic_name, key_type=bytes, key_serializer="raw", value_type=View)
    table = app.Table(
        "views",
        default=lambda: {"n": 0, "errors": 0, "sum": 0.0, "hist": {}, "users": {}, "sessions": 0, "pages": 0},
        partitions=partitions,
    )
    seen, started, used = 0, 0.0, 0.0
    ending: list[object] = []

    async def end() -> None:
        await asyncio.sleep(0)
        await app.producer.flush()
        took = time.perf_counter() - started
        # Faust takes stdout for its log
        print(json.dumps({"events": seen, "seconds": took, "cpu": cpu() - used}), file=sys.__stdout__, flush=True)
        os._exit(0)

    @app.agent(topic)
    async def process(stream):  # type: ignore[no-untyped-def]
        nonlocal seen, started, used
        async for event in stream:
            if not seen:
                started, used = time.perf_counter(), cpu()
            key = (event.subject, event.time[:16])
            cell = table[key]
            cell["n"] += 1
            cell["errors"] += event.data.status >= 400
            cell["sum"] += event.data.duration_ms
            bucket = str(int(math.log(event.data.duration_ms) / _LOG_GAMMA))
            cell["hist"][bucket] = cell["hist"].get(bucket, 0) + 1
            cell["users"][event.data.user] = 1
            if sessions:
                visitor, at = (event.subject, event.data.user), datetime.fromisoformat(event.time).timestamp()
                visit = table[visitor]
                if not visit["n"] or at - visit["end"] > GAP_S:
                    cell["sessions"] += 1
                    visit = {"n": 0, "start": at, "end": at}
                visit["n"] += 1
                visit["end"] = max(visit["end"], at)
                table[visitor] = visit
                cell["pages"] += 1
            table[key] = cell
            seen += 1
            if seen == count:
                ending.append(asyncio.ensure_future(end()))

    sys.argv = [sys.argv[0], "worker", "-l", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
