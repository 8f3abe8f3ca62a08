"""The event families: what each event type carries, typed.

A time field is RFC 3339 with an offset. Optional fields are unknown when absent, never zero. Every struct
tolerates extra fields, so that a source may say more than the KPIs need.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=256)]
#: JSON's integers have no end, those of state and stores do: more is an error of the source
MOST_COUNTED = 10**12
Count = Annotated[int, Meta(ge=0, le=MOST_COUNTED)]
PositiveCount = Annotated[int, Meta(ge=1, le=MOST_COUNTED)]
#: A month of the years 1970 to 2199: calendars and stores end somewhere.
Month = Annotated[str, Meta(pattern=r"^(19[789][0-9]|2[01][0-9]{2})-(0[1-9]|1[0-2])$")]
NonNegative = Annotated[float, Meta(ge=0)]
#: A point in time; one without an offset is refused.
Instant = Annotated[datetime, Meta(tz=True)]


class UptimeChecked(msgspec.Struct):
    """One check of a service: ``up`` is None where monitoring ended (unknown from here on)."""

    up: bool | None
    check: Name = "default"
    latency_ms: NonNegative | None = None
    interval_s: Annotated[float, Meta(gt=0)] = 60.0
    #: "interval": good for 2.5 intervals; "next": good until the next check (a source that logs changes only).
    valid_until: Literal["interval", "next"] = "interval"


class MaintenanceScheduled(msgspec.Struct):
    """Planned maintenance of the subject; one announced after its start excludes nothing without a reason."""

    starts_at: Instant
    ends_at: Instant
    id: str = ""
    announced_at: Instant | None = None
    reason: str = ""
    cancelled: bool = False


class IncidentUpdated(msgspec.Struct):
    """The state of one incident after an update; a later update replaces it."""

    number: Name
    state: Literal["new", "in_progress", "on_hold", "resolved", "closed", "cancelled"]
    opened_at: Instant
    updated_at: Instant
    priority: Annotated[int, Meta(ge=1, le=5)] | None = None
    acknowledged_at: Instant | None = None
    resolved_at: Instant | None = None
    closed_at: Instant | None = None
    reopen_count: Count = 0
    made_sla: bool | None = None
    major: bool = False
    original_state: str | None = None


class SecurityIncidentUpdated(msgspec.Struct):
    """The state of one security incident after an update."""

    number: Name
    detected_at: Instant
    updated_at: Instant
    severity: Literal["low", "medium", "high", "critical"] = "medium"
    breach: bool = False
    cancelled: bool = False
    occurred_at: Instant | None = None
    responded_at: Instant | None = None
    contained_at: Instant | None = None
    resolved_at: Instant | None = None


class VulnerabilityUpdated(msgspec.Struct):
    """The state of one vulnerability: overdue from ``due_at`` until ``fixed_at``."""

    number: Name
    due_at: Instant
    updated_at: Instant
    found_at: Instant | None = None
    fixed_at: Instant | None = None
    severity: Literal["low", "medium", "high", "critical"] | None = None


class PageViewed(msgspec.Struct):
    """One page view of a visitor."""

    user: Name
    path: str = ""
    session: str | None = None
    error: bool = False
    status: Annotated[int, Meta(ge=0, le=999)] | None = None
    duration_ms: NonNegative | None = None


class SessionEnded(msgspec.Struct):
    """A session as its source counted it; used for services whose sessions are ``reported``."""

    user: Name
    session: Name
    pages: Count
    duration_s: NonNegative
    engaged: bool | None = None
    started_at: Instant | None = None


class TaskFinished(msgspec.Struct):
    """A visitor finished, or gave up, a task."""

    user: Name
    completed: bool
    task: str = ""
    session: str | None = None
    duration_ms: NonNegative | None = None


class RequestMeasured(msgspec.Struct):
    """``count`` requests with the same status and latency (unknown where the source does not tell it)."""

    latency_ms: NonNegative | None = None
    status: Annotated[int, Meta(ge=0, le=999)] = 200
    count: PositiveCount = 1


class SurveyAnswered(msgspec.Struct):
    """One answer. ``scale`` is "low-high", for example "1-5"; scores outside it are invalid."""

    kind: Literal["csat", "nps", "ces", "change_feedback"]
    score: float
    scale: Annotated[str, Meta(pattern=r"^-?[0-9]{1,6}-[0-9]{1,6}$")] | None = None
    about: str | None = None
    respondent: str | None = None
    survey: str | None = None


class ChangeUpdated(msgspec.Struct):
    """The state of one change (deployment) after an update."""

    number: Name
    updated_at: Instant
    deployed_at: Instant | None = None
    committed_at: Instant | None = None
    commits: list[Instant] | None = None
    outcome: Literal["planned", "successful", "failed", "rolled_back", "cancelled"] = "planned"


class FeatureUpdated(msgspec.Struct):
    """The state of one requested feature after an update."""

    number: Name
    updated_at: Instant
    requested_at: Instant
    delivered_at: Instant | None = None
    outcome: Literal["planned", "delivered", "cancelled"] = "planned"


class ScalingCompleted(msgspec.Struct, rename={"from_": "from"}):
    """One scaling action of a platform."""

    direction: Literal["up", "down"]
    requested_at: Instant
    ready_at: Instant | None = None
    from_: Count | None = None
    to: Count | None = None
    outcome: Literal["successful", "failed"] = "successful"


class PredictionScored(msgspec.Struct):
    """A prediction and what then happened."""

    model: Name
    predicted: float
    actual: float
    unit: str = ""


class DecisionEvaluated(msgspec.Struct):
    """The outcome of a decision against its baseline."""

    metric: Name
    baseline: float
    outcome: float
    unit: str = ""
    #: whether more of the metric is better
    higher_is_better: bool = True


class RecordSynced(msgspec.Struct, rename={"from_": "from"}):
    """A record changed in one system became available in another."""

    from_: Name
    to: Name
    changed_at: Instant
    available_at: Instant | None = None
    ok: bool = True


class ReconciliationCompleted(msgspec.Struct, rename={"from_": "from"}):
    """A comparison of two systems: fields (compared, matched, mismatched) and records (missing)."""

    from_: Name
    to: Name
    compared: Count
    matched: Count
    mismatched: Count = 0
    missing: Count = 0
    #: records compared and found consistent; defaults to compared and matched counts
    records_compared: Count | None = None
    records_consistent: Count | None = None


class SourcePolled(msgspec.Struct, rename={"from_": "from"}):
    """A source was read for [from, to): ``types`` it delivers, ``services`` it covers (none: all)."""

    source: Name
    from_: Instant
    to: Instant
    types: list[str]
    complete: bool = True
    truncated: Count = 0
    services: list[str] | None = None


class ClockTicked(msgspec.Struct):
    """Time passed in a partition, though nothing else happened."""

    partition: Count
    time: Instant


class MonthClosed(msgspec.Struct):
    """A month is final: what lies before this event in its partition is revision 1.

    The barrier is written to every event partition; ``offsets`` is filled in the record kept in the
    control topic once all barriers are written.
    """

    month: Month
    zone: str
    id: str = ""
    offsets: dict[str, int] | None = None
    barriers: Count = 0


class KpiReported(msgspec.Struct):
    """A KPI value brought from elsewhere, for a month; a value computed from events beats it."""

    kpi: Name
    month: Month
    value: float
    scope: str = "org"
    target: float | None = None
    numerator: float | None = None
    denominator: float | None = None
    count: Count | None = None


#: Event type to its struct and family (the family names the topic).
TYPES: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "uptime.checked": ("uptime", UptimeChecked),
    "maintenance.scheduled": ("uptime", MaintenanceScheduled),
    "incident.updated": ("incident", IncidentUpdated),
    "security_incident.updated": ("security", SecurityIncidentUpdated),
    "vulnerability.updated": ("security", VulnerabilityUpdated),
    "page.viewed": ("usage", PageViewed),
    "session.ended": ("usage", SessionEnded),
    "task.finished": ("usage", TaskFinished),
    "request.measured": ("performance", RequestMeasured),
    "survey.answered": ("survey", SurveyAnswered),
    "change.updated": ("change", ChangeUpdated),
    "feature.updated": ("change", FeatureUpdated),
    "scaling.completed": ("scaling", ScalingCompleted),
    "prediction.scored": ("insight", PredictionScored),
    "decision.evaluated": ("insight", DecisionEvaluated),
    "record.synced": ("integration", RecordSynced),
    "reconciliation.completed": ("integration", ReconciliationCompleted),
    "source.polled": ("control", SourcePolled),
    "clock.ticked": ("control", ClockTicked),
    "month.closed": ("control", MonthClosed),
    "kpi.reported": ("control", KpiReported),
}

FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(family for family, _ in TYPES.values()))


def event_topic(family: str) -> str:
    """Return the Kafka topic of an event family."""
    return f"csf.events.{family}"


EVENT_TOPICS: tuple[str, ...] = tuple(event_topic(f) for f in FAMILIES)
