"""What the KPI store says a query must answer: the query is read, its conditions applied to what the store's own reads return."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.stores.influx_lines import armour, tag_value
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.values import WINDOWS, CsfStatus, KpiRevision, KpiValue, ReportText
from tests.dashboards import expected_alerts
from tests.dashboards.grafana import Row

_TAG_IS = re.compile(r"\"(\w+)\" = '((?:[^'\\]|\\.)*)'")
_TAG_LIKE = re.compile(r'"(\w+)" =~ /((?:[^/\\]|\\.)*)/')
_TIME = re.compile(r"time ([<>]=?|=) (now\(\)|\d+(?:ms|s)?)(?: - (\d+)([smhd]))?")
_UNIT = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SELECTED = re.compile(r'(?:, |^)(.*?) AS "([^"]+)"')
_ONE_KPI = re.compile(r"\"kpi\" (?:= '|=~ /\^)([a-z0-9_]+)(?:'|\$/)")


@dataclass(frozen=True)
class Point:
    """A point as the store says it is: its time, tags as they are stored, and its fields, None where unknown."""

    time: int
    tags: dict[str, str]
    fields: dict[str, Any]


def _value(v: KpiValue, calendar: Calendar) -> Point:
    live = v.state == "live"
    tags = {"csf": v.csf, "kpi": v.kpi, "scope": v.scope, "window" if live else "period": v.period}
    fields = {name: getattr(v, name) for name in v.__struct_fields__}
    fields["month"] = calendar.iso(v.start)[:7]
    return Point(v.end if live else v.start, {k: tag_value(t) for k, t in tags.items()}, fields)


def _status(s: CsfStatus) -> Point:
    tags = {"csf": s.csf, "scope": s.scope, "period": s.period}
    at = s.end if s.period in WINDOWS else s.start
    return Point(at, {k: tag_value(t) for k, t in tags.items()}, {n: getattr(s, n) for n in s.__struct_fields__})


def _revision(r: KpiRevision) -> Point:
    tags = {"csf": r.csf, "kpi": r.kpi, "scope": r.scope, "period": r.period, "revision": str(r.revision)}
    fields = {"value": r.value, "replaced_by": r.replaced_by, "reason": r.reason}
    return Point(r.start, {k: tag_value(t) for k, t in tags.items()}, fields)


def _said(t: ReportText) -> Point:
    tags = {"csf": t.csf, "scope": t.scope, "period": t.period}
    fields = {name: getattr(t, name) for name in ("verdict", "insight", "concerns", "suggestions")}
    return Point(t.start, {k: tag_value(v) for k, v in tags.items()}, fields)


class World:
    """Everything a store holds, read once through its port."""

    def __init__(self, store: KpiStore, calendar: Calendar) -> None:
        periods = ("hour", "day", "month")
        live = [v for w in WINDOWS for v in store.live(window=w, end_from=0)]
        self.points = {
            "kpi_live": [_value(v, calendar) for v in live],
            "kpi_period": [_value(v, calendar) for p in periods for v in store.periods(period=p)],
            "csf_status": [_status(s) for p in (*WINDOWS, *periods) for s in store.statuses(period=p)],
            "kpi_revision": [_revision(r) for p in periods for r in store.revisions(period=p)],
            "report_text": [_said(t) for t in store.report_texts(period="month")],
        }
        self.alerts = store.alerts()
        self.alert_notes = store.alert_notes()
        self._of_kpi: dict[tuple[str, str], list[Point]] = {}
        for measurement, points in self.points.items():
            for point in points:
                self._of_kpi.setdefault((measurement, point.tags.get("kpi", "")), []).append(point)
        self.newest_arrival = max((e.clock for e in store.exits()), default=None)

    def rows(self, query: str, now: float) -> list[Row]:
        """Return the rows that a filled-in query must give, ordered by tags and time, one a definition."""
        if "pipeline_exits" in query:
            return [{"Newest": None if self.newest_arrival is None else 1000 * self.newest_arrival}]
        measurement = re.findall(r'FROM "(\w+)"', query)[0]
        if measurement == "alert_note":
            return expected_alerts.notes(self.alert_notes, query)
        if measurement == "alert":
            return expected_alerts.rows(self.alerts, query, now)
        where, tags = _conditions(query), _group(query)
        one = _ONE_KPI.search(where)
        candidates = self._of_kpi.get((measurement, one[1]), []) if one else self.points[measurement]
        found = [p for p in candidates if _meets(p, where, now)]
        if "LAST(" in query:
            found = _newest(found, tags, query)
        rows = [{**{t: p.tags[t] for t in tags}, **_columns(query, p)} for p in found]
        return [r for r in rows if r["Score"] is not None] if '"Score" >= 0' in query else rows


def _conditions(query: str) -> str:
    """Return the query from the conditions of the measurement on; what follows them looks like no condition."""
    return re.split(r'FROM "\w+" WHERE ', query, maxsplit=1)[1]


def _group(query: str) -> list[str]:
    found = re.search(r" GROUP BY ([^()]*)$", query)
    return [t for t in re.findall(r'"(\w+)"', found[1]) if t != "definition"] if found else []


def _meets(point: Point, where: str, now: float) -> bool:
    for tag, text in _TAG_IS.findall(where):
        if tag in point.tags and point.tags[tag] != re.sub(r"\\(.)", r"\1", text):
            return False
    for tag, pattern in _TAG_LIKE.findall(where):
        if not re.search(pattern, point.tags[tag]):
            return False
    return all(_in_time(point.time, *condition, now=now) for condition in _TIME.findall(where))


def _instant(text: str, now: float) -> float:
    if text == "now()":
        return now
    return int(text[:-2]) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


def _in_time(time: int, sign: str, text: str, amount: str, unit: str, *, now: float) -> bool:
    at = _instant(text, now) - (int(amount) * _UNIT[unit] if amount else 0)
    return {"<": time < at, ">": time > at, "<=": time <= at, ">=": time >= at, "=": time == at}[sign]


def _newest(points: Iterable[Point], tags: list[str], query: str) -> list[Point]:
    each = re.search(r"time\((\d+)([smhd])\)", query)
    length = int(each[1]) * _UNIT[each[2]] if each else 0
    last: dict[tuple[Any, ...], Point] = {}
    for p in sorted(points, key=lambda p: p.time):
        bucket = p.time // length * length if length else 0
        last[(*(p.tags[t] for t in tags), bucket)] = Point(bucket if length else p.time, p.tags, p.fields)
    return list(last.values())


def _columns(query: str, point: Point) -> Row:
    """Return the columns of a row: which field an expression is about, and what the store says of it."""
    outer = query[len("SELECT ") : query.index(" FROM ")]
    row: Row = {"time": point.time * 1000}
    for expression, name in _SELECTED.findall(outer):
        field = re.findall(r'"(\w+)"', expression)[0]
        if expression == '1 - "known"':
            known = point.fields.get("value", point.fields.get("score"))
            row[name] = float(known is None)
            continue
        value = point.fields[field]
        scaled = expression.startswith("100 * ") and value is not None
        row[name] = 100 * value if scaled else armour(value, "\\") if isinstance(value, str) else value
    if not row.keys() - {"time"}:  # a query around another: its columns are called as those inside
        row |= {name: point.fields[name.lower()] for name in re.findall(r'"(\w+)"', outer)}
    return row
