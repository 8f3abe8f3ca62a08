"""What the store keeps as InfluxDB points: line protocol. ``influx_rows`` reads it back.

Tags and strings are armoured so that nothing in a name can break a line, a query or a delete predicate, and
everything reads back as it was. Numbers are always floats: a field that changes its type is refused by InfluxDB.

A point's fields are merged with those already there, so a number that becomes unknown would stay, and deleting
it takes InfluxDB about 0.1 s a point (measured). Two fields that are always written decide instead: ``known``
(1 where ``value`` is known, else 0) and ``known_fields`` (a bit for each number that may be unknown). What they
do not claim is never read; other readers of the buckets filter on ``known``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

import msgspec

from pipeline.report.register import Entry, entry_bytes
from pipeline.stores.common import OPTIONAL_FIELDS
from pipeline.values import (
    WINDOWS,
    AlertChange,
    AlertNote,
    CsfStatus,
    Exits,
    Happening,
    KpiRevision,
    KpiValue,
    ReportText,
)

LIVE, PERIOD, REVISION, STATUS, EXITS = "kpi_live", "kpi_period", "kpi_revision", "csf_status", "pipeline_exits"
REGISTER, TEXT, ALERT, NOTE, HAPPENING = "register", "report_text", "alert", "alert_note", "happening"
#: Exit counts are a present state, not a history: each partition has one point, at the epoch.
EXITS_TIME = 0

_Mark = Literal["%", "\\"]
_ARMOUR = {
    "%": re.compile(r"[\x00-\x1f\x7f-\x9f%\\\u2028\u2029]"),  # tags
    "\\": re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028\u2029]"),  # string fields
}
_ARMOURED = {"%": re.compile(r"%([0-9a-f]{4})"), "\\": re.compile(r"\\([0-9a-f]{4})")}
_TAG_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})
REVISION_FIELDS = ("value", "replaced_by")
ALERT_FIELDS = ("value", "threshold", "coverage")
NOTE_TEXTS = ("ref", "who", "via", "channel", "why", "about")
ALERT_TAGS = ("csf", "kpi", "rule", "scope", "severity", "state")
#: severities as numbers that a query can compare; 0 stands for an alert that is over
LEVELS = {"info": 1, "warning": 2, "critical": 3}


def armour(text: str, mark: _Mark) -> str:
    """Replace control characters, backslashes and the mark itself by the mark and four hex digits."""
    return _ARMOUR[mark].sub(lambda found: f"{mark}{ord(found[0]):04x}", text)


def unarmour(text: str, mark: _Mark) -> str:
    """Undo ``armour``."""
    return _ARMOURED[mark].sub(lambda found: chr(int(found[1], 16)), text) if mark in text else text


def tag_value(text: str) -> str:
    """Return the text as it is stored in a tag; an empty one (InfluxDB has none) becomes a lone ``%``."""
    return armour(text, "%") or "%"


def tag_text(stored: str) -> str:
    """Undo ``tag_value``."""
    return "" if stored == "%" else unarmour(stored, "%")


def definition_tag(version: int) -> str:
    """Return a definition's version as its tag, which sorts as text like the number: ``9``, ``a10``, ``b100``.

    Boards take the last row for the newest, and InfluxDB orders series by the text of their tags.
    """
    digits = str(version)
    return digits if len(digits) == 1 else chr(ord("a") + len(digits) - 2) + digits


def definition_version(tag: str) -> int:
    """Undo ``definition_tag``."""
    return int(tag.lstrip("abcdefghijklmnopqrstuvwxyz"))


def _string(text: str) -> str:
    return '"' + armour(text, "\\").replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=100_000)
def _head(measurement: str, *tags: tuple[str, str]) -> str:
    return ",".join([measurement, *(f"{key}={tag_value(text).translate(_TAG_ESCAPES)}" for key, text in tags)])


def _line(head: str, fields: Mapping[str, float | str | None], time: int) -> str:
    written = [
        f"{name}={_string(content) if isinstance(content, str) else repr(float(content))}"
        for name, content in fields.items()
        if content is not None
    ]
    return f"{head} {','.join(written)} {time}"


def _known(numbers: Sequence[float | None]) -> tuple[float, float]:
    """Return ``known`` and ``known_fields`` of numbers of which the first is the value."""
    bits = sum(1 << position for position, number in enumerate(numbers) if number is not None)
    return float(bits & 1), float(bits)


def _value_head(value: KpiValue) -> str:
    """Return measurement and tags of a value."""
    live = value.state == "live"
    return _head(
        LIVE if live else PERIOD,
        ("csf", value.csf),
        ("definition", definition_tag(value.definition_version)),
        ("kpi", value.kpi),
        ("window" if live else "period", value.period),
        ("scope", value.scope),
    )


def month_label(start: int, end: int) -> str:
    """Return the name of a local month (``2026-05``), by which boards let people choose one.

    Its middle lies in the month of that name in every zone, since none is more than 14 h away from UTC.
    """
    return datetime.fromtimestamp((start + end) // 2, UTC).strftime("%Y-%m")


def value_line(value: KpiValue) -> str:
    """Return the point of a KPI value: live ones at the end of the window, others at the start of the period."""
    live = value.state == "live"
    numbers = [getattr(value, field) for field in OPTIONAL_FIELDS]
    known, known_fields = _known(numbers)
    fields: dict[str, float | str | None] = {
        **dict(zip(OPTIONAL_FIELDS, numbers, strict=True)),
        "known": known,
        "known_fields": known_fields,
        "count": value.count,
        "revision": value.revision,
        "reported": value.reported,
        "start" if live else "end": value.start if live else value.end,
        "status": value.status,
        "state": value.state,
        "unit": value.unit,
        "reason": value.reason,
        "month": month_label(value.start, value.end) if value.period == "month" else None,
    }
    return _line(_value_head(value), fields, value.end if live else value.start)


def _status_head(status: CsfStatus) -> str:
    """Return measurement and tags of a CSF status."""
    return _head(STATUS, ("csf", status.csf), ("period", status.period), ("scope", status.scope))


def status_time(status: CsfStatus) -> int:
    """Return the time of a status: the end of a rolling window, the start of a period."""
    return status.end if status.period in WINDOWS else status.start


def status_line(status: CsfStatus) -> str:
    """Return the point of a CSF status."""
    known, _ = _known([status.score])
    fields: dict[str, float | str | None] = {
        "score": status.score,
        "known": known,
        "start": status.start,
        "end": status.end,
        "known_weight": status.known_weight,
        "total_weight": status.total_weight,
        "status": status.status,
        # Always written, so that a worst service that is none any more does not stay; "=" tells "" from none.
        "worst_service": "" if status.worst_service is None else f"={status.worst_service}",
        "month": month_label(status.start, status.end) if status.period == "month" else None,
    }
    return _line(_status_head(status), fields, status_time(status))


def revision_line(revision: KpiRevision) -> str:
    """Return the point of a superseded value; the revision is a tag, since each one is kept."""
    head = _head(
        REVISION,
        ("csf", revision.csf),
        ("kpi", revision.kpi),
        ("period", revision.period),
        ("revision", str(revision.revision)),
        ("scope", revision.scope),
    )
    known, known_fields = _known([revision.value, revision.replaced_by])
    fields: dict[str, float | str | None] = {
        "value": revision.value,
        "replaced_by": revision.replaced_by,
        "known": known,
        "known_fields": known_fields,
        "reason": revision.reason,
    }
    return _line(head, fields, revision.start)


def text_line(text: ReportText) -> str:
    """Return the point of what a report says of a CSF; a later issue takes its place."""
    fields: dict[str, float | str | None] = {
        "verdict": text.verdict,
        "insight": text.insight,
        "concerns": text.concerns,
        "suggestions": text.suggestions,
        "issue": text.issue,
    }
    head = _head(TEXT, ("csf", text.csf), ("period", text.period), ("scope", text.scope))
    return _line(head, fields, text.start)


def alert_line(change: AlertChange) -> str:
    """Return the point of a change of an alert; the state is a tag, since each one is kept."""
    numbers = [getattr(change, name) for name in ALERT_FIELDS]
    known, known_fields = _known(numbers)
    over = change.state == "resolved"
    fields: dict[str, float | str | None] = {
        **dict(zip(ALERT_FIELDS, numbers, strict=True)),
        "known": known,
        "known_fields": known_fields,
        "level": 0 if over else LEVELS[change.severity],
        "lasted": change.at - change.since if over else 0,
        "count": change.count,
        "since": change.since,
        "unit": change.unit,
        "note": change.note,
    }
    return _line(_head(ALERT, *((tag, getattr(change, tag)) for tag in ALERT_TAGS)), fields, change.at)


def note_line(note: AlertNote) -> str:
    """Return the point of a note about alerts; the slot is a tag, since notes of one second are kept apart."""
    known, known_fields = _known([note.until])
    fields: dict[str, float | str | None] = {
        **{name: getattr(note, name) for name in NOTE_TEXTS},
        "alerts": msgspec.json.encode(note.alerts).decode(),
        "until": note.until,
        "known": known,
        "known_fields": known_fields,
    }
    return _line(_head(NOTE, ("kind", note.kind), ("slot", str(note.slot))), fields, note.at)


def happening_line(found: Happening) -> str:
    """Return the point of what happened to a service, time in ns.

    Names from events are no tags. So that several things of one kind may begin in the same second, each has a place of its
    own within it, by its identity (30 bits).
    """
    place = int.from_bytes(blake2b("\x1f".join(found.identity).encode(), digest_size=4).digest(), "big") >> 2
    fields: dict[str, float | str | None] = {
        "shown": not found.gone,
        "start": found.start,
        "end": found.start if found.end is None else found.end,
        "ended": found.end is not None,
        "source": found.source,
        "id": found.id,
        "text": found.text,
        "team": f"team:{found.team}",
        "org": "org",
    }
    head = _head(HAPPENING, ("kind", found.kind), ("scope", f"service:{found.service}"))
    return _line(head, fields, found.start * 1_000_000_000 + place % 1_000_000_000)


def exits_line(exits: Exits) -> str:
    """Return the point of a partition's exit counts."""
    fields: dict[str, float | str | None] = {
        name: getattr(exits, name)
        for name in ("received", "kpi", "dead_letter", "duplicate", "unmapped", "ignored", "truncated", "clock")
    }
    fields["reasons"] = msgspec.json.encode(exits.reasons).decode()
    return _line(_head(EXITS, ("partition", str(exits.partition)), ("topic", exits.topic)), fields, EXITS_TIME)


def entry_line(entry: Entry) -> str:
    """Return the point of an entry of the register: its id is a tag, since each one is kept; JSON in a string."""
    head = _head(REGISTER, ("entry", entry.id), ("subject", entry.subject))
    return _line(head, {"json": entry_bytes(entry).decode()}, entry.at // 1000)
