"""What a report is built from: what was read of the store, and nothing that asks a clock."""

from __future__ import annotations

import msgspec

from pipeline.report.kpireport import MONTHS, Evidence
from pipeline.report.model import Comment, SipReport
from pipeline.time.calendar import Calendar
from pipeline.values import CsfStatus, Exits, KpiRevision, KpiValue


class EntityEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Entities behind one KPI: a bounded list, and how many there are in all."""

    found: list[Evidence]
    total: int


class ReportInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read for a report.

    Attributes:
        month: ``2026-10``.
        scope: ``org``, ``team:ID`` or ``service:ID``.
        clock: epoch seconds up to which the pipeline has worked through what arrived (the machine's time where it has
            not begun): whether the month is over is judged by it.
        values: of the scope, of the month and the twelve before it.
        services: of the services below the scope, of the month and the one before it.
        statuses: of the scope, of the same months as ``values``.
        revisions: of the scope and the services below it, of the same months.
        exits: of every source partition.
        stored: scopes that have values.
        closed_at: epoch seconds of the last barrier of the month; None where it is not closed, or nobody knows.
        evidence: by KPI, of those made of entities; evidence_note: why there is none, or not all, in words.
        sips: the register's programmes; comments: by CSF.
    """

    month: str
    scope: str
    clock: float
    values: list[KpiValue]
    services: list[KpiValue] = []
    statuses: list[CsfStatus] = []
    revisions: list[KpiRevision] = []
    exits: list[Exits] = []
    stored: tuple[str, ...] = ()
    closed_at: float | None = None
    evidence: dict[str, EntityEvidence] = {}
    evidence_note: str = ""
    sips: list[SipReport] = []
    comments: dict[str, Comment] = {}


def month_name(calendar: Calendar, start: int) -> str:
    """Return a month's start as ``2026-10``."""
    return f"{calendar.local(start):%Y-%m}"


def months_to(calendar: Calendar, start: int, number: int = MONTHS) -> list[int]:
    """Return the starts of months, oldest first, that end with the one that starts at ``start``."""
    found = [start]
    while len(found) < number:
        found.append(calendar.previous_month(found[-1]))
    return found[::-1]
