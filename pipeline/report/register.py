"""The continual improvement register: what people decided, as a log that is only ever added to.

An *entry* says that somebody opened, changed or closed a Service Improvement Programme (SIP), or set or withdrew a
manager's comment. Nothing is overwritten: what holds now is folded from all entries, and the entries themselves are
the audit trail.

Folding is a function of the set of entries, whatever their order: of each field of a SIP the word of the latest entry
by (``at``, ``id``) holds, so that two people who change different fields at the same time both have their way; entries
of one id count once. A comment is one thing: the latest holds whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, cast, get_args

import msgspec

from pipeline.errors import EntryRefused
from pipeline.report.model import Comment, SipStatus
from pipeline.time.calendar import Calendar

Kind = Literal["sip.opened", "sip.updated", "sip.closed", "comment.set", "comment.withdrawn"]
Value = str | float | bool | None

#: Most bytes of an entry as a store keeps it; InfluxDB's strings end at 64 KB.
MAX_ENTRY_BYTES = 60_000
#: Bytes that keeping a backslash costs more than the backslash (``influx_lines`` writes it as five).
_BACKSLASH_BYTES = 4
_ACTION = "action"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the register.

    Attributes:
        id: unique; the same entry written twice is one.
        kind: what was done.
        subject: the SIP's id, or ``comment:MONTH:SCOPE:CSF``.
        at: when, epoch milliseconds, UTC.
        who: the name the person gave.
        via: how it came: ``csf`` (the command), ``console``, or ``console with token``.
        changes: the fields that got a new value. Actions are two fields each, ``action:KEY:text`` and
            ``action:KEY:done``.
        why: in the person's words; may be empty.
    """

    id: str
    kind: Kind
    subject: str
    at: int
    who: str
    via: str
    changes: dict[str, Value]
    why: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """What decides which of two entries is later."""
        return self.at, self.id


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a SIP does."""

    key: str
    text: str
    done: bool


class Sip(msgspec.Struct, frozen=True, kw_only=True):
    """A Service Improvement Programme as it stands.

    Attributes:
        start: local date from which it works, ``2026-10-05``; due: by when the goal is to be reached.
        baseline: the KPI's value when it started, None where that is unknown; baseline_month: whose value it is, None
            where a person gave it.
        closed_on: local date of closing, None unless it is closed.
        version: id of its latest entry; changed_at: when that was, epoch milliseconds; changed_by: who made it.
    """

    id: str
    title: str
    kpi: str
    scope: str
    owner: str
    status: SipStatus
    start: str
    due: str | None
    baseline: float | None
    baseline_month: str | None
    goal: float | None
    actions: tuple[Action, ...]
    closed_on: str | None
    version: str
    changed_at: int
    changed_by: str


def entry_bytes(entry: Entry) -> bytes:
    """Return an entry as JSON.

    Raises:
        EntryRefused: it is longer than a store can keep, or holds half a character.
    """
    try:
        encoded = msgspec.json.encode(entry)
    except UnicodeEncodeError as e:
        raise EntryRefused(
            f"text with a lone surrogate cannot be stored: {e.object[e.start : e.end]!r}; write it anew"
        ) from None
    stored = len(encoded) + _BACKSLASH_BYTES * encoded.count(b"\\")
    if stored > MAX_ENTRY_BYTES:
        raise EntryRefused(
            f"the entry about {entry.subject} has {stored:,} bytes; the register keeps {MAX_ENTRY_BYTES:,} an entry: "
            "shorten its texts, or enter some actions later"
        )
    return encoded


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries each once, earliest first."""
    return sorted({entry.id: entry for entry in entries}.values(), key=lambda e: e.order)


def latest_id(entries: Iterable[Entry], subject: str) -> str:
    """Return the id of the latest entry about a subject, empty where there is none."""
    own = [e for e in entries if e.subject == subject]
    return max(own, key=lambda e: e.order).id if own else ""


def stamp(now_ms: int, seen: Iterable[Entry]) -> int:
    """Return the time of a new entry: now, but later than all that its author has seen, whatever the clocks say."""
    return max([now_ms, *(entry.at + 1 for entry in seen)])


def fold_sips(entries: Iterable[Entry]) -> dict[str, Sip]:
    """Return every SIP as it stands, by id, those that started first first.

    What has entries but was never opened (its opening is not in the log) is no SIP and is left out.
    """
    by_subject: dict[str, list[Entry]] = {}
    for entry in in_order(entries):
        if entry.kind.startswith("sip."):
            by_subject.setdefault(entry.subject, []).append(entry)
    found = [_folded(subject, own) for subject, own in by_subject.items() if any(e.kind == "sip.opened" for e in own)]
    return {sip.id: sip for sip in sorted(found, key=lambda s: (s.start, s.id))}


def fold_comments(entries: Iterable[Entry], calendar: Calendar) -> dict[tuple[str, str], dict[str, Comment]]:
    """Return the comments that hold: (month, scope) → CSF → comment."""
    latest: dict[str, Entry] = {e.subject: e for e in in_order(entries) if e.kind.startswith("comment.")}
    found: dict[tuple[str, str], dict[str, Comment]] = {}
    for entry in latest.values():
        text = _text(entry.changes, "text")
        if entry.kind == "comment.withdrawn" or not text:
            continue
        key = (_text(entry.changes, "month"), _text(entry.changes, "scope"))
        csf = _text(entry.changes, "csf")
        at = calendar.iso(entry.at // 1000)
        found.setdefault(key, {})[csf] = Comment(csf=csf, author=entry.who, at=at, text=text)
    return found


def comment_subject(month: str, scope: str, csf: str) -> str:
    """Return the subject of comments on a CSF in a month's report of a scope."""
    return f"comment:{month}:{scope}:{csf}"


def action_fields(key: str, text: str | None = None, done: bool | None = None) -> dict[str, Value]:
    """Return the fields of an action that are said."""
    said = {"text": text, "done": done}
    return {f"{_ACTION}:{key}:{name}": value for name, value in said.items() if value is not None}


def _folded(subject: str, ordered: list[Entry]) -> Sip:
    fields: dict[str, Value] = {}
    for entry in ordered:
        fields.update(entry.changes)
    last = ordered[-1]
    status = _text(fields, "status")
    return Sip(
        id=subject,
        title=_text(fields, "title"),
        kpi=_text(fields, "kpi"),
        scope=_text(fields, "scope") or "org",
        owner=_text(fields, "owner"),
        status=cast("SipStatus", status) if status in get_args(SipStatus) else "open",
        start=_text(fields, "start"),
        due=_text(fields, "due") or None,
        baseline=_number(fields, "baseline"),
        baseline_month=_text(fields, "baseline_month") or None,
        goal=_number(fields, "goal"),
        actions=_actions(fields),
        closed_on=_text(fields, "closed_on") or None,
        version=last.id,
        changed_at=last.at,
        changed_by=last.who,
    )


def _actions(fields: Mapping[str, Value]) -> tuple[Action, ...]:
    """Return the actions in the order in which they were first said (a dict keeps it)."""
    keys = [name.split(":")[1] for name in fields if name.startswith(f"{_ACTION}:") and name.endswith(":text")]
    return tuple(
        Action(
            key=key,
            text=_text(fields, f"{_ACTION}:{key}:text"),
            done=fields.get(f"{_ACTION}:{key}:done") is True,
        )
        for key in keys
    )


def _text(fields: Mapping[str, Value], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _number(fields: Mapping[str, Value], name: str) -> float | None:
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
