"""What a notification says: what, where, since when, value against threshold, sample, coverage, who and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from pipeline.alerts.book import AlertBook, Key
from pipeline.alerts.conditions import Judgement, needs
from pipeline.alerts.desk import MAINTENANCE, Held, Item, Notification
from pipeline.alerts.links import filled
from pipeline.alerts.nesting import Nesting
from pipeline.catalogue import alerts as a
from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Availability, Catalogue, Kpi
from pipeline.evaluate.judge import badness
from pipeline.report import words
from pipeline.values import CsfStatus, KpiValue

_WORDS = {"raise": "FIRING", "remind": "STILL FIRING", "clear": "RESOLVED"}
#: Other rules, and scopes, named in a message at most.
_MOST_ALSO = 5


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as notifications carry it; times are RFC 3339, coverage is 0-100.

    Attributes:
        kind: ``raise``, ``remind`` or ``clear``.
        since: when it began to fire; until: when it was over, None while it fires.
        value, threshold: in ``unit``; what was compared, None where unknown. ``note`` says what they are, or why
            nothing is known.
        tier: of the service, None for what is no service of the catalogue.
        contributor: the service inside a team or the organisation that is worst by the same measure.
        also: names of other rules that fire for the same scope.
        inside, around: names of the services (else teams) inside the scope, and of the team and organisation around it,
            for which the rule, or one that says more of the same, fires too.
        held: of a raise that is told later than it began to fire, what held it back; else empty.
    """

    kind: str
    rule: str
    name: str
    severity: str
    csf: str
    kpi: str
    scope: str
    scope_name: str
    team: str
    tier: int | None = None
    owner: str
    since: str
    until: str | None = None
    value: float | None
    threshold: float | None
    unit: str
    sample: int
    coverage: float | None
    note: str
    contributor: str
    also: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    around: tuple[str, ...] = ()
    held: str = ""
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


def put_together(name: str, at: str, told: tuple[Told, ...]) -> Message:
    """Return the notification of some alerts, the most urgent first; of none it says nothing."""
    if not told:
        return Message(id=name, at=at, title="", body="", alerts=())
    first = told[0]
    alike = sum(1 for t in told[1:] if (t.kind == "clear") == (first.kind == "clear"))
    over = len(told) - 1 - alike
    more = (f" and {alike} more" if alike else "") + (f"; {over} resolved" if over else "")
    severity = "" if first.kind == "clear" else f" {first.severity}"
    title = f"[{_WORDS[first.kind]}{severity}] {first.scope_name}: {first.name}{more}"
    body = "\n\n".join(t.text for t in told) + f"\n\nNotification {name}"
    return Message(id=name, at=at, title=title, body=body, alerts=told)


