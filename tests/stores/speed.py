"""Measure the stores and the archive: ``python -m tests.stores.speed [sqlite] [influx] [archive]``.

Prints one JSON line a measurement; the figures in ``docs/storage.md`` are from here.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.archive import ArchiveReader, ArchiveWriter
from pipeline.stores.influx import InfluxStore
from pipeline.stores.port import KpiStore
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import KpiValue
from tests.services.influx import Influx
from tests.stores.samples import live_value, period_value

KPIS, SCOPES, HOURS, MINUTES = 60, 84, 30, 20


def measure(what: str, count: Callable[[], int]) -> None:
    """Print how many a second."""
    started = time.perf_counter()
    done = count()
    seconds = time.perf_counter() - started
    print(json.dumps({"what": what, "rows": done, "seconds": round(seconds, 4), "per_s": round(done / seconds)}))


def hours() -> list[list[KpiValue]]:
    """Return hourly values of many KPIs and scopes, a batch an hour, a third of them unknown."""
    first = 1_700_000_000 // 3600 * 3600
    return [
        [
            period_value(
                kpi=f"kpi{k}", scope=f"service:s{s}", period="hour", start=start, end=start + 3600,
                value=None if (k + s) % 3 == 0 else k * 1.37 + s, reason="",
            )
            for k in range(KPIS)
            for s in range(SCOPES)
        ]
        for start in range(first, first + HOURS * 3600, 3600)
    ]  # fmt: skip


def minutes() -> list[list[KpiValue]]:
    """Return live values, a batch a minute."""
    now = int(time.time()) // 60 * 60
    return [
        [
            live_value(now - 60 * m, window, kpi=f"kpi{k}", scope=f"service:s{s}", reason="")
            for window in ("5m", "30m", "1h")
            for k in range(KPIS)
            for s in range(26)
        ]
        for m in range(MINUTES, 0, -1)
    ]


def write(store: KpiStore, batches: list[list[KpiValue]]) -> int:
    """Write batches; return the number of values."""
    for batch in batches:
        store.write_values(batch)
    return sum(map(len, batches))


def stores(name: str, store: KpiStore) -> None:
    """Measure a store."""
    periods, live = hours(), minutes()
    measure(f"{name}: write period values", lambda: write(store, periods))
    measure(f"{name}: overwrite period values", lambda: write(store, periods))
    measure(f"{name}: write live values", lambda: write(store, live))
    one = [[value] for value in live[0][:200]]
    measure(f"{name}: writes of one value", lambda: write(store, one))
    measure(
        f"{name}: read one KPI of one scope",
        lambda: len(store.periods(period="hour", kpis=["kpi1"], scopes=["service:s3"])),
    )
    measure(f"{name}: read one scope", lambda: len(store.periods(period="hour", scopes=["service:s3"])))
    measure(
        f"{name}: read one hour of everything",
        lambda: len(store.periods(period="hour", start_from=periods[3][0].start, start_to=periods[3][0].start)),
    )
    measure(f"{name}: read everything", lambda: len(store.periods(period="hour")))
    measure(f"{name}: newest live of a window", lambda: len(store.live(window="5m")))
    measure(
        f"{name}: sparkline", lambda: len(store.live(window="5m", kpis=["kpi1"], scopes=["service:s3"], end_from=0))
    )


def archive(directory: Path) -> None:
    """Measure the archive with events of about 217 bytes, flushed every 5,000."""
    draw = random.Random(1)
    values = [
        json.dumps({"specversion": "1.0", "id": f"{draw.getrandbits(64):x}", "source": "web", "type": "page.viewed",
                    "subject": "shop", "time": "2026-05-01T00:00:00Z", "data": {"user": f"u{draw.randrange(5000)}",
                    "path": f"/p/{draw.randrange(300)}", "duration_ms": draw.randrange(4000)}}).encode()
        for _ in range(20_000)
    ]  # fmt: skip
    writer = ArchiveWriter(directory, "csf.events.usage", 0)

    def fill() -> int:
        for first in range(0, 400_000, 5_000):
            writer.append_many((o, o, values[o % 20_000]) for o in range(first, first + 5_000))
            writer.flush()
        return 400_000

    measure("archive: append, a flush each 5,000", fill)
    writer.close()
    reader = ArchiveReader(directory)
    measure("archive: read", lambda: sum(1 for _ in reader.records()))
    size = sum(one.size for one in reader.summary())
    raw = sum(map(len, values)) * 20
    print(json.dumps({"what": "archive: size", "bytes": size, "of": raw, "share": round(size / raw, 3)}))


def main(wanted: list[str]) -> None:
    """Measure what is named, or everything."""
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        if not wanted or "sqlite" in wanted:
            store = SqliteStore(directory / "kpis.db")
            stores("sqlite", store)
            print(json.dumps({"what": "sqlite: check", "says": store.check().split(made)[-1]}))
            store.close()
        if not wanted or "archive" in wanted:
            archive(directory / "archive")
        if not wanted or "influx" in wanted:
            server = Influx(directory / "influx")
            try:
                influx = InfluxStore(server.url, server.token, server.org)
                influx.setup_buckets()
                stores("influx", influx)
                influx.close()
            finally:
                server.server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
