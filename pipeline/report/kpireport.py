"""A KPI of the month as the report says it: ``KpiReport`` and what it is made of.

Units, and what None means, are those of ``pipeline.report.model``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.values import Status

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
