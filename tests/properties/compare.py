"""The engine's values beside the oracle's."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

from pipeline.catalogue.model import Availability, Catalogue, Freshness, Stock
from tests.oracle import zone
from tests.oracle.closing import as_closed, barriers
from tests.oracle.oracle import Oracle, Value
from tests.oracle.reading import Message
from tests.properties.harness import Cluster

#: Hours are kept in panes that are dropped, and corrected in them, for 32 days.
HOURS_KEPT_S = 31 * 86_400


def same(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def closings(cluster: Cluster, catalogue: Catalogue, messages: list[Message], now_ms: int) -> list[str]:
    """Return where a closed month's revision 1 is not what the oracle makes of what lies below the barriers."""
    found = []
    for month in barriers(messages):
        oracle = as_closed(catalogue, messages, month, now_ms)
        year, number = map(int, month.split("-"))
        start = zone.first_instant(catalogue.organisation.zone, date(year, number, 1))
        for (kpi, scope, period, at), value in sorted(cluster.values.items()):
            if period != "month" or at != start:
                continue
            if value.state not in {"closed", "restated"}:
                found.append(f"{kpi} {scope} {month}: its state is {value.state} though the month was closed")
                continue
            first = cluster.revisions[(kpi, scope, start, 1)].value if value.revision > 1 else value.value
            theirs = oracle.value(kpi, scope, "month", start).value
            if not same(first, theirs):
                found.append(f"{kpi} {scope} {month}: revision 1 is {first}, oracle {theirs}")
    return found


def _differs(ours: Any, theirs: Value) -> list[str]:
    if ours.value is ours.coverage is theirs.value is theirs.coverage is None:
        return []  # it tells nothing: as good as none
    wrong = [
        f"{name}: engine {getattr(ours, name)}, oracle {getattr(theirs, name)}"
        for name in ("value", "coverage", "score", "target")
        if not same(getattr(ours, name), getattr(theirs, name))
    ]
    if theirs.value is not None:
        for name in ("count", "numerator", "denominator"):
            a, b = getattr(ours, name), getattr(theirs, name)
            if not same(a, b) and not (name != "count" and (a is None or b is None)):
                wrong.append(f"{name}: engine {a}, oracle {b}")
    if ours.status != theirs.status:
        wrong.append(f"status: engine {ours.status}, oracle {theirs.status}")
    return wrong


def differences(cluster: Cluster, oracle: Oracle, most: int = 5) -> list[str]:
    """Return what the engine has otherwise than the oracle, at most so many."""
    found: list[str] = []
    for key, value in cluster.values.items():
        if key[2] == "hour" and key[3] < oracle.now - HOURS_KEPT_S:
            continue
        wrong = _differs(value, oracle.value(*key))
        if key[2] == "month":
            before = zone.period_of(oracle.zone, "month", key[3] - 1)[0]
            previous = oracle.value(key[0], key[1], "month", before).value
            if not same(value.previous, previous):
                wrong.append(f"previous: engine {value.previous}, oracle {previous}")
        if wrong:
            found.append(f"{key}: {'; '.join(wrong)}")
    for key in missing(cluster, oracle):
        if key not in cluster.values:
            found.append(f"{key}: engine has nothing, oracle {oracle.value(*key).value}")
    for key, status in cluster.statuses.items():
        if key[2] != "hour":
            state, score = oracle.csf(*key)
            if status.status != state or not same(status.score, score):
                found.append(f"{key}: engine {status.status} {status.score}, oracle {state} {score}")
    found += exits(cluster, oracle)
    return sorted(found)[:most]


def missing(cluster: Cluster, oracle: Oracle) -> list[Any]:
    """Return the keys of which the oracle has facts in the span itself or something that lasts, but the engine nothing."""
    found = _missing_lasting(cluster, oracle)
    for kpi in oracle.catalogue.kpis.values():
        if kpi.measure.__struct_config__.tag not in {"count", "sum", "mean", "share", "ratio", "quantile", "distinct"}:
            continue
        for scope, period, start in oracle._by_span(kpi):
            live = period not in {"hour", "day", "month"}
            if period == "hour" and start < oracle.now - HOURS_KEPT_S:
                continue
            first, end = oracle.bounds(period, start)
            key = (kpi.id, scope, period, 0 if live else start)
            offered = first <= oracle.now and oracle.offered(kpi, period, first, end)
            if offered and key not in cluster.values and oracle.value(*key).value is not None:
                found.append(key)
    return found


def _missing_lasting(cluster: Cluster, oracle: Oracle) -> list[Any]:
    """Return the days and months until now of which the oracle knows a stock, an availability or an age, but the engine nothing."""
    found = []
    starts = sorted({key[2:] for key in cluster.values if key[2] in {"day", "month"}})
    kpis = [k.id for k in oracle.catalogue.kpis.values() if isinstance(k.measure, Stock | Availability | Freshness)]
    for period in ("day", "month"):
        first = min((start for p, start in starts if p == period), default=oracle.now)
        while first <= oracle.now:
            for kpi in kpis:
                for scope in oracle.scopes():
                    key = (kpi, scope, period, first)
                    if key not in cluster.values and oracle.value(*key).value is not None:
                        found.append(key)
            first = zone.period_of(oracle.zone, period, first)[1]
    return found


def exits(cluster: Cluster, oracle: Oracle) -> list[str]:
    """Return where exits differ, or where what came in is not what went out."""
    found = []
    for place, counts in oracle.exits.items():
        mine = cluster.exits[place]
        five = mine.kpi + mine.dead_letter + mine.duplicate + mine.unmapped + mine.ignored
        due = sum(number for name, number in counts.items() if not name.startswith("forgotten:"))
        if not mine.received == five == due:
            found.append(f"{place}: received {mine.received}, exits {five}, oracle {due}")
        told = {**mine.reasons, "kpi": mine.kpi, "duplicate": mine.duplicate}
        told = {k: n for k, n in told.items() if n}
        if told != dict(counts):
            found.append(f"{place}: engine {told}, oracle {dict(counts)}")
    return found
