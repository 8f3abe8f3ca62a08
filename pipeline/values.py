"""What the pipeline says: KPI values, CSF statuses, and everything a value carries with it."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["on_target", "amber", "red", "unknown"]
CsfState = Literal["aligned", "at_risk", "concern", "unknown"]
PeriodKind = Literal["hour", "day", "month"]

#: Rolling windows and their lengths in seconds.
WINDOWS: dict[str, int] = {
    "5m": 300,
    "30m": 1800,
    "1h": 3600,
    "6h": 21600,
    "24h": 86400,
    "3d": 259200,
    "7d": 604800,
    "30d": 2592000,
}


class KpiValue(msgspec.Struct, kw_only=True):
    """One KPI of one scope over one period or rolling window.

    Attributes:
        scope: ``org``, ``team:ID`` or ``service:ID``.
        period: ``hour``, ``day``, ``month``, or a window name such as ``1h`` (a live value).
        start: start of the period (for a live value: start of the window), epoch seconds, UTC.
        end: end of the period or window, epoch seconds, UTC.
        value: the value in the KPI's unit; None is *unknown*, never zero.
        numerator, denominator: the sums the value is the ratio of, where it is one.
        count: sample size (records, or checks, or seconds observed for availability).
        coverage: share 0-1 of the elapsed period its sources delivered; None where no source says.
        target: target in force; status: judged against target and thresholds.
        score: 0-100, None where unknown.
        state: ``live``, ``to_date``, ``closed`` or ``restated``; revision: 0 until closed, then 1, 2 ...
        definition_version: the KPI's version whose formula made the value.
        reported: the value was brought from elsewhere (``kpi.reported``), not computed from events.
        previous: value of the period before, where known.
    """

    csf: str
    kpi: str
    scope: str
    period: str
    start: int
    end: int
    value: float | None
    unit: str
    numerator: float | None = None
    denominator: float | None = None
    count: int = 0
    coverage: float | None = None
    target: float | None = None
    status: Status = "unknown"
    score: float | None = None
    state: Literal["live", "to_date", "closed", "restated"] = "to_date"
    revision: int = 0
    definition_version: int = 1
    reported: bool = False
    previous: float | None = None
    reason: str = ""


class CsfStatus(msgspec.Struct, kw_only=True):
    """Status and score of one CSF for one scope and period or window."""

    csf: str
    scope: str
    period: str
    start: int
    end: int
    status: CsfState
    score: float | None
    known_weight: float
    total_weight: float
    worst_service: str | None = None


class KpiRevision(msgspec.Struct, kw_only=True):
    """A superseded value of a closed period."""

    csf: str
    kpi: str
    scope: str
    period: str
    start: int
    revision: int
    value: float | None
    reason: str
    replaced_by: float | None = None


#: The ``csf`` of the text that a report says of all CSFs together.
SUMMARY = "summary"


class ReportText(msgspec.Struct, kw_only=True):
    """What an issued report says of one CSF (or, by ``SUMMARY``, of all) in a scope's month, for dashboards.

    Attributes:
        verdict: of the report: status, movements and findings together.
        insight: what the data says, one paragraph; of the summary its headline.
        concerns, suggestions: one a line, most pressing first; of the summary what changed most, and what needs a
            decision.
        issue: number of the report's issue.
    """

    csf: str
    scope: str
    period: str
    start: int
    verdict: CsfState
    insight: str
    concerns: str
    suggestions: str
    issue: int


class AlertChange(msgspec.Struct, kw_only=True):
    """An alert of one rule and scope changed its state.

    Attributes:
        kpi: empty for rules about a CSF.
        state: ``firing`` or ``resolved``; ``unknown`` where what fires can't be judged any more, ``known`` where it can again.
        at: when, epoch seconds of the data clock; since: when what fires began to fire.
        value, threshold, unit: what was compared; None where unknown.
        count, coverage: sample size, and share 0-1 that sources delivered.
        note: what value and threshold are, or why nothing is known.
    """

    rule: str
    kpi: str
    csf: str
    scope: str
    severity: Literal["critical", "warning", "info"]
    state: Literal["firing", "resolved", "unknown", "known"]
    at: int
    since: int
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    count: int = 0
    coverage: float | None = None
    note: str = ""


NoteKind = Literal[
    "silenced", "lifted", "acknowledged", "delivered", "failed", "expired", "dropped", "down", "held", "freed"
]


class AlertNote(msgspec.Struct, kw_only=True, frozen=True):
    """What people and channels did about alerts: the audit trail of orders, and what became of notifications.

    Attributes:
        at: when, epoch seconds; slot: tells notes of one kind and second apart, 0-999.
        kind: ``silenced``, ``lifted`` and ``acknowledged`` are people's; ``delivered``, ``failed``, ``expired`` and
            ``dropped`` (the end of what was never told) end a notification; ``down``: a channel takes nothing; ``held``: a
            raise is held back, ``freed``: it no longer is.
        ref: id of the silence or of the notification; of what is held back the alert (``RULE|SCOPE``) that is told in its
            place; empty for an acknowledgement and a channel.
        who: the name the person gave; via: how it came: ``csf``, ``console``, ``console with token``.
        channel: by which it was to be told.
        until: end of a silence, or of the maintenance that holds back, epoch seconds.
        why: the person's reason, or why a notification was not delivered or a raise is held back.
        about: of a silence what it matches (JSON of ``pipeline.catalogue.alerts.Match``); of a notification its title; of
            what is held back where and what, in words.
        alerts: ``RULE|SCOPE`` of each alert that it is about.
    """

    at: int
    slot: int
    kind: NoteKind
    ref: str = ""
    who: str = ""
    via: str = ""
    channel: str = ""
    until: int | None = None
    why: str = ""
    about: str = ""
    alerts: tuple[str, ...] = ()


HappeningKind = Literal["deployment", "incident", "maintenance"]


class Happening(msgspec.Struct, kw_only=True):
    """Something that happened to a service and may explain its values: a deployment, a major incident, planned maintenance.

    Attributes:
        service, team: what it is about, by id; the team it had when that was told.
        source, id: which entity of which source; with kind, service and start its identity.
        start, end: epoch seconds; no end: it has none, or not yet.
        gone: it is no longer so: cancelled, or at another instant or service by now.
    """

    kind: HappeningKind
    service: str
    source: str
    id: str
    start: int
    text: str
    end: int | None = None
    team: str = ""
    gone: bool = False

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from others."""
        return self.kind, self.service, self.source, self.id, str(self.start)


class Exits(msgspec.Struct, kw_only=True):
    """How many events of one source partition ended in each of the five exits (in = sum of the five)."""

    topic: str
    partition: int
    received: int = 0
    kpi: int = 0
    dead_letter: int = 0
    duplicate: int = 0
    unmapped: int = 0
    ignored: int = 0
    reasons: dict[str, int] = {}
    truncated: int = 0
    clock: float = 0.0
