"""The plan: the catalogue compiled to what ingest folds and what rollup reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.aggregate.base import Contribution, State
from pipeline.catalogue import model
from pipeline.engine.bases import Base, BaseSpec, make_base
from pipeline.engine.columns import Column, Columns, Fold, column_fold
from pipeline.time.calendar import Calendar

#: Event types whose records are entities: the last state counts, and replaces what it contributed before.
ENTITY_TYPES = frozenset(
    {
        "incident.updated",
        "security_incident.updated",
        "vulnerability.updated",
        "change.updated",
        "feature.updated",
        "survey.answered",
        "maintenance.scheduled",
    }
)
#: The name under which sessions, derived or reported, are records.
SESSION = "session"
#: Event types that feed session records.
SESSION_SOURCES = frozenset({"page.viewed", "task.finished", "session.ended"})


Hot = tuple[str, Callable[[State | None, Contribution, int], State], Callable[[Any], Contribution | None]]


@dataclass(frozen=True)
class ByColumns:
    """How many records of a type are folded at once.

    Attributes:
        read: makes columns of what the bases read of records.
        folds: (base key, absorb, fold) of the bases that read columns.
        others: bases that date records themselves, or have no fold of columns.
    """

    read: Callable[[list[Any]], list[Column]]
    folds: tuple[tuple[str, Callable[[State | None, State], State], Fold], ...]
    others: tuple[Base, ...]


def by_columns(bases: tuple[Base, ...]) -> ByColumns:
    """Return how records that these bases read are folded by columns."""
    columns = Columns()
    folds, others = [], []
    for base in bases:
        fold = None if base.single is None else column_fold(columns, base.spec.how, dict(base.spec.args))
        if fold is None:
            others.append(base)
        else:
            folds.append((base.key, base.aggregator.absorb, fold))
    return ByColumns(columns.reader(), tuple(folds), tuple(others))


def _split(bases: list[Base]) -> tuple[tuple[Hot, ...], tuple[Base, ...]]:
    hot = tuple((b.key, b.aggregator.add, b.single) for b in bases if b.single is not None)
    return hot, tuple(b for b in bases if b.single is None)


@dataclass(frozen=True)
class Plan:
    """What to fold a record type, and which bases each KPI reads, by role."""

    catalogue: model.Catalogue
    calendar: Calendar
    bases: dict[str, Base]
    by_type: dict[str, tuple[Base, ...]]
    #: a type's bases split: (key, add, what a record contributes) of those dated by event time, and the others
    hot: dict[str, tuple[tuple[Hot, ...], tuple[Base, ...]]]
    #: how many records of a wanted type are folded at once
    columns: dict[str, ByColumns]
    roles: dict[str, dict[str, Base]]
    kpis_of_csf: dict[str, tuple[model.Kpi, ...]]
    types_of_kpi: dict[str, frozenset[str]]
    wanted_types: frozenset[str]

    def readers(self, base_keys: Iterable[str]) -> list[tuple[str, list[str]]]:
        """Return the CSFs that read any of these bases, in order, each with those that it reads."""
        by_csf: dict[str, list[str]] = {}
        for key in base_keys:
            for csf in self.bases[key].shards:
                by_csf.setdefault(csf, []).append(key)
        return sorted(by_csf.items())

    def types_of_csf(self, csf: str) -> frozenset[str]:
        """Return the event types that the KPIs of a CSF read."""
        return frozenset().union(*(self.types_of_kpi[k.id] for k in self.kpis_of_csf[csf]))


def _filtered(measure: model.Records) -> tuple[tuple[str, Any], ...]:
    return (("where", measure.where), ("at", measure.at))


def _quantile(m: model.Quantile) -> BaseSpec:
    exact = m.exact or any(e in ENTITY_TYPES for e in m.events)
    args = (*_filtered(m), ("value", m.value), ("weight", m.weight))
    state = "multiset" if exact else "sketch"
    return BaseSpec(state, tuple(m.events), state, args)


_CHECKS = BaseSpec("points", ("uptime.checked",), "checks")
_MAINTENANCE = BaseSpec("windows", ("maintenance.scheduled",), "maintenance")
_MAJOR = BaseSpec("windows", ("incident.updated",), "major")


def specs_of(measure: model.AnyMeasure) -> dict[str, BaseSpec]:
    """Return the bases a measure needs, by role."""
    match measure:
        case model.Count():
            return {"main": BaseSpec("sums", tuple(measure.events), "count", _filtered(measure))}
        case model.Sum() | model.Mean():
            args = (*_filtered(measure), ("value", measure.value))
            return {"main": BaseSpec("sums", tuple(measure.events), "value", args)}
        case model.Share():
            args = (*_filtered(measure), ("of", measure.of))
            return {"main": BaseSpec("sums", tuple(measure.events), "share", args)}
        case model.Ratio():
            args = (*_filtered(measure), ("numerator", measure.numerator), ("denominator", measure.denominator))
            return {"main": BaseSpec("sums", tuple(measure.events), "ratio", args)}
        case model.Quantile():
            return {"main": _quantile(measure)}
        case model.Distinct() | model.Stickiness():
            args = (*_filtered(measure), ("value", measure.value))
            return {"main": BaseSpec("distinct", tuple(measure.events), "distinct", args)}
        case model.PerUserDay():
            nothing: tuple[tuple[str, Any], ...] = (("where", None), ("at", None))
            return {
                "main": BaseSpec("sums", tuple(measure.events), "value", (*nothing, ("value", measure.value))),
                "users": BaseSpec(
                    "distinct", tuple(measure.user_events), "distinct", (*nothing, ("value", measure.user))
                ),
            }
        case model.Stock():
            args = (("where", measure.where), ("enter", measure.enter), ("leave", measure.leave))
            return {"main": BaseSpec("sums", tuple(measure.events), "stock", args)}
        case model.Forecast():
            args = (
                *_filtered(measure),
                ("predicted", measure.predicted),
                ("actual", measure.actual),
                ("group", tuple(measure.group)),
            )
            return {"main": BaseSpec("groups", tuple(measure.events), "forecast", args)}
        case model.Peak():
            args = (("latency", measure.latency), ("count", measure.count), ("error", measure.error))
            return {"main": BaseSpec("peak", tuple(measure.events), "peak", args)}
        case model.Availability():
            roles = {"main": _CHECKS, "maintenance": _MAINTENANCE}
            return {**roles, "major": _MAJOR} if measure.stat in {"outages", "mtbf"} else roles
        case model.Freshness():
            args = (("where", measure.where), ("completed", measure.completed))
            return {"main": BaseSpec("points", tuple(measure.events), "syncs", args)}


def build_plan(catalogue: model.Catalogue) -> Plan:
    """Return the catalogue compiled."""
    calendar = Calendar(catalogue.organisation.zone)
    bases: dict[str, Base] = {}
    roles: dict[str, dict[str, Base]] = {}
    types_of_kpi: dict[str, frozenset[str]] = {}
    for kpi in catalogue.kpis.values():
        mine: dict[str, Base] = {}
        for role, spec in specs_of(kpi.measure).items():
            base = bases.get(spec.key)
            if base is None:
                base = bases[spec.key] = make_base(spec, calendar)
            base.shards.add(kpi.csf)
            mine[role] = base
        roles[kpi.id] = mine
        types_of_kpi[kpi.id] = frozenset(_covered_types(mine))
    by_type: dict[str, list[Base]] = {}
    for base in bases.values():
        for event_type in base.spec.events:
            by_type.setdefault(event_type, []).append(base)
    wanted = set(by_type) - {SESSION}
    if SESSION in by_type:
        wanted |= SESSION_SOURCES
    of_csf: dict[str, list[model.Kpi]] = {csf: [] for csf in catalogue.csfs}
    for kpi in catalogue.kpis.values():
        of_csf[kpi.csf].append(kpi)
    return Plan(
        catalogue,
        calendar,
        bases,
        {t: tuple(b) for t, b in by_type.items()},
        {t: _split(b) for t, b in by_type.items()},
        {t: by_columns(tuple(by_type.get(t, ()))) for t in wanted},
        roles,
        {csf: tuple(k) for csf, k in of_csf.items()},
        types_of_kpi,
        frozenset(wanted),
    )


def _covered_types(roles: dict[str, Base]) -> set[str]:
    """Return the event types whose sources a KPI needs; maintenance is told, not measured."""
    types: set[str] = set()
    for role, base in roles.items():
        if role not in {"maintenance", "major"}:
            for event_type in base.spec.events:
                types |= {"page.viewed", "session.ended"} if event_type == SESSION else {event_type}
    return types
