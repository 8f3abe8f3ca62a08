"""The oracle: every value of the catalogue for a bounded list of messages, as docs/semantics.md says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pipeline.catalogue import model as m
from tests.oracle import intervals, measures, spans, zone
from tests.oracle.expr import expression, true
from tests.oracle.judging import judged, of_csf
from tests.oracle.measures import Outcome
from tests.oracle.reading import Message, read
from tests.oracle.records import frames, kinds_of

#: KPIs that are offered for a length at least, seconds.
SMALLEST = {"live": 0, "hour": 3600, "6h": 21_600, "day": 72_000, "week": 604_800}
BY_SPAN = (m.Count, m.Sum, m.Mean, m.Share, m.Ratio, m.Quantile, m.Distinct, m.Forecast)


@dataclass(frozen=True)
class Value:
    """One value as the oracle has it."""

    value: float | None
    count: int
    numerator: float | None
    denominator: float | None
    coverage: float | None
    target: float | None
    status: str
    score: float | None
    reported: bool = False


def reads(measure: Any) -> set[str]:
    """Return the event types a measure's values need sources of."""
    if isinstance(measure, m.Availability):
        return {"uptime.checked"}
    events = [*measure.events, *getattr(measure, "user_events", ())]
    return {t for e in events for t in (("page.viewed", "session.ended") if e == "session" else (e,))}


def wanted_types(catalogue: m.Catalogue) -> set[str]:
    """Return the event types that become facts."""
    found: set[str] = set()
    for kpi in catalogue.kpis.values():
        how = kpi.measure
        if isinstance(how, m.Availability):
            found |= {"uptime.checked", "maintenance.scheduled"}
            found |= {"incident.updated"} if how.stat in {"outages", "mtbf"} else set()
        else:
            found |= {*how.events, *getattr(how, "user_events", ())}
    return found - {"session"} | ({"page.viewed", "task.finished", "session.ended"} if "session" in found else set())


