"""The report's vocabulary: one issued report is one ``Report``, kept as JSON; everything shown is rendered from it.

Numbers are in the KPI's unit; shares are 0-1 (coverage, p-values), percentages 0-100. None is *unknown* and is shown
as such, never as zero. Text from events or configuration stands here as it came: renderers escape it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.catalogue.model import Tone
from pipeline.values import CsfState, Status

#: Version of the JSON form of ``Report``; raised when a field changes its meaning or goes.
SCHEMA_VERSION = 1
#: Months in a trend line.
MONTHS = 13

Movement = Literal["improved", "worsened", "steady", "unknown"]
TargetState = Literal["on_track", "off_track", "too_early_to_track", "met", "not_met", "no_target", "unknown"]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One month of a trend line; ``value`` None where the month is unknown.

    ``target`` is the one in force in that month; ``definition_version`` tells months that another definition made.
    ``elapsed`` is the share 0-1 of the month that had passed at the cut-off: below 1 only where it is ``to_date``;
    what was counted in a part of a month is never compared with whole months.
    """

    month: str
    value: float | None
    numerator: float | None = None
    denominator: float | None = None
    count: int = 0
    coverage: float | None = None
    target: float | None = None
    state: Literal["to_date", "closed", "restated"] = "closed"
    reported: bool = False
    definition_version: int = 1
    elapsed: float = 1.0


class NaturalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Natural process limits (XmR chart) of the ``months`` before the one reported, clipped to what can be."""

    lower: float
    centre: float
    upper: float
    months: int


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """Theil-Sen slope a month, and whether Mann-Kendall takes it for real.

    Attributes:
        direction: ``improving`` or ``worsening`` by the KPI's direction; ``none``: no clear trend.
        slope: change a month in the KPI's unit; None where there are too few months.
        p_value: of the Mann-Kendall test.
        months: how many known months it rests on.
    """

    direction: Literal["improving", "worsening", "none", "unknown"] = "unknown"
    slope: float | None = None
    p_value: float | None = None
    months: int = 0


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What made a movement be named (or supports it).

    Attributes:
        kind: ``outside_limits``, ``run_of_eight``, ``three_of_four`` (run rules of process-behaviour charts),
            ``two_sample`` (against the previous month).
        good: whether it is for the better; None where the direction says neither.
        text: in words, with its figures.
    """

    kind: Literal["outside_limits", "run_of_eight", "three_of_four", "two_sample"]
    good: bool | None
    text: str
    p_value: float | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """An entity behind a figure: an incident or change number, with its part in it."""

    number: str
    service: str
    value: float | None = None
    at: str | None = None


class Contributor(msgspec.Struct, frozen=True, kw_only=True):
    """A service (or team) and its part in a KPI's change against the previous month.

    Attributes:
        effect: its part of the change in the KPI's unit; the effects of all add up to the change where the KPI is a
            sum or a ratio of sums, otherwise None (then the services' own changes order them).
        share: effect / change, may be negative or above 1; None where the change is 0 or effects do not add up.
        rate, mix: of a ratio's effect, what its own ratio's change makes, and what its changed weight makes.
    """

    scope: str
    name: str
    value: float | None
    previous: float | None
    effect: float | None = None
    share: float | None = None
    count: int = 0
    rate: float | None = None
    mix: float | None = None


class KpiReport(msgspec.Struct, kw_only=True):
    """One KPI of one scope in the month.

    Attributes:
        state, revision: of the value (``to_date`` 0; ``closed`` 1; ``restated`` 2 ...).
        target: in force that month for this scope; target_state: met / not met once the month is over, before that
            on track / off track by where the month is heading, or too early to track.
        previous, previous_year: values of the month before and of the same month a year before.
        change_pct: 100 x (value - previous) / |previous|; None where either is unknown or previous is 0.
        movement: named only where the statistics name it (``signals`` say why), ``steady`` is "no clear change".
        movement_reason: one sentence; says also why a movement is unknown.
        history: ``MONTHS`` points, oldest first, ending with this month.
        contributors: those that drive the change, greatest effect first.
        services: the KPI of every service below the scope (provenance); evidence: entity numbers, a bounded list.
        notes: what a reader must know: changed definition, low coverage, small sample, reported value, restatement.
    """

    id: str
    name: str
    csf: str
    unit: str
    direction: Literal["up", "down", "zero"]
    decimals: int
    weight: float
    definition: str
    definition_version: int
    owner: str
    activity: str
    goal: str | None
    value: float | None
    numerator: float | None
    denominator: float | None
    count: int
    coverage: float | None
    status: Status
    score: float | None
    state: Literal["to_date", "closed", "restated"]
    revision: int
    reported: bool
    target: float | None
    target_state: TargetState
    previous: float | None
    previous_year: float | None
    change: float | None
    change_pct: float | None
    change_year_pct: float | None
    movement: Movement
    movement_reason: str
    signals: list[Signal]
    trend: Trend
    natural_limits: NaturalLimits | None
    history: list[Point]
    contributors: list[Contributor]
    services: list[Contributor]
    evidence: list[Evidence]
    evidence_total: int
    notes: list[str]
    breakdown_of: str | None = None
    #: false where a value was brought from elsewhere without its sample: ``count`` is then what lets it be judged
    sample_known: bool = True
    #: what ``count`` is counted in: ``s``, the time that was checked; "": records
    sample_unit: str = ""
    #: ids of the improvement programmes that are open for it, in the report's scope or a place in it
    programmes: list[str] = []


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that a sentence carries: its text as it stands there, and the KPI whose row proves it."""

    kpi: str
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one insight rule said: a sentence, the figures it rests on, a concern, what to do.

    Attributes:
        rule: id of the rule in the catalogue.
        figures: the figures in the sentence, in the order in which they stand there: renderers make links of them.
        kpis: the KPIs whose figures the sentence carries; links lead to them.
        activity: ITIL value-chain activity a concern belongs to; goal: the business goal it touches.
    """

    rule: str
    csf: str
    tone: Tone
    sentence: str
    concern: str | None
    suggestions: list[str]
    kpis: list[str]
    activity: str | None
    goal: str | None
    figures: list[Figure] = []


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A manager's signed, dated word on a CSF; printed beside the text, never instead of it."""

    csf: str
    author: str
    at: str
    text: str


