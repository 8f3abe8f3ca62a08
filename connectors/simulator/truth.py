"""The ground truth: the monthly figures of a world, worked out from its own facts in plain Python.

It shares nothing with the engine, and does not read the events: it asks the world what it intended.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from connectors.simulator.figures import COUNTED, STOCKS, Book
from connectors.simulator.organisation import NAME, ZONE
from connectors.simulator.setting import Entity, Monthly, Update
from connectors.simulator.truth_time import add_availability, add_freshness, add_peaks
from connectors.simulator.truth_visits import add_visits
from connectors.simulator.world import World

_SCALES = {"csat": (1.0, 5.0), "nps": (0.0, 10.0), "ces": (1.0, 7.0), "change_feedback": (1.0, 5.0)}


def truth(world: World, until: int | None = None) -> dict[str, Any]:
    """Return what the KPIs of a world's months must be, by month, scope and KPI.

    Args:
        world: the world.
        until: only what was told before this instant (default: the anchor).

    Returns:
        ``{"months": {"2026-05": {"org": {"mttr": 7.9, ...}, "service:web-shop": ...}}}`` and what identifies the
        world. Quantiles that the engine sketches (``peak_response_time``, ``sync_latency``) are exact here; there it
        may differ by 1 %. Figures that need the whole month (backlog, availability ...) are told for finished ones.
    """
    return Truth(world, world.anchor if until is None else until).tell()


class Truth:
    """Works out the figures of one world as of one instant."""

    def __init__(self, world: World, until: int) -> None:
        self.world = world
        self.until = until
        calendar = world.calendar
        self.months = range(calendar.first_month, calendar.month_of(until - 1) + 1)
        self.finished = [m for m in self.months if calendar.month_start(m + 1) <= until]
        self.book = Book([calendar.label(m) for m in self.months])

    def tell(self) -> dict[str, Any]:
        """Return the figures of all months."""
        self._incidents()
        self._security()
        self._changes()
        self._surveys()
        self._scaling()
        self._insight()
        self._integration()
        for month in self.months:  # a month without any has none, it is not unknown
            for kpi in COUNTED if month in self.finished else COUNTED - STOCKS:
                self.book.put(kpi, self.world.calendar.label(month), "org", 0.0)
        add_visits(self.book, self.world, self.months, self.until)
        add_peaks(self.book, self.world, self.finished)
        add_availability(self.book, self.world, self.finished, self.until)
        add_freshness(self.book, self.world, self.finished)
        calendar = self.world.calendar
        return {
            "organisation": NAME,
            "zone": ZONE,
            "seed": self.world.setting.seed,
            "start": calendar.calendar.iso(self.world.start),
            "until": calendar.calendar.iso(self.until),
            "finished": [calendar.label(m) for m in self.finished],
            "months": self.book.figures(),
        }

    def _last(self, stream: Monthly[Any]) -> Iterable[tuple[list[Update], Update]]:
        """Yield all that was told of each entity, and the last of it."""
        for month in range(self.months.start, self.months.stop + stream.ahead + 1):
            for entity in stream.plan(month):
                told = told_from(entity, self.world.start, self.until)
                if told:
                    yield told, told[-1]

    def _month(self, when: datetime) -> str:
        return self.world.calendar.label(self.world.calendar.month_of(int(when.timestamp())))

    def _stock(self, kpi: str, spans: list[tuple[str, datetime, datetime | None]]) -> None:
        """Add how many (service, entered, left) are inside at the end of each finished month."""
        for month in self.finished:
            end = self.world.calendar.month_start(month + 1)
            for service, entered, left in spans:
                gone = left is not None and (left.timestamp() < end or left <= entered)
                if entered.timestamp() < end and not gone:
                    self.book.add(kpi, self.world.calendar.label(month), service, 1)

    def _incidents(self) -> None:
        open_spans: list[tuple[str, datetime, datetime | None]] = []
        for told, last in self._last(self.world.incidents):
            data: Any = last.data
            if data.state == "cancelled":
                continue
            opened = self._month(data.opened_at)
            self.book.add("incidents", opened, last.subject, 1)
            self.book.add(f"incidents_p{data.priority}", opened, last.subject, 1)
            open_spans.append((last.subject, data.opened_at, data.closed_at))
            taken = data.acknowledged_at
            states: list[Any] = [u.data for u in told]
            if taken is None:
                taken = min((s.updated_at for s in states if s.state != "new"), default=None)
            if taken is not None:
                self.book.add("mtta", self._month(taken), last.subject, _hours(data.opened_at, taken))
            if data.resolved_at is not None:
                month, hours = self._month(data.resolved_at), _hours(data.opened_at, data.resolved_at)
                for kpi in ("mttr", "mttr_median", "mttr_p90"):
                    self.book.add(kpi, month, last.subject, hours)
                self.book.add("sla_met", month, last.subject, float(data.made_sla))
                again = max(s.reopen_count for s in states) > 0
                self.book.add("reopen_rate", month, last.subject, float(again))
        self._stock("backlog", open_spans)

    def _security(self) -> None:
        for _, last in self._last(self.world.attacks):
            data: Any = last.data
            if data.cancelled:
                continue
            detected = self._month(data.detected_at)
            self.book.add("security_incidents", detected, last.subject, 1)
            if data.breach:
                self.book.add("breaches", detected, last.subject, 1)
            self.book.add("time_to_detect", detected, last.subject, _hours(data.occurred_at, data.detected_at))
            for kpi in ("respond", "contain", "resolve"):
                ended = {"respond": data.responded_at, "contain": data.contained_at, "resolve": data.resolved_at}[kpi]
                if ended is not None:
                    hours = _hours(data.detected_at, ended)
                    self.book.add(f"time_to_{kpi}", self._month(ended), last.subject, hours)
        known: list[Any] = [last for _, last in self._last(self.world.vulnerabilities)]
        self._stock("vulnerabilities_overdue", [(u.subject, u.data.due_at, u.data.fixed_at) for u in known])

    def _changes(self) -> None:
        deployed: dict[tuple[str, str], int] = defaultdict(int)
        for _, last in self._last(self.world.changes):
            data: Any = last.data
            if data.outcome == "cancelled" or data.deployed_at is None:
                continue
            month = self._month(data.deployed_at)
            deployed[month, last.subject] += 1
            good = data.outcome not in {"failed", "rolled_back"}
            self.book.add("change_success_rate", month, last.subject, float(good))
            written = data.commits if data.commits is not None else [data.committed_at]
            self.book.add("change_lead_time", month, last.subject, *(_hours(w, data.deployed_at) for w in written))
        for finished in self.finished:
            label = self.world.calendar.label(finished)
            # days of elapsed time: October has an hour more than its 31 dates
            days = (self.world.calendar.month_start(finished + 1) - self.world.calendar.month_start(finished)) / 86_400
            total = sum(n for (m, _), n in deployed.items() if m == label)
            self.book.put("deployment_frequency", label, "org", total / days)
        for _, last in self._last(self.world.features):
            data = last.data
            if data.outcome == "delivered":
                days_taken = _hours(data.requested_at, data.delivered_at) / 24
                self.book.add("time_to_implement", self._month(data.delivered_at), last.subject, days_taken)

    def _surveys(self) -> None:
        for _, last in self._last(self.world.surveys):
            data: Any = last.data
            low, high = _SCALES[data.kind]
            score = data.score
            if data.scale is not None:
                first, end = (float(x) for x in data.scale.split("-"))
                score = low + (score - first) * (high - low) / (end - first)
            if data.kind == "csat":
                score = float(score >= 4)
            elif data.kind == "nps":
                score = 100.0 if score >= 9 else -100.0 if score <= 6 else 0.0
            month = self.world.calendar.label(self.world.calendar.month_of(last.at))
            self.book.add(data.kind, month, last.subject, float(score))

    def _scaling(self) -> None:
        for _, last in self._last(self.world.scalings):
            data: Any = last.data
            good = data.outcome == "successful"
            told = self.world.calendar.label(self.world.calendar.month_of(last.at))
            self.book.add("scaling_success_rate", told, last.subject, float(good))
            if good:
                seconds = (data.ready_at - data.requested_at).total_seconds()
                self.book.add(f"time_to_scale_{data.direction}", self._month(data.ready_at), last.subject, seconds)

    def _insight(self) -> None:
        groups: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for _, last in self._last(self.world.predictions):
            data: Any = last.data
            label = self.world.calendar.label(self.world.calendar.month_of(last.at))
            groups[label, data.model].append((data.predicted, data.actual))
        for label in {m for m, _ in groups}:
            models = [pairs for (m, _), pairs in groups.items() if m == label]
            n = sum(len(pairs) for pairs in models)
            self.book.put("forecast_accuracy", label, "org", sum(len(p) * _accuracy(p) for p in models) / n)
            self.book.put("forecast_bias", label, "org", sum(len(p) * _bias(p) for p in models) / n)
        for _, last in self._last(self.world.decisions):
            data = last.data
            label = self.world.calendar.label(self.world.calendar.month_of(last.at))
            gain = data.outcome - data.baseline if data.higher_is_better else data.baseline - data.outcome
            self.book.add("decision_success_rate", label, last.subject, float(gain > 0))
            if data.unit == "EUR":
                self.book.add("decision_impact", label, last.subject, gain)
                self.book.ratio("decision_uplift", label, last.subject, gain, data.baseline)

    def _integration(self) -> None:
        for _, last in self._last(self.world.syncs):
            label = self.world.calendar.label(self.world.calendar.month_of(last.at))
            data: Any = last.data
            self.book.add("sync_success_rate", label, last.subject, float(data.ok))
        for _, last in self._last(self.world.reconciliations):
            label = self.world.calendar.label(self.world.calendar.month_of(last.at))
            data = last.data
            self.book.ratio("data_accuracy", label, last.subject, data.matched, data.compared)
            records = data.records_compared + data.missing
            self.book.ratio("data_consistency", label, last.subject, data.records_consistent, records)


def told_from(entity: Entity, start: int, until: int) -> list[Update]:
    """Return what was told of an entity in [start, until): nothing is told before the history begins."""
    return [u for u in entity.told(until) if u.at >= start]


def _hours(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 3600


def _accuracy(pairs: list[tuple[float, float]]) -> float:
    return 100 * (1 - math.fsum(abs(a - p) for p, a in pairs) / math.fsum(abs(a) for _, a in pairs))


def _bias(pairs: list[tuple[float, float]]) -> float:
    return 100 * math.fsum(p - a for p, a in pairs) / math.fsum(abs(a) for _, a in pairs)
