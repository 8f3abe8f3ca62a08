"""The catalogue's vocabulary: what a CSF, a KPI, a measure, a target and a service are.

A KPI's *measure* says how it follows from records. A **record** is an event of an additive type, the last
state of an entity (incident, change, survey answer ...), or a session. Expressions (``where``, ``value`` ...)
read the fields of the record; see ``pipeline.catalogue.expressions``. Measures that share a *base* (same
records, filter and state) share its folded state.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from pipeline.catalogue.alerts import AnyRule, Channel, Route

CSF_IDS = (
    "user_centric_design",
    "user_friendly_interface",
    "scalability",
    "flexibility",
    "reliability",
    "data_driven_insights",
    "integration",
    "security",
)

Direction = Literal["up", "down", "zero"]
TimeScale = Literal["one", "milliseconds", "seconds", "minutes", "hours", "days"]
#: Seconds in one unit of each time scale ("one": the value is a plain number).
SCALE_SECONDS: dict[str, float] = {
    "one": 1.0,
    "milliseconds": 0.001,
    "seconds": 1.0,
    "minutes": 60.0,
    "hours": 3600.0,
    "days": 86400.0,
}
#: The team of a service of which nobody says whose it is.
UNASSIGNED = "unassigned"
Activity = Literal["engage", "plan", "design_and_transition", "obtain_build", "deliver_and_support", "improve"]
Tone = Literal["good", "bad", "mixed", "neutral", "unknown"]


class Measure(msgspec.Struct, tag_field="kind", frozen=True, forbid_unknown_fields=True):
    """How a KPI follows from records; each subclass is one ``kind``."""


class Records(Measure, frozen=True, forbid_unknown_fields=True):
    """Measures that contribute once a record.

    Attributes:
        events: event types whose records count (``session`` names derived or reported sessions).
        where: a filter; records for which it is false or unknown are not counted.
        at: the field that dates the record (default: event time; for entities it is required).
    """

    events: list[str]
    where: str | None = None
    at: str | None = None


class Count(Records, tag="count", frozen=True, forbid_unknown_fields=True):
    """Number of records; with ``per: day`` divided by the elapsed days of the period."""

    per: Literal["period", "day"] = "period"


class Sum(Records, tag="sum", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sum of a value."""

    value: str
    scale: TimeScale = "one"