class Writer:
    """Writes notifications by the values in force."""

    def __init__(self, catalogue: Catalogue, book: AlertBook) -> None:
        self._catalogue, self._book = catalogue, book
        self._names = Directory(catalogue)
        self._zone = ZoneInfo(catalogue.organisation.zone)

    def nesting(self) -> Nesting:
        """Return what fires inside what now: worked out once for all notifications of an instant."""
        return Nesting(self._catalogue, self._book)

    def write(self, notification: Notification, nesting: Nesting) -> Message:
        """Return what a notification says."""
        beside = {(item.rule, item.scope) for item in notification.items}
        told = tuple(self._told(item, beside, nesting) for item in notification.items)
        return put_together(notification.id, _rfc(notification.at), told)

    def _told(self, item: Item, beside: set[Key], nesting: Nesting) -> Told:
        rule, key = self._book.rule(item.rule), (item.rule, item.scope)
        said = Judgement(None, note=item.why) if item.why else self._book.judged(key)
        kpi = self._kpi(rule)
        service = self._catalogue.services.get(item.scope.removeprefix("service:"))
        clear = item.kind == "clear"
        inside, around = ((), ()) if clear else self._same(rule, item.scope, nesting)
        told = Told(
            kind=item.kind, rule=rule.id, name=rule.name or rule.id, severity=rule.severity, csf=self._book.csf_of(rule),
            kpi=getattr(rule, "kpi", ""), scope=item.scope, scope_name=self._names.name(item.scope),
            team=self._names.team(item.scope) or item.scope.partition("team:")[2], tier=service.tier if service else None,
            owner=rule.owner or (kpi.owner if kpi else ""), since=_rfc(item.since),
            until=_rfc(self._over_at(item)) if clear else None, value=said.value, threshold=said.threshold, unit=said.unit,
            sample=said.count, coverage=None if said.coverage is None else 100 * said.coverage, note=said.note,
            contributor="" if clear else self._contributor(rule, key), also=() if clear else self._also(key, beside, nesting),
            inside=inside, around=around, held="; ".join(self._held(held, item.since) for held in item.held),
            runbook=rule.runbook or self._address(self._catalogue.organisation.runbook_url, rule, item.scope),
            board=self._address(self._catalogue.organisation.board_url, rule, item.scope), text="",
        )  # fmt: skip
        return msgspec.structs.replace(told, text="\n".join(self._lines(told, said, item)))

    def _kpi(self, rule: a.AnyRule) -> Kpi | None:
        return None if isinstance(rule, a.StatusRule) else self._catalogue.kpis.get(rule.kpi)

    def _over_at(self, item: Item) -> int:
        """Return when an alert was over by the data clock."""
        instance = self._book.instances.get((item.rule, item.scope))
        over = instance is not None and instance.state == "resolved"
        return instance.since if over and instance else int(self._book.clock_of((item.rule, item.scope)))

    def _lines(self, told: Told, said: Judgement, item: Item) -> Iterable[str]:
        yield f"{_WORDS[item.kind]}: {told.scope_name}, {told.name} ({told.severity})"
        yield self._times(item)
        if told.held:
            yield f"Held back until now: {told.held}"
        kpi = self._catalogue.kpis.get(told.kpi)
        decimals = kpi.decimals if kpi is not None and kpi.unit == said.unit else 1
        if said.value is not None:
            value = words.quantity(said.value, said.unit, decimals)
            against = "" if said.threshold is None else f", limit {words.bound(said.threshold, said.unit, decimals)}"
            label = "Value" if told.kpi else "Score"
            yield f"{label} {value}{against}" + (f" ({said.note})" if said.note else "")
        elif item.why:
            yield f"Over because {item.why}: nothing is judged any more"
        else:
            yield f"Value {words.UNKNOWN}" + (f" ({said.note})" if said.note else "")
        if said.count:
            # of availability and what follows from it the sample is time, in seconds
            timed = kpi is not None and isinstance(kpi.measure, Availability)
            yield f"Observed {_length(said.count)}" if timed else f"Sample {said.count:,}"
        if said.coverage is not None:
            yield f"Coverage {words.share(said.coverage)}"
        tier = f" (tier {told.tier})" if told.tier is not None else ""
        for label, text in (
            ("Worst", told.contributor), ("Firing inside", _some(told.inside)), ("Firing around it", _some(told.around)),
            ("Also firing here", "; ".join(told.also)), ("Team", told.team and told.team + tier),
            ("Owner", told.owner), ("Runbook", told.runbook), ("Board", told.board),
            ("Take it on", "" if item.kind == "clear" else f"csf alerts ack {told.rule} {told.scope}"),
        ):  # fmt: skip
            if text:
                yield f"{label}: {text}"

    def _times(self, item: Item) -> str:
        zone = self._catalogue.organisation.zone
        if item.kind != "clear":
            since = datetime.fromtimestamp(item.since, self._zone)
            return f"Since {words.moment(since.isoformat())} ({zone})"
        until = self._over_at(item)
        return f"From {self._span(item.since, until)} ({zone}), {_length(until - item.since)}"

    def _span(self, start: int, end: int) -> str:
        """Return two instants, the second with its day where that is another."""
        first, last = (datetime.fromtimestamp(at, self._zone) for at in (start, end))
        until = f"{last:%H:%M}" if last.date() == first.date() else words.moment(last.isoformat())
        return f"{words.moment(first.isoformat())} to {until}"

    def title(self, key: Key) -> str:
        """Return where and what an alert is."""
        rule = self._book.rules.get(key[0]) or self._book.retired.get(key[0])
        return f"{self._names.name(key[1])}: {(rule.name if rule else '') or key[0]}"

    def why_held(self, held: Held) -> str:
        """Return what holds a raise back."""
        return held.why if held.by is None else f"told as part of {self.title(held.by)}"

    def _held(self, held: Held, since: int) -> str:
        """Return what held a raise back, and that it began in a maintenance if so."""
        if held.window is None:
            return self.why_held(held)
        start, end = held.window
        began = "began in " if start <= since < end else ""
        return f"{began}{MAINTENANCE} ({self._span(start, end)})"

    def _contributor(self, rule: a.AnyRule, key: Key) -> str:
        """Return the service inside a team or the organisation that is worst by what the rule looks at first."""
        scope = key[1]
        if scope.startswith("service:"):
            return ""
        what, window = needs(rule)[0]
        if isinstance(rule, a.StatusRule):
            status = self._book.series.get((what, window, scope))
            worst_service = status.worst_service if isinstance(status, CsfStatus) else None
            return self._names.name(worst_service) if worst_service else ""
        kpi = self._catalogue.kpis[rule.kpi]
        inside = set(self._names.services(scope))
        found = [
            v
            for (name, period, where), v in self._book.series.items()
            if name == what
            and period == window
            and where.startswith("service:")
            and (scope == "org" or where in inside)
            if isinstance(v, KpiValue) and v.value is not None
        ]
        if not found:
            return ""
        worst = max(found, key=lambda v: (badness(kpi, v.value or 0.0), v.scope))
        return f"{self._names.name(worst.scope)}, {words.quantity(worst.value, kpi.unit, kpi.decimals)}"

    def _also(self, key: Key, beside: set[Key], nesting: Nesting) -> tuple[str, ...]:
        """Return what else fires for the same scope and is not told beside it, the most urgent first."""
        others = [self._book.rules[rule] for rule in nesting.rules_at(key[1]) if (rule, key[1]) not in beside]
        others.sort(key=lambda rule: (a.SEVERITIES.index(rule.severity), rule.id))
        return tuple(rule.name or rule.id for rule in others[:_MOST_ALSO])

    def _same(self, rule: a.AnyRule, scope: str, nesting: Nesting) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of what the same fires for inside a scope, and around it."""
        around = [
            wide for wide in nesting.around(scope) if any(nesting.fires((name, wide)) for name in nesting.alike(rule))
        ]
        inside = [] if scope.startswith("service:") else nesting.inside(rule, scope)
        return tuple(self._names.name(s) for s in inside), tuple(self._names.name(s) for s in reversed(around))

    def _address(self, template: str | None, rule: a.AnyRule, scope: str) -> str:
        return filled(template, rule=rule.id, csf=self._book.csf_of(rule), kpi=getattr(rule, "kpi", ""), scope=scope)


def _some(names: tuple[str, ...]) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - _MOST_ALSO
    return "; ".join(names[:_MOST_ALSO]) + (f" and {more} more" if more > 0 else "")


def _length(seconds: float) -> str:
    """Return how long something lasted: ``27 min``, ``3 h 05 min``, ``2 d 4 h``."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _rfc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