class Oracle:
    """Values, statuses and exits of messages, as of a clock (by default the largest arrival)."""

    def __init__(self, catalogue: m.Catalogue, messages: list[Message], now_ms: int | None = None) -> None:
        self.catalogue = catalogue
        self.zone = catalogue.organisation.zone
        self.read = read(catalogue, messages, wanted_types(catalogue))
        self.now_ms = self.read.now_ms if now_ms is None else now_ms
        self.now = self.now_ms // 1000
        self.frames = frames(catalogue, self.read)
        self._uptimes: dict[int, intervals.Uptime] = {}
        self._groups: dict[str, dict[tuple[str, str, int], dict[str, list[Any]]]] = {}
        self._rows: dict[Any, pl.DataFrame | None] = {}
        self._covered: dict[Any, float | None] = {}

    @property
    def exits(self) -> dict[tuple[str, int], Counter[str]]:
        return self.read.exits

    # --- scopes and spans ---

    def team(self, service: str) -> str:
        return self.read.teams.get(service, "unassigned")

    def services(self, scope: str) -> list[str]:
        kind, _, name = scope.partition(":")
        if kind == "service":
            return [name] if name in self.read.teams else []
        return sorted(s for s, team in self.read.teams.items() if kind == "org" or team == name)

    def scopes(self) -> list[str]:
        teams = sorted(set(self.read.teams.values()))
        return ["org", *(f"team:{t}" for t in teams), *(f"service:{s}" for s in sorted(self.read.teams))]

    def bounds(self, period: str, start: int) -> tuple[int, int]:
        if period in zone.STEPS:
            return zone.window_at(period, self.now)
        return zone.period_of(self.zone, period, start)

    def offered(self, kpi: m.Kpi, period: str, start: int, end: int) -> bool:
        if period == "hour" and isinstance(kpi.measure, m.Stock | m.Availability | m.Freshness):
            return False
        return zone.LENGTHS.get(period, end - start) >= SMALLEST[kpi.smallest]

    # --- values ---

    def value(self, kpi_id: str, scope: str, period: str, start: int = 0) -> Value:
        """Return one value; ``start`` is ignored for rolling windows."""
        kpi = self.catalogue.kpis[kpi_id]
        start, end = self.bounds(period, start)
        outcome = self._outcome(kpi, scope, period, start, end)
        covered = self.coverage(kpi, scope, start, self.measured_end(period, start, end))
        value = outcome.value
        if outcome.zero_needs_coverage and outcome.count == 0 and not covered:
            value = None
        target = self._target(kpi.id, scope, start)
        sample = max(outcome.count, kpi.min_sample) if outcome.zero_needs_coverage else outcome.count
        found = Value(
            value, outcome.count, outcome.numerator, outcome.denominator, covered, target,
            *judged(kpi, value, sample, target),
        )  # fmt: skip
        return self._with_reported(kpi, scope, start, found) if period == "month" and value is None else found

    def _with_reported(self, kpi: m.Kpi, scope: str, start: int, found: Value) -> Value:
        day = zone.local_date(self.zone, start)
        said = self.read.reported.get((kpi.id, scope, f"{day.year}-{day.month:02d}"))
        if said is None:
            return found
        target = found.target if said.target is None else said.target
        count = kpi.min_sample if said.count is None else said.count
        status, score = judged(kpi, said.value, count, target)
        return Value(
            said.value, count, said.numerator, said.denominator, found.coverage, target, status, score, reported=True
        )

    def _target(self, kpi: str, scope: str, start: int) -> float | None:
        day = zone.local_date(self.zone, start)
        team = [f"team:{self.team(scope[8:])}"] if scope.startswith("service:") else []
        for wanted in [scope, *team, "org"]:
            for t in self.catalogue.targets:
                held = (t.valid_from or date.min) <= day <= (t.valid_to or date.max)
                if t.kpi == kpi and t.scope == wanted and held:
                    return t.value
        return self.catalogue.kpis[kpi].target

    def csf(self, csf: str, scope: str, period: str, start: int = 0) -> tuple[str, float | None]:
        """Return status and score of a CSF."""
        first, end = self.bounds(period, start)
        kpis = [k for k in self.catalogue.kpis.values() if k.csf == csf and self.offered(k, period, first, end)]
        return of_csf(
            [(self.value(k.id, scope, period, start).score, k.weight) for k in kpis], self.catalogue.organisation
        )

    def as_of(self, period: str) -> int:
        """Return the clock in whole steps: those of a window, minutes for other periods."""
        step = zone.STEPS.get(period, 60)
        return self.now // step * step

    def measured_end(self, period: str, start: int, end: int) -> int:
        """Return the end of what has passed of a span: of a window up to its last step, else whole minutes."""
        return max(start, min(end, self.as_of(period)))

    def uptime(self, as_of: int) -> intervals.Uptime:
        """Return availability as of an instant."""
        if as_of not in self._uptimes:
            self._uptimes[as_of] = intervals.Uptime(self.catalogue, self.frames, self.read.polls, as_of * 1000)
        return self._uptimes[as_of]

    def coverage(self, kpi: m.Kpi, scope: str, start: int, until: int) -> float | None:
        """Return the share of the elapsed part of a span that the KPI's sources delivered."""
        types = frozenset(reads(kpi.measure))
        key = (types, scope, start, until)
        if key not in self._covered:
            mine = self.services(scope)
            asked = [s for s in mine if s in self.catalogue.services] or mine
            each = [self._covered_service(types, s, start, until) for s in asked]
            known = [c for c in each if c is not None]
            self._covered[key] = sum(known) / len(known) if known else None
        return self._covered[key]

    def _covered_service(self, types: frozenset[str], service: str, start: int, end: int) -> float | None:
        sources: dict[str, list[tuple[int, int]]] = {}
        for poll in self.read.polls:
            if types & set(poll.types) and (poll.services is None or service in poll.services):
                mine = sources.setdefault(poll.source, [])
                if poll.complete:
                    mine.append((int(poll.from_.timestamp()), int(poll.to.timestamp())))
        if not sources or end <= start:
            return None
        return min(spans.length(spans.within(spans.union(p), start, end)) for p in sources.values()) / (end - start)

    # --- outcomes ---

    def _outcome(self, kpi: m.Kpi, scope: str, period: str, start: int, end: int) -> Outcome:
        how = kpi.measure
        # days that have begun, by whole steps
        elapsed = max(start, min(end - 1, self.as_of(period))) + 1
        if isinstance(how, BY_SPAN):
            rows = self._by_span(kpi).get((scope, period, start), {})
            return measures.summed(how, rows, self.measured_end(period, start, end) - start)
        mine = self.services(scope)
        match how:
            case m.Stock():
                frame = self._contributions(kpi)
                rows = (
                    []
                    if frame is None
                    else frame.filter(pl.col("_service").is_in(mine)).select("enter", "leave").rows()
                )
                at = end if period in zone.STEPS else min(end, self.as_of(period) + 60)
                return measures.stock(rows, at * 1_000_000)
            case m.Peak():
                return self._peak(kpi, how, scope, period, start, end)
            case m.Stickiness():
                return self._stickiness(kpi, scope, period, start, end, elapsed)
            case m.PerUserDay():
                return self._per_user_day(how, scope, period, start, end, elapsed)
            case m.Availability():
                target = self._availability_target(kpi, scope, start)
                figures = self.uptime(self.as_of(period)).figures(mine, start * 1000, end * 1000)
                return intervals.availability(how.stat, figures, target)
            case m.Freshness():
                measured = self.measured_end(period, start, end)
                return intervals.freshness(self._syncs(how, mine), start * 1000, measured * 1000)
        raise NotImplementedError(type(how).__name__)

    def _contributions(self, kpi: m.Kpi) -> pl.DataFrame | None:
        if kpi.id not in self._rows:
            self._rows[kpi.id] = measures.contributions(kpi.measure, self.frames)
        return self._rows[kpi.id]

    def _by_span(self, kpi: m.Kpi) -> dict[tuple[str, str, int], dict[str, list[Any]]]:
        """Return the contributions of every scope and period that has some."""
        if kpi.id not in self._groups:
            frame = self._contributions(kpi)
            self._groups[kpi.id] = {} if frame is None else self._grouped(frame)
        return self._groups[kpi.id]

    def _grouped(self, frame: pl.DataFrame) -> dict[tuple[str, str, int], dict[str, list[Any]]]:
        team = pl.col("_service").replace_strict(self.read.teams, return_dtype=pl.String)
        scoped = pl.concat(
            [
                frame.with_columns(pl.lit("org").alias("scope")),
                frame.with_columns(("team:" + team).alias("scope")),
                frame.with_columns(("service:" + pl.col("_service")).alias("scope")),
            ]
        )
        second = pl.col("_at") // 1_000_000
        times = sorted(set(frame.select(second).to_series().to_list()))
        parts = []
        for period in ("hour", "day", "month"):
            starts = {t: zone.period_of(self.zone, period, t)[0] for t in times}
            start = second.replace_strict(starts, return_dtype=pl.Int64) if times else pl.lit(0, pl.Int64)
            parts.append(scoped.with_columns(pl.lit(period).alias("period"), start.alias("start")))
        for window in zone.STEPS:
            a, b = zone.window_at(window, self.now)
            inside = scoped.filter((second >= a) & (second < b))
            parts.append(inside.with_columns(pl.lit(window).alias("period"), pl.lit(a, pl.Int64).alias("start")))
        columns = [c for c in frame.columns if c != "_service"]
        whole = pl.concat(parts).group_by(["scope", "period", "start"]).agg([pl.col(c) for c in columns])
        return {(r["scope"], r["period"], r["start"]): {c: r[c] for c in columns} for r in whole.iter_rows(named=True)}

    def _between(self, frame: pl.DataFrame | None, scope: str, start: int, end: int) -> pl.DataFrame | None:
        if frame is None:
            return None
        inside = (pl.col("_at") >= start * 1_000_000) & (pl.col("_at") < end * 1_000_000)
        return frame.filter(inside & pl.col("_service").is_in(self.services(scope)))

    def _peak(self, kpi: m.Kpi, how: m.Peak, scope: str, period: str, start: int, end: int) -> Outcome:
        if period in zone.STEPS:
            if end - start < 21_600:
                return measures.UNKNOWN
            start, end = start // 3600 * 3600, -(-end // 3600) * 3600
        elif period == "hour":
            return measures.UNKNOWN
        found = self._between(self._contributions(kpi), scope, start, end)
        rows = [] if found is None else found.select("_at", "n", "error", "latency").rows()
        return measures.peak(how, rows, self.zone)

    def _users(self, frame: pl.DataFrame | None, scope: str, start: int, end: int) -> float:
        found = self._between(frame, scope, start, end)
        return 0 if found is None else measures.estimates.distinct(set(found["text"].to_list()))

    def _stickiness(self, kpi: m.Kpi, scope: str, period: str, start: int, end: int, elapsed: int) -> Outcome:
        if end - start < 604_800:
            return measures.UNKNOWN
        frame = self._contributions(kpi)
        whole = self._users(frame, scope, start, end)
        days = measures.day_parts(self.zone, period, start, end, elapsed)
        if not whole:
            return measures.UNKNOWN
        mean = sum(self._users(frame, scope, a, b) for a, b in days) / len(days)
        return Outcome(100 * mean / whole, round(whole), mean, whole)

    def _per_user_day(self, how: m.PerUserDay, scope: str, period: str, start: int, end: int, elapsed: int) -> Outcome:
        main = m.Mean(events=how.events, value=how.value, scale=how.scale)
        users = m.Distinct(events=how.user_events, value=how.user)
        for key in (main, users):
            if repr(key) not in self._rows:
                self._rows[repr(key)] = measures.contributions(key, self.frames)
        rows = self._between(self._rows[repr(main)], scope, start, end)
        days = measures.day_parts(self.zone, period, start, end, elapsed)
        per_day = sum(self._users(self._rows[repr(users)], scope, a, b) for a, b in days)
        if rows is None or not rows.height or not per_day:
            return measures.UNKNOWN
        total = sum(rows["num"].to_list()) / 1e6 / m.SCALE_SECONDS[how.scale]
        return Outcome(total / per_day, rows.height, total, per_day)

    def _availability_target(self, kpi: m.Kpi, scope: str, start: int) -> float | None:
        for other in self.catalogue.kpis.values():
            same = other.csf == kpi.csf and isinstance(other.measure, m.Availability)
            if same and other.measure.stat == "availability":
                return self._target(other.id, scope, start)
        return None

    def _syncs(self, how: m.Freshness, services: list[str]) -> list[tuple[str, str, int]]:
        key = (repr(how), tuple(services))
        if key not in self._rows:
            rows: list[tuple[str, str, int]] = []
            for event in how.events:
                if event in self.frames:
                    kinds = kinds_of(event)
                    ok = true(how.where, kinds).fill_null(value=False)
                    at = expression(how.completed, kinds)[0]
                    found = self.frames[event].filter(ok & at.is_not_null() & pl.col("_service").is_in(services))
                    pair = pl.concat_str([pl.col("from_"), pl.col("to")], separator="\x1f")
                    rows += found.select("_service", pair.alias("pair"), at // 1000).rows()
            self._rows[key] = rows  # type: ignore[assignment] # rows of plain tuples, kept beside the frames
        return self._rows[key]  # type: ignore[return-value] # as above