class Mean(Records, tag="mean", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arithmetic mean of a value: a ratio of sums, never a mean of means."""

    value: str
    scale: TimeScale = "one"


class Share(Records, tag="share", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """100 x (records for which ``of`` is true) / (records for which ``of`` is known)."""

    of: str


class Ratio(Records, tag="ratio", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``factor`` x sum of ``numerator`` / sum of ``denominator``."""

    numerator: str
    denominator: str
    factor: float = 100.0


class Quantile(Records, tag="quantile", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The q-quantile of a value; a list value counts each item.

    ``exact`` (entities always) interpolates linearly between ranks, otherwise a DDSketch answers with at most 1 %
    relative error.
    """

    value: str
    q: float
    scale: TimeScale = "one"
    exact: bool = False
    weight: str | None = None


class Distinct(Records, tag="distinct", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Number of distinct values."""

    value: str


class Stickiness(Records, tag="stickiness", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """100 x mean distinct values a local day / distinct values of the period (a week at least)."""

    value: str


class PerUserDay(Measure, tag="per_user_day", frozen=True, forbid_unknown_fields=True):
    """Sum of ``value`` over ``events`` / distinct ``user`` of ``user_events``, counted a local day."""

    events: list[str]
    value: str
    user_events: list[str]
    user: str
    scale: TimeScale = "one"


class Stock(Measure, tag="stock", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Entities inside at the end of the period: entered before, not left by then."""

    events: list[str]
    enter: str
    leave: str
    where: str | None = None


class Forecast(Records, tag="forecast", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """WAPE accuracy or bias of predictions, a (model, unit), weighted over them by sample."""

    stat: Literal["accuracy", "bias"]
    predicted: str = "predicted"
    actual: str = "actual"
    group: tuple[str, ...] = ("model", "unit")


class Peak(Measure, tag="peak", frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The busiest local clock hour: its p95 latency, busiest minute (requests a second), or error share."""

    stat: Literal["p95", "throughput", "error_rate"]
    events: tuple[str, ...] = ("request.measured",)
    latency: str = "latency_ms"
    count: str = "count"
    error: str = "status >= 500"


class Availability(Measure, tag="availability", frozen=True, forbid_unknown_fields=True):
    """Figures of the up, down and observed intervals of a service's checks."""

    stat: Literal["availability", "error_budget_remaining", "outages", "mtbf"]


class Freshness(Measure, tag="freshness", frozen=True, forbid_unknown_fields=True):
    """Time-weighted mean age of the last successful record, seconds."""

    events: list[str]
    completed: str
    where: str | None = None


AnyMeasure = (
    Count
    | Sum
    | Mean
    | Share
    | Ratio
    | Quantile
    | Distinct
    | Stickiness
    | PerUserDay
    | Stock
    | Forecast
    | Peak
    | Availability
    | Freshness
)


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a KPI turns amber and red, in the KPI's unit; beyond red in the bad direction is red."""

    amber: float
    red: float


class Breakdown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounded values of a field; each gives a KPI ``<id>_<prefix><value>`` of weight 0."""

    field: str
    values: list[int | str]
    prefix: str = ""


class Csf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One critical success factor and its success statement."""

    id: str
    name: str
    statement: str
    description: str = ""


class Kpi(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key performance indicator: what it means, how it is measured, how it is judged."""

    id: str
    csf: str
    name: str
    definition: str
    unit: str
    direction: Direction
    measure: AnyMeasure
    owner: str = "IT service management"
    version: int = 1
    decimals: int = 2
    thresholds: Thresholds | None = None
    target: float | None = None
    min_sample: int = 1
    weight: float = 1.0
    activity: Activity = "improve"
    goal: str | None = None
    breakdown: Breakdown | None = None
    breakdown_of: str | None = None
    #: smallest period it is offered for
    smallest: Literal["live", "hour", "6h", "day", "week"] = "live"


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A value to reach, valid from a day to a day (both inclusive; open where absent), for a scope."""

    kpi: str
    value: float
    valid_from: date | None = None
    valid_to: date | None = None
    scope: str = "org"


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of service: local weekdays (0 = Monday) and times of day."""

    days: list[int]
    start: str
    end: str


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One service: its team, tier, hours, the vendor ids that mean it, and how its sessions come."""

    id: str
    name: str
    team: str = UNASSIGNED
    tier: int = 2
    vendor_ids: list[str] = []
    sessions: Literal["derived", "reported"] = "derived"
    hours: Hours | None = None
    #: checks that must be up for the service to be up (none named: all checks seen)
    required_checks: list[str] = []


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A business goal that KPIs serve."""

    id: str
    name: str
    description: str = ""


class Insight(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An insight rule: a condition over a month's KPIs, and what the report then says.

    Conditions and the placeholders of texts are those of ``pipeline.catalogue.insight_language``.

    Attributes:
        csf: where it is said; None for a rule that is tried for each KPI (``each``), which is said at the KPI's CSF.
        when: the condition.
        sentence: what the data says, with its figures as placeholders such as ``{csat.value}``.
        concern: what that may mean; needed where the tone is bad or mixed.
        suggestions: what to do, most urgent first.
        activity, goal: of a concern; those of the sentence's first KPI where absent.
        priority: findings of greater priority come first; then bad ones before good ones.
        supersedes: ids of more general rules that are not said beside this one.
        each: try it for every KPI that no other finding of its CSF tells of, under the name ``kpi``; the first that holds is
            said, of all such KPIs together where the text has a part in angle brackets.
    """

    id: str
    when: str
    tone: Tone
    sentence: str
    csf: str | None = None
    concern: str | None = None
    suggestions: list[str] = []
    activity: Activity | None = None
    goal: str | None = None
    priority: int = 0
    supersedes: list[str] = []
    each: bool = False


class Organisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for the whole organisation."""

    name: str = "Organisation"
    zone: str = "UTC"
    currency: str = "EUR"
    session_gap_minutes: int = 30
    #: days after the end of a month, and local time, at which it is closed by schedule
    close_day: int = 3
    close_time: str = "06:00"
    #: events before this day are beyond the state's horizon (exit: ignored)
    history_from: date = date(2000, 1, 1)
    #: how many services that the catalogue does not name an importer may register
    discovered_services: int = 500
    #: bounds of one partition's state: ids remembered against duplicates, sessions and tasks that take more, entities
    remembered_ids: int = 2_000_000
    open_sessions: int = 200_000
    entities: int = 500_000
    #: score limits: at or above aligned, at or above at_risk, below: concern
    aligned_score: float = 80.0
    at_risk_score: float = 60.0
    #: rules follow from thresholds, targets and CSFs; without it only own rules alert
    derived_alerts: bool = True
    #: addresses of a board, and of the runbook of rules that name none; ``{rule}``, ``{csf}``, ``{kpi}`` and ``{scope}``
    #: stand for the alert's own
    board_url: str | None = None
    runbook_url: str | None = None
    #: who tells people of alerts; the other only shows them
    told_by: Literal["csf-pulse", "grafana"] = "csf-pulse"


class Catalogue(msgspec.Struct, frozen=True):
    """The whole catalogue, checked and cross-referenced; breakdown KPIs are expanded."""

    organisation: Organisation
    csfs: dict[str, Csf]
    kpis: dict[str, Kpi]
    services: dict[str, Service]
    targets: list[Target]
    goals: dict[str, Goal]
    insights: dict[str, Insight] = {}
    #: rules that alert by id, own and derived ones; those switched off are left out
    alerts: dict[str, AnyRule] = {}
    channels: dict[str, Channel] = {}
    routes: list[Route] = []
    digest: str = ""

    def target_for(self, kpi_id: str, scope: str, team: str | None, day: date) -> float | None:
        """Return the target in force on a local day: the service's, else team's, organisation's, KPI's own."""
        scopes = [scope] + ([f"team:{team}"] if team and scope.startswith("service:") else []) + ["org"]
        for wanted in scopes:
            for t in self.targets:
                if (
                    t.kpi == kpi_id
                    and t.scope == wanted
                    and (t.valid_from is None or t.valid_from <= day)
                    and (t.valid_to is None or day <= t.valid_to)
                ):
                    return t.value
        return self.kpis[kpi_id].target
