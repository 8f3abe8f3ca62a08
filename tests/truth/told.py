"""What the engine makes of a data set: mapped as ``csf import`` maps it, folded and evaluated, no broker between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from cli.imports import _polled
from connectors.access_log import LogMapper, map_log
from connectors.mapping import Summary, load_mapping, map_file
from connectors.mapping.events import MappedEvent
from connectors.mapping.files import BadRow
from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.plan import build_plan
from pipeline.events.envelope import encode
from pipeline.events.families import event_topic
from pipeline.values import KpiValue
from tests.paths import SHARED
from tests.properties.harness import Cluster

DATA = SHARED / "data"
PARTITIONS = 2


class Told:
    """The values of one imported data set."""

    def __init__(self, cluster: Cluster, summary: Summary, bad: list[BadRow]) -> None:
        self.cluster, self.summary, self.bad = cluster, summary, bad

    def at(self, kpi: str, start: str, *, period: str = "month", scope: str = "org") -> KpiValue:
        """Return the value of a month (YYYY-MM) or day (YYYY-MM-DD)."""
        day = datetime.fromisoformat(start if len(start) > 7 else f"{start}-01").replace(tzinfo=UTC)
        return self.cluster.values[(kpi, scope, period, int(day.timestamp()))]

    def value(self, kpi: str, start: str, **where: str) -> float:
        """Return the number of a value that is known."""
        found = self.at(kpi, start, **where).value
        assert found is not None, (kpi, start, where)
        return found

    def dead_letters(self) -> int:
        return len(self.cluster.dead_letters)


def _tell(produce: Callable[[Summary, Callable[[BadRow], None]], Iterable[MappedEvent]]) -> Told:
    cluster = Cluster(build_plan(load_catalogue()), PARTITIONS, 2)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    summary, bad = Summary(), list[BadRow]()
    for event in produce(summary, bad.append):
        cluster.append(event.topic, event.key, now_ms, event.raw)
    cluster.append(event_topic("control"), summary.source, now_ms, encode(_polled(summary)))
    return Told(cluster.run(), summary, bad)


def imported(mapping: str, *files: str, variables: dict[str, str] | None = None) -> Told:
    """Return what the engine makes of files, imported one after the other by a shipped mapping."""

    def produce(summary: Summary, on_bad: Callable[[BadRow], None]) -> Iterable[MappedEvent]:
        for file in files:
            yield from map_file(DATA / file, load_mapping(mapping), variables, on_bad, summary)

    return _tell(produce)


def imported_log(file: str, *, bots: bool) -> Told:
    """Return what the engine makes of a web access log."""
    mapper = LogMapper("shop", "web", b"salt", bots=bots)
    return _tell(lambda summary, on_bad: map_log(DATA / file, mapper, on_bad, summary))


def truth(folder: str) -> Any:
    """Return the expected figures of a data set."""
    return json.loads((DATA / folder / "truth.json").read_text())
