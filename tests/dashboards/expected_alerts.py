"""What the changes of alerts that the KPI store returns say a query over them must answer."""

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.stores.influx_lines import armour, tag_value
from pipeline.values import AlertChange, AlertNote
from tests.dashboards.grafana import Row

_LIKE = re.compile(r'"(csf|scope)" =~ /((?:[^/\\]|\\.)*)/')
_SHOWN = re.compile(r"time >=? (\d+)ms( - 45d)? and time <= (\d+)ms", re.IGNORECASE)
_HORIZON_S = 45 * 86_400
_LEVEL = {"critical": 3, "warning": 2, "info": 1}


def rows(changes: Sequence[AlertChange], query: str, now: float) -> list[Row]:
    """Return the rows that a filled-in query must give."""
    chosen = [c for c in changes if all(re.search(p, tag_value(getattr(c, tag))) for tag, p in _LIKE.findall(query))]
    if "now() - 45d" in query:
        newest = {(c.rule, c.scope): c for c in chosen if c.at > now - _HORIZON_S}
        if '"Critical"' in query:
            return _counts(list(newest.values()), "csf" if query.endswith('GROUP BY "csf"') else "")
        return [_open(c) for c in newest.values() if c.state != "resolved"]
    first, before, last = next(iter(_SHOWN.findall(query)))
    start = int(first) / 1000 - (_HORIZON_S if before else 0)
    shown = [c for c in chosen if start <= c.at <= int(last) / 1000]
    if '"lasted"' in query:
        return _ended([c for c in shown if c.state == "resolved"])
    if '"note"' in query:
        return [
            {"time": c.at * 1000, "rule": tag_value(c.rule), "scope": tag_value(c.scope), "severity": c.severity, "state": c.state,
             "note": armour(c.note, "\\")}
            for c in shown
        ]  # fmt: skip
    return [
        {"time": c.at * 1000, "rule": c.rule, "scope": tag_value(c.scope),
         "level": None if c.state == "resolved" else _LEVEL[c.severity]}
        for c in shown
    ]  # fmt: skip


def notes(found: Sequence[AlertNote], query: str) -> list[Row]:
    """Return the rows of what people and channels did."""
    ((first, _, last),) = _SHOWN.findall(query)
    return [
        {
            "time": n.at * 1000,
            **{name: armour(getattr(n, name), "\\") for name in ("kind", "who", "channel", "about", "why")},
        }
        for n in found
        if int(first) <= n.at * 1000 <= int(last)
    ]


def _open(c: AlertChange) -> Row:
    return {
        "rule": c.rule, "scope": tag_value(c.scope), "level": _LEVEL[c.severity], "csf": c.csf, "state": c.state,
        "since": c.since * 1000, "value": c.value, "threshold": c.threshold, "unit": c.unit, "note": armour(c.note, "\\"),
    }  # fmt: skip


def _counts(newest: Sequence[AlertChange], by: str) -> list[Row]:
    groups = sorted({getattr(c, by) if by else "" for c in newest})
    found = []
    for group in groups:
        mine = Counter(
            c.severity for c in newest if c.state != "resolved" and (not by or getattr(c, by) == group)
        )  # fmt: skip
        row: Row = {name.capitalize(): mine[name] for name in ("critical", "warning", "info")}
        found.append({**row, by: group} if by else row)
    return found


def _ended(over: Sequence[AlertChange]) -> list[Row]:
    lasted: dict[tuple[str, str], list[int]] = {}
    for c in over:
        lasted.setdefault((c.rule, tag_value(c.scope)), []).append(c.at - c.since)
    return [
        {"rule": rule, "scope": scope, "times": len(found), "total": sum(found), "longest": max(found)}
        for (rule, scope), found in lasted.items()
    ]
