"""Telling a Grafana what happened, as annotations that it keeps: closed months, deployments, incidents, maintenance, alerts.

Each carries a tag by which it is found again, so that telling it twice is telling it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from dashboards.grafana import Grafana, SavedAnnotation
from dashboards.marks import MONTH_CLOSED_TAG
from dashboards.model import TAG
from pipeline.report.words import month as month_name
from pipeline.stores.influx_lines import month_label
from pipeline.stores.port import KpiStore
from pipeline.values import AlertChange, Happening

ALERT_TAG = "alert"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told.

    Attributes:
        kind: the tag of all of its kind.
        key: the tag of this one alone.
        start, end: epoch seconds; no end: an instant, or not over.
        tags: further tags, for boards that choose by them.
    """

    kind: str
    key: str
    start: int
    text: str
    end: int | None = None
    tags: tuple[str, ...] = ()

    @property
    def all_tags(self) -> tuple[str, ...]:
        """Every tag it carries."""
        return (TAG, self.kind, self.key, *self.tags)


class Told(msgspec.Struct):
    """How many annotations were added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0


def push_marks(grafana: Grafana, kind: str, marks: Iterable[Mark], *, since: int | None = None) -> Told:
    """Let Grafana hold the marks of a kind as they are.

    Args:
        grafana: where to.
        kind: of which kind the marks are, all of them.
        marks: all there are, or all that began at ``since`` (epoch seconds) or later.
        since: where it is given, what Grafana holds of that kind from then on and is not among the marks is removed.
    """
    told = Told()
    held = grafana.annotations([TAG, kind], since=since)
    by_tag = {tag: one for one in held for tag in one.tags}
    kept: set[int] = set()
    for mark in marks:
        known = by_tag.get(mark.key)
        if known is None:
            grafana.add_annotation(mark.start * 1000, _ms(mark.end), mark.all_tags, mark.text)
            told.added += 1
            continue
        kept.add(known.id)
        if not _same(known, mark):
            grafana.change_annotation(known.id, mark.start * 1000, _ms(mark.end), mark.all_tags, mark.text)
            told.changed += 1
    if since is not None:
        for one in held:
            if one.time >= since * 1000 and one.id not in kept:
                grafana.remove_annotation(one.id)
                told.removed += 1
    return told


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


def _same(there: SavedAnnotation, mark: Mark) -> bool:
    """Return whether Grafana's annotation says what the mark says; one without an end ends where it starts."""
    start = mark.start * 1000
    end = start if mark.end is None else mark.end * 1000
    return (there.time, there.time_end or there.time, there.text, set(there.tags)) == (
        start, end, mark.text, set(mark.all_tags),
    )  # fmt: skip


# --- what there is to tell ---


def month_closes(store: KpiStore) -> list[Mark]:
    """Return the organisation's months that were closed, with the newest revision and why it was made."""
    newest: dict[int, tuple[int, int]] = {}
    for value in store.periods(period="month", scopes=["org"]):
        if value.revision:
            end, revision = newest.get(value.start, (value.end, 0))
            newest[value.start] = (end, max(revision, value.revision))
    reasons = {r.start: r.reason for r in store.revisions(period="month") if r.scope == "org"}
    return [
        _month_close(start, end, revision, reasons.get(start, ""))
        for start, (end, revision) in sorted(newest.items())
    ]  # fmt: skip


def _month_close(start: int, end: int, revision: int, reason: str) -> Mark:
    month = month_label(start, end)
    text = f"{month_name(month)} is closed"
    if revision > 1:
        text += f" and was restated (revision {revision}){f': {reason}' if reason else ''}"
    return Mark(kind=MONTH_CLOSED_TAG, key=f"month:{month}", start=end, text=text)


def _key(*identity: str) -> str:
    return f"id:{blake2b(chr(31).join(identity).encode(), digest_size=8).hexdigest()}"


def happened(found: Sequence[Happening]) -> dict[str, list[Mark]]:
    """Return what happened to services as marks, by kind: every kind, also where there is none."""
    marks: dict[str, list[Mark]] = {"deployment": [], "incident": [], "maintenance": []}
    for one in found:
        scopes = [f"service:{one.service}", *([f"team:{one.team}"] if one.team else [])]
        mark = Mark(
            kind=one.kind, key=_key(*one.identity), start=one.start, end=one.end, text=one.text, tags=tuple(scopes)
        )  # fmt: skip
        marks[one.kind].append(mark)
    return marks


def raised(changes: Sequence[AlertChange]) -> list[Mark]:
    """Return alerts that began to fire, with their end where they are over; changes come in order of time."""
    ends = {(c.rule, c.scope, c.since): c.at for c in changes if c.state == "resolved"}
    return [
        Mark(
            kind=ALERT_TAG,
            key=_key(c.rule, c.scope, str(c.since)),
            start=c.at,
            end=ends.get((c.rule, c.scope, c.since)),
            text=f"{c.rule} of {c.scope}{f': {c.note}' if c.note else ''}",
            tags=(c.severity, c.scope),
        )
        for c in changes
        if c.state == "firing"
    ]