class CsfReport(msgspec.Struct, kw_only=True):
    """One CSF: its status and score (from targets), its verdict (status and movements), what the data says.

    Attributes:
        status, score: of the KPI store; ``previous_score`` of the month before, ``scores`` of ``MONTHS`` months.
        verdict: adds movements and findings to the status; verdict_reason says how, in one sentence.
        insight: the findings' sentences in reading order, one paragraph.
        concerns, suggestions: of the findings, most pressing first, each once.
    """

    id: str
    name: str
    statement: str
    status: CsfState
    score: float | None
    previous_score: float | None
    scores: list[float | None]
    verdict: CsfState
    verdict_reason: str
    insight: str
    concerns: list[str]
    suggestions: list[str]
    findings: list[Finding]
    kpis: list[KpiReport]
    comment: Comment | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that changed most, for the summary."""

    kpi: str
    csf: str
    good: bool
    sentence: str


class Summary(msgspec.Struct, kw_only=True):
    """The executive summary.

    Attributes:
        verdict: overall; headline: it in a sentence.
        aligned, at_risk, concern, unknown: CSF ids.
        changes: at most three, greatest first.
        decisions: what needs a decision, each one sentence; empty where nothing does.
    """

    verdict: CsfState
    headline: str
    aligned: list[str]
    at_risk: list[str]
    concern: list[str]
    unknown: list[str]
    changes: list[Change]
    decisions: list[str]


class GoalReport(msgspec.Struct, kw_only=True):
    """A business goal and how the KPIs that serve it stand (``pipeline.report.goals``)."""

    id: str
    name: str
    description: str
    state: CsfState
    kpis: list[str]
    concerns: list[str]


SipResult = Literal["working", "not_yet", "worse", "met", "unknown"]
SipStatus = Literal["open", "in_progress", "on_hold", "closed"]


class SipReport(msgspec.Struct, kw_only=True):
    """A Service Improvement Programme as the report shows it: its plan, and whether its KPI has really moved.

    Attributes:
        baseline: the KPI's value when it started; goal: the value it is to reach.
        result: by the same statistics as movements; result_reason says why in one sentence.
        history: the KPI's months since the start.
    """

    id: str
    title: str
    kpi: str
    kpi_name: str
    unit: str
    scope: str
    owner: str
    status: SipStatus
    opened: str
    due: str | None
    baseline: float | None
    goal: float | None
    value: float | None
    actions: list[str]
    result: SipResult
    result_reason: str
    overdue: bool
    history: list[Point]


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A SIP that the data proposes: a concern that recurs."""

    kpi: str
    scope: str
    title: str
    reason: str


class Restatement(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a closed month that changed afterwards."""

    kpi: str
    scope: str
    month: str
    revision: int
    old: float | None
    new: float | None
    reason: str


class Quality(msgspec.Struct, kw_only=True):
    """How far the figures can be trusted.

    Attributes:
        coverage: the mean over KPIs that have one; low: KPIs below ``enough`` with their coverage.
        unknown: KPIs without a value, each with the reason in words.
        late: values of closed months, of the scope and its services, that events changed which came after the closing
            (the store counts no events a month); truncated: what source limits hid.
        exits: events by exit (all partitions, all time).
        restatements: of this month and of the months in its trend lines.
    """

    coverage: float | None
    enough: float
    low: dict[str, float]
    unknown: dict[str, str]
    late: int
    truncated: int
    exits: dict[str, int]
    restatements: list[Restatement]
    notes: list[str]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two issues of a report."""

    what: str
    old: str
    new: str
    reason: str = ""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """When and why this report was issued; differences are against the issue before."""

    number: int
    at: str
    by: str
    differences: list[Difference] = []


class Report(msgspec.Struct, kw_only=True):
    """The Monthly Operating Report of a month and a scope.

    Attributes:
        month: ``2026-10``; start, end: its local bounds, RFC 3339.
        scope: ``org``, ``team:ID`` or ``service:ID``.
        state, revision: ``to_date`` and 0 until the month is closed; the greatest revision of its values after that.
        cut_off: local time up to which arrived events are in the figures; None before the first event.
        issue: None for a draft.
    """

    schema_version: int
    organisation: str
    month: str
    start: str
    end: str
    zone: str
    currency: str
    scope: str
    scope_name: str
    state: Literal["to_date", "closed", "restated"]
    revision: int
    cut_off: str | None
    catalogue: str
    summary: Summary
    csfs: list[CsfReport]
    goals: list[GoalReport]
    sips: list[SipReport]
    proposals: list[Proposal]
    quality: Quality
    issue: Issue | None = None
