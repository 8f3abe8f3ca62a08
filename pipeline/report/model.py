"""The report's vocabulary: one issued report is one ``Report``, kept as JSON; everything shown is rendered from it.

Numbers are in the KPI's unit; shares are 0-1 (coverage, p-values), percentages 0-100. None is *unknown* and is shown
as such, never as zero. Text from events or configuration stands here as it came: renderers escape it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.catalogue.model import Tone
from pipeline.report.kpireport import KpiReport, Point
from pipeline.values import CsfState

#: Version of the JSON form of ``Report``; raised when a field changes its meaning or goes.
SCHEMA_VERSION = 1


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
