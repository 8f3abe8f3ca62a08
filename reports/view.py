"""The report in words: every text, mark and chart of it, once for all its forms.

HTML, PDF and Markdown only lay out what stands here; none of them decides what a number is called. Texts are plain:
each form escapes them its own way.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Tone = Literal["good", "warn", "bad", "none"]


class Mark(msgspec.Struct, frozen=True):
    """A state as a word with a tone; forms add the tone's shape and colour."""

    tone: Tone
    word: str


class Move(msgspec.Struct, frozen=True):
    """A movement: which way the value left its usual level, whether that is good, and in words."""

    arrow: Literal["up", "down", "flat", "none"]
    tone: Tone
    word: str


class Run(msgspec.Struct, frozen=True):
    """A piece of a paragraph; ``kpi`` is the KPI whose row its figure leads to, empty for plain text."""

    text: str
    kpi: str = ""


class Chart(msgspec.Struct, frozen=True):
    """A chart as SVG, and what it shows in words."""

    svg: str
    label: str


class Change(msgspec.Struct, frozen=True):
    """A value before and the way from it to this month's, in words; ``known`` False: words say why there is none.

    ``before`` is empty where it is unknown.
    """

    before: str
    text: str
    known: bool


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a CSF's KPI table."""

    id: str
    name: str
    part: bool
    value: str
    unit: str
    target: str
    target_state: Mark
    month_before: Change
    year_before: Change
    movement: Move
    reason: str
    trend: Chart
    sample: str
    coverage: str
    notes: list[str]


class Unvalued(msgspec.Struct, frozen=True):
    """A KPI without a value this month: its target and its last known month in words, empty where there are none."""

    id: str
    name: str
    said: str


class Silence(msgspec.Struct, frozen=True):
    """The KPIs of a CSF that have no value this month for one reason, which is a sentence."""

    reason: str
    kpis: list[Unvalued]


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service's part in a KPI."""

    name: str
    value: str
    before: str
    effect: str
    share: str
    sample: str


class Drivers(msgspec.Struct, frozen=True, kw_only=True):
    """The services that drive one KPI's change; ``additive``: their parts of it are known."""

    kpi: str
    name: str
    change: str
    services: list[Service]
    additive: bool


class Concern(msgspec.Struct, frozen=True, kw_only=True):
    """A concern, where in the value chain it belongs, the goal it touches, and programmes that are open for it (empty where none)."""

    text: str
    activity: str
    goal: str
    kpi: str
    programmes: str = ""


class Comment(msgspec.Struct, frozen=True):
    """A manager's word, signed and dated."""

    text: list[str]
    author: str
    at: str


class Csf(msgspec.Struct, frozen=True, kw_only=True):
    """A critical success factor's section.

    Attributes:
        kpis: the rows of its table, those that have a value; ``silent``: the others.
        notes: what each row's notes would say again; the rows have only the rest.
    """

    id: str
    name: str
    statement: str
    status: Mark
    verdict: Mark
    score: str
    score_before: str
    scores: Chart
    reason: str
    brief: str
    insight: list[Run]
    concerns: list[Concern]
    suggestions: list[str]
    kpis: list[Kpi]
    notes: list[str]
    silent: list[Silence]
    drivers: list[Drivers]
    comment: Comment | None


class Tally(msgspec.Struct, frozen=True):
    """How many CSFs have a verdict, and which."""

    mark: Mark
    csfs: list[tuple[str, str]]


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that changed most."""

    kpi: str
    csf: str
    mark: Mark
    text: str


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A business goal and what serves it."""

    id: str
    name: str
    description: str
    state: Mark
    kpis: list[tuple[str, str]]
    concerns: list[str]


class Activity(msgspec.Struct, frozen=True):
    """An activity of the value chain and the concerns that belong to it."""

    name: str
    concerns: list[tuple[str, str]]


class Sip(msgspec.Struct, frozen=True, kw_only=True):
    """A Service Improvement Programme."""

    id: str
    title: str
    kpi: str
    kpi_name: str
    scope: str
    owner: str
    status: str
    opened: str
    due: str
    overdue: bool
    baseline: str
    goal: str
    value: str
    actions: list[str]
    result: Mark
    reason: str
    trend: Chart


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A plain table: ``text`` columns are set left, the others right; the first names the row.

    Attributes:
        lead: the KPI that a row's name leads to; empty where it leads nowhere.
        after: a sentence under it; empty where there is none.
    """

    caption: str
    columns: list[str]
    text: list[bool]
    rows: list[list[str]]
    lead: list[str] = []
    after: str = ""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How far the figures can be trusted: sentences, then tables (left out where they would be empty)."""

    sentences: list[str]
    tables: list[Table]


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a KPI's figure is made of: its services, and the entities behind it; ``additive`` as of ``Drivers``."""

    kpi: str
    name: str
    services: list[Service]
    additive: bool
    services_left: str
    evidence: list[tuple[str, str]]
    evidence_left: str


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a KPI means."""

    kpi: str
    name: str
    text: str
    facts: str


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report in words."""

    title: str
    organisation: str
    scope: str
    scope_kind: str
    month: str
    month_before: str
    year_before: str
    span: str
    state: str
    facts: list[tuple[str, str]]
    footer: str
    verdict: Mark
    headline: str
    standing: str
    tallies: list[Tally]
    changes: list[Headline]
    decisions: list[str]
    csfs: list[Csf]
    goals: list[Goal]
    activities: list[Activity]
    sips: list[Sip]
    proposals: list[tuple[str, str]]
    quality: Quality
    comparison: list[str]
    differences: Table | None
    numbers: list[Table]
    months: list[Table]
    provenance: list[Provenance]
    provenance_left: str
    definitions: list[Definition]
