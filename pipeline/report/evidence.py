"""Which incidents, changes and vulnerabilities a month's figure was made of.

The store keeps figures, the archive the events. Archived events are folded by the engine itself, under today's catalogue:
the same validation, deduplication, order of updates and expressions decide, so that the entities named here are those
the figure counts. They are as of the newest archived event; where a month was closed and corrected since, they are
those of its newest revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pipeline.aggregate.base import MICRO
from pipeline.catalogue import model
from pipeline.engine.entities import HeldEntity
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import Plan
from pipeline.events.families import TYPES, event_topic
from pipeline.report.inputs import EntityEvidence
from pipeline.report.kpireport import Evidence

#: Record types that have a number people know them by; survey answers are their respondents' own.
NUMBERED = frozenset(
    {"incident.updated", "security_incident.updated", "vulnerability.updated", "change.updated", "feature.updated"}
)
#: How many entities of a KPI are named, the most telling first.
NAMED = 20
_BATCH = 5_000
_decode = msgspec.msgpack.Decoder().decode

#: value (None: it counts as one), epoch milliseconds
Part = tuple[float | None, int]


def has_evidence(plan: Plan, kpi: str) -> bool:
    """Return whether a KPI is made of entities that have numbers."""
    return bool(_bases(plan, kpi))


def topics(plan: Plan, kpis: Iterable[str]) -> set[str]:
    """Return the topics whose events tell the entities behind some KPIs."""
    types = {t for kpi in kpis for base in _bases(plan, kpi) for t in plan.bases[base].spec.events if t in NUMBERED}
    return {event_topic(TYPES[t][0]) for t in types}


def _bases(plan: Plan, kpi: str) -> list[str]:
    """Return the bases of a KPI that are made of numbered entities; of availability, its major incidents."""
    roles = plan.roles[kpi]
    return [b.key for b in roles.values() if b.spec.how != "maintenance" and NUMBERED.intersection(b.spec.events)]


class EvidenceFold:
    """Folds archived messages, then names the entities behind figures.

    Args:
        plan: the compiled catalogue.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts: dict[tuple[str, int], IngestPartition] = {}
        self._waiting: dict[tuple[str, int], list[tuple[int, int, bytes]]] = {}
        self.messages = 0

    def add(self, topic: str, partition: int, offset: int, arrival_ms: int, value: bytes) -> None:
        """Take one message; a partition's come in the order of their offsets."""
        at = (topic, partition)
        if at not in self._parts:
            self._parts[at] = IngestPartition(self._plan, topic, partition)
        waiting = self._waiting.setdefault(at, [])
        waiting.append((offset, arrival_ms, value))
        self.messages += 1
        if len(waiting) >= _BATCH:
            self._fold(at)

    def _fold(self, at: tuple[str, int]) -> None:
        part = self._parts[at]
        part.fold(self._waiting.pop(at, []))
        part.take()  # nobody asks for its partials

    def of_month(
        self, kpis: Iterable[str], start_s: int, end_s: int, services: frozenset[str] | None, named: int = NAMED
    ) -> dict[str, EntityEvidence]:
        """Return the entities behind KPIs, the most telling first: the slowest, those that failed, the newest.

        Args:
            kpis: ids; those without numbered entities are left out.
            start_s: start of the month, epoch seconds.
            end_s: its end.
            services: whose entities count; None: all.
            named: how many are named of each KPI.
        """
        for at in list(self._waiting):
            self._fold(at)
        wanted = {kpi: bases for kpi in kpis if (bases := _bases(self._plan, kpi))}
        found: dict[str, list[Evidence]] = {kpi: [] for kpi in wanted}
        for entity in self._entities():
            for kpi, bases in wanted.items():
                found[kpi].extend(self._told(kpi, bases, entity, start_s * 1000, end_s * 1000, services))
        return {
            kpi: EntityEvidence(found=self._ordered(kpi, told)[:named], total=len(told)) for kpi, told in found.items()
        }

    def _entities(self) -> Iterator[HeldEntity]:
        for part in self._parts.values():
            yield from (e for e in part.entities() if e.type in NUMBERED)

    def _told(
        self,
        kpi: str,
        bases: list[str],
        entity: HeldEntity,
        start_ms: int,
        end_ms: int,
        services: frozenset[str] | None,
    ) -> Iterator[Evidence]:
        held: dict[str, list[tuple[int, Any]]] = {}
        for base, service, at_ms, packed in entity.contributions:
            if base in bases and (services is None or service in services):
                held.setdefault(service, []).append((at_ms, _decode(packed)))
        measure = self._plan.catalogue.kpis[kpi].measure
        for service, contributions in held.items():
            part = _part(measure, contributions, start_ms, end_ms)
            if part is not None:
                value, at_ms = part
                at = self._plan.calendar.iso(at_ms // 1000)
                yield Evidence(number=str(entity.data.number), service=service, value=value, at=at)

    def _ordered(self, kpi: str, told: list[Evidence]) -> list[Evidence]:
        direction = self._plan.catalogue.kpis[kpi].direction

        def telling(e: Evidence) -> tuple[float, str, str]:
            value = e.value or 0.0
            bad = -value if direction == "up" else abs(value) if direction == "zero" else value
            return (-bad, e.at or "", e.number)

        return sorted(told, key=telling)


def _part(measure: model.AnyMeasure, contributions: list[tuple[int, Any]], start_ms: int, end_ms: int) -> Part | None:
    """Return an entity's part in a month's figure; None where it has none."""
    if isinstance(measure, model.Stock):
        entered = [at for at, (_, enters, _) in contributions if enters and at < end_ms]
        left = any(leaves and at < end_ms for at, (_, _, leaves) in contributions)
        return (None, min(entered)) if entered and not left else None
    inside = [(at, c) for at, c in contributions if start_ms <= at < end_ms]
    if not inside:
        return None
    at, contribution = max(inside, key=lambda one: one[0])
    return _value(measure, contribution), at


def _value(measure: model.AnyMeasure, contribution: Any) -> float | None:
    """Return what an entity contributed, in the KPI's unit; None where it counts as one."""
    match measure:
        case model.Sum() | model.Mean():
            return float(contribution[1]) / MICRO / model.SCALE_SECONDS[measure.scale]
        case model.Share():
            return 100.0 * float(contribution[1])
        case model.Ratio():
            return float(measure.factor * contribution[1] / contribution[2]) if contribution[2] else None
        case model.Quantile():
            return float(max(n for n, _ in contribution)) / MICRO / model.SCALE_SECONDS[measure.scale]
    return None
