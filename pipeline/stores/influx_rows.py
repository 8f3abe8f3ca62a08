"""What the store kept in InfluxDB, back from the pivoted rows of a query; ``influx_lines`` wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

import msgspec

from pipeline.report.register import Entry
from pipeline.stores.common import OPTIONAL_FIELDS
from pipeline.stores.influx_lines import (
    ALERT_FIELDS,
    ALERT_TAGS,
    NOTE_TEXTS,
    REVISION_FIELDS,
    definition_version,
    tag_text,
    unarmour,
)
from pipeline.values import (
    AlertChange,
    AlertNote,
    CsfStatus,
    Exits,
    Happening,
    KpiRevision,
    KpiValue,
    ReportText,
)

#: one row of an answer: texts by column
Row = dict[str, str]


@lru_cache(maxsize=10_000)
def epoch(time: str) -> int:
    """Return epoch seconds of a time in a query's answer."""
    return int(datetime.fromisoformat(time).timestamp())


def _numbers(row: Row, names: Sequence[str]) -> dict[str, float | None]:
    bits = int(float(row["known_fields"]))
    return {name: float(row[name]) if bits >> position & 1 else None for position, name in enumerate(names)}


def row_value(row: Row, *, live: bool) -> KpiValue:
    """Return the KPI value of a row."""
    time = epoch(row["_time"])
    return KpiValue(
        csf=tag_text(row["csf"]),
        kpi=tag_text(row["kpi"]),
        scope=tag_text(row["scope"]),
        period=tag_text(row["window" if live else "period"]),
        start=int(float(row["start"])) if live else time,
        end=time if live else int(float(row["end"])),
        unit=unarmour(row["unit"], "\\"),
        count=int(float(row["count"])),
        status=cast("Any", row["status"]),
        state=cast("Any", row["state"]),
        revision=int(float(row["revision"])),
        definition_version=definition_version(row["definition"]),
        reported=float(row["reported"]) != 0.0,
        reason=unarmour(row["reason"], "\\"),
        **cast("Any", _numbers(row, OPTIONAL_FIELDS)),
    )


def row_status(row: Row) -> CsfStatus:
    """Return the CSF status of a row."""
    worst = unarmour(row["worst_service"], "\\")
    return CsfStatus(
        csf=tag_text(row["csf"]),
        scope=tag_text(row["scope"]),
        period=tag_text(row["period"]),
        start=int(float(row["start"])),
        end=int(float(row["end"])),
        status=cast("Any", row["status"]),
        score=float(row["score"]) if float(row["known"]) else None,
        known_weight=float(row["known_weight"]),
        total_weight=float(row["total_weight"]),
        worst_service=worst[1:] if worst else None,
    )


def row_revision(row: Row) -> KpiRevision:
    """Return the superseded value of a row."""
    return KpiRevision(
        csf=tag_text(row["csf"]),
        kpi=tag_text(row["kpi"]),
        scope=tag_text(row["scope"]),
        period=tag_text(row["period"]),
        start=epoch(row["_time"]),
        revision=int(row["revision"]),
        reason=unarmour(row["reason"], "\\"),
        **cast("Any", _numbers(row, REVISION_FIELDS)),
    )


def row_text(row: Row) -> ReportText:
    """Return what a report says, of a row."""
    return ReportText(
        csf=tag_text(row["csf"]),
        scope=tag_text(row["scope"]),
        period=tag_text(row["period"]),
        start=epoch(row["_time"]),
        verdict=cast("Any", row["verdict"]),
        insight=unarmour(row["insight"], "\\"),
        concerns=unarmour(row["concerns"], "\\"),
        suggestions=unarmour(row["suggestions"], "\\"),
        issue=int(float(row["issue"])),
    )


def row_alert(row: Row) -> AlertChange:
    """Return the change of an alert of a row."""
    return AlertChange(
        at=epoch(row["_time"]),
        since=int(float(row["since"])),
        count=int(float(row["count"])),
        unit=unarmour(row["unit"], "\\"),
        note=unarmour(row["note"], "\\"),
        **cast("Any", {tag: tag_text(row[tag]) for tag in ALERT_TAGS}),
        **cast("Any", _numbers(row, ALERT_FIELDS)),
    )


def row_note(row: Row) -> AlertNote:
    """Return the note about alerts of a row."""
    until = _numbers(row, ("until",))["until"]
    return AlertNote(
        at=epoch(row["_time"]),
        slot=int(row["slot"]),
        kind=cast("Any", row["kind"]),
        until=None if until is None else int(until),
        alerts=msgspec.json.decode(unarmour(row["alerts"], "\\"), type=tuple[str, ...]),
        **cast("Any", {name: unarmour(row[name], "\\") for name in NOTE_TEXTS}),
    )


def row_happening(row: Row) -> Happening:
    """Return what happened to a service, of a row."""
    return Happening(
        kind=cast("Any", row["kind"]),
        service=tag_text(row["scope"]).removeprefix("service:"),
        source=unarmour(row["source"], "\\"),
        id=unarmour(row["id"], "\\"),
        start=int(float(row["start"])),
        end=int(float(row["end"])) if float(row["ended"]) else None,
        text=unarmour(row["text"], "\\"),
        team=unarmour(row["team"], "\\").removeprefix("team:"),
        gone=not float(row["shown"]),
    )


def row_exits(row: Row) -> Exits:
    """Return the exit counts of a row."""
    counts = {
        name: int(float(row[name]))
        for name in ("received", "kpi", "dead_letter", "duplicate", "unmapped", "ignored", "truncated")
    }
    return Exits(
        topic=tag_text(row["topic"]),
        partition=int(row["partition"]),
        clock=float(row["clock"]),
        reasons=msgspec.json.decode(unarmour(row["reasons"], "\\"), type=dict[str, int]),
        **counts,
    )


def row_entry(row: Row) -> Entry:
    """Return the entry of the register of a row."""
    return msgspec.json.decode(unarmour(row["json"], "\\"), type=Entry)
