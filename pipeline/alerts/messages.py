"""What a notification says: what, where, since when, value against threshold, sample, coverage, who and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from pipeline.alerts.book import AlertBook, Key
from pipeline.alerts.conditions import Judgement
from pipeline.alerts.desk import Item, Notification
from pipeline.catalogue import alerts as a
from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue
from pipeline.evaluate.judge import badness
from pipeline.report import words
from pipeline.values import KpiValue

_VERB = {"raise": "FIRING", "remind": "STILL FIRING", "clear": "RESOLVED"}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as notifications carry it; times are RFC 3339, coverage is 0-100."""

    kind: str
    rule: str
    name: str
    severity: str
    csf: str
    kpi: str
    scope: str
    scope_name: str
    team: str
    owner: str
    since: str
    value: float | None
    threshold: float | None
    unit: str
    sample: int
    coverage: float | None
    note: str
    contributor: str
    runbook: str
    board: str
    text: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A notification in words and as data; ``id`` is the same however often it is sent."""

    id: str
    at: str
    title: str
    body: str
    alerts: tuple[Told, ...]


class Writer:
    """Writes notifications by the values in force."""

    def __init__(self, catalogue: Catalogue, book: AlertBook) -> None:
        self._catalogue, self._book = catalogue, book
        self._names = Directory(catalogue)
        self._zone = ZoneInfo(catalogue.organisation.zone)

    def write(self, notification: Notification) -> Message:
        """Return what a notification says."""
        told = tuple(self._told(item) for item in notification.items)
        first = told[0]
        more = f" and {len(told) - 1} more" if told[1:] else ""
        title = f"[{_VERB[notification.items[0].kind]}] {first.name}: {first.scope_name}{more}"
        body = "\n\n".join(t.text for t in told) + f"\n\nNotification {notification.id}"
        return Message(id=notification.id, at=_rfc(notification.at), title=title, body=body, alerts=told)

    def _told(self, item: Item) -> Told:
        rule = self._book.rules[item.rule]
        key = (item.rule, item.scope)
        said = self._book.judged(key)
        name, scope = rule.name or rule.id, self._names.name(item.scope)
        owner = rule.owner or ("" if isinstance(rule, a.StatusRule) else self._catalogue.kpis[rule.kpi].owner)
        coverage = None if said.coverage is None else 100 * said.coverage
        contributor = "" if item.kind == "clear" else self._contributor(rule, key)
        board = self._board(rule, item.scope)
        told = Told(
            kind=item.kind, rule=rule.id, name=name, severity=rule.severity, csf=self._book.csf_of(rule),
            kpi=getattr(rule, "kpi", ""), scope=item.scope, scope_name=scope, team=self._names.team(item.scope) or "",
            owner=owner, since=_rfc(item.since), value=said.value, threshold=said.threshold, unit=said.unit,
            sample=said.count, coverage=coverage, note=said.note, contributor=contributor, runbook=rule.runbook or "",
            board=board, text="",
        )  # fmt: skip
        return msgspec.structs.replace(told, text="\n".join(self._lines(told, rule, said, item)))

    def _lines(self, told: Told, rule: a.AnyRule, said: Judgement, item: Item) -> Iterable[str]:
        since = datetime.fromtimestamp(item.since, self._zone)
        yield f"{_VERB[item.kind]}: {told.name}, {told.scope_name} ({told.severity})"
        yield f"Since {words.moment(since.isoformat())} ({self._catalogue.organisation.zone})"
        kpi = None if isinstance(rule, a.StatusRule) else self._catalogue.kpis[rule.kpi]
        decimals = kpi.decimals if kpi is not None and kpi.unit == said.unit else 1
        if said.value is not None:
            value = words.quantity(said.value, said.unit, decimals)
            against = "" if said.threshold is None else f", limit {words.bound(said.threshold, said.unit, decimals)}"
            yield f"Value {value}{against}" + (f" ({said.note})" if said.note else "")
        else:
            yield f"Value {words.UNKNOWN}" + (f" ({said.note})" if said.note else "")
        if said.count:
            yield f"Sample {said.count:,}"
        if said.coverage is not None:
            yield f"Coverage {words.share(said.coverage)}"
        for label, text in (
            ("Worst", told.contributor), ("Team", told.team), ("Owner", told.owner), ("Runbook", told.runbook),
            ("Board", told.board),
        ):  # fmt: skip
            if text:
                yield f"{label}: {text}"

    def _contributor(self, rule: a.AnyRule, key: Key) -> str:
        """Return the service inside a team or the organisation that is worst by the same KPI and window."""
        scope = key[1]
        if isinstance(rule, a.StatusRule) or scope.startswith("service:"):
            return ""
        kpi = self._catalogue.kpis[rule.kpi]
        window = rule.window if isinstance(rule, a.ThresholdRule | a.AbsenceRule) else None
        inside = set(self._names.services(scope))
        found = [
            v
            for (what, period, where), v in self._book.series.items()
            if what == kpi.id and where.startswith("service:") and (window is None or period == window)
            if isinstance(v, KpiValue) and v.value is not None and (scope == "org" or where in inside)
        ]
        if not found:
            return ""
        worst = max(found, key=lambda v: (badness(kpi, v.value or 0.0), v.scope))
        return f"{self._names.name(worst.scope)}, {words.quantity(worst.value, kpi.unit, kpi.decimals)}"

    def _board(self, rule: a.AnyRule, scope: str) -> str:
        url = self._catalogue.organisation.board_url
        if url is None:
            return ""
        for name, text in (("csf", self._book.csf_of(rule)), ("kpi", getattr(rule, "kpi", "")), ("scope", scope)):
            url = url.replace(f"{{{name}}}", _quoted(text))
        return url


def _quoted(text: str) -> str:
    """Return a text as a part of an address."""
    plain = "-._~"
    return "".join(
        c if (c.isascii() and c.isalnum()) or c in plain else f"%{c.encode().hex('%').upper()}" for c in text
    )


def _rfc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
