"""From insight rules and the month's KPIs to findings: what the data says, the concern, what to do.

Rules are catalogue data (``insights/*.yaml``). Every rule whose condition holds is said, but those that a more specific
one supersedes; rules with ``each`` then speak for the KPIs that no finding names. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from pipeline.catalogue import insight_language as language
from pipeline.catalogue.model import Catalogue, Insight, Tone
from pipeline.report import words
from pipeline.report.facts import Facts
from pipeline.report.model import Figure, Finding, KpiReport
from pipeline.report.verdict import Standing, standing

_FIRST: dict[Tone, int] = {"bad": 0, "mixed": 1, "good": 2, "neutral": 3, "unknown": 4}

condition = lru_cache(maxsize=1024)(language.condition)


def interpret(catalogue: Catalogue, kpis: Mapping[str, KpiReport]) -> dict[str, list[Finding]]:
    """Return the findings of every CSF of the catalogue, most pressing first.

    Args:
        catalogue: its insight rules, CSFs and organisation's score limits.
        kpis: the KPI reports of one scope by id, breakdowns among them; those missing count as unknown.
    """
    csfs = {csf: standing(catalogue, csf, kpis) for csf in catalogue.csfs}
    holding = _holding(catalogue, kpis, csfs)
    found: dict[str, list[tuple[Insight, Finding]]] = {csf: [] for csf in catalogue.csfs}
    facts = Facts(kpis, csfs)
    for rule in holding:
        found[rule.csf or ""].append((rule, _finding(rule, rule.csf or "", facts)))
    named = {kpi for said in found.values() for _, finding in said for kpi in finding.kpis}
    for report in kpis.values():
        rule_said = _each(catalogue, kpis, csfs, report) if report.id not in named and report.weight > 0 else None
        if rule_said is not None and report.csf in found:
            found[report.csf].append(rule_said)
    return {csf: _ordered(said) for csf, said in found.items()}


def _holding(catalogue: Catalogue, kpis: Mapping[str, KpiReport], csfs: Mapping[str, Standing]) -> list[Insight]:
    """Return the rules that hold and that no other such rule supersedes."""
    facts = Facts(kpis, csfs)
    holding = [r for r in catalogue.insights.values() if not r.each and condition(r.when)(facts)]
    superseded = {other for rule in holding for other in rule.supersedes}
    return [rule for rule in holding if rule.id not in superseded]


def _each(
    catalogue: Catalogue, kpis: Mapping[str, KpiReport], csfs: Mapping[str, Standing], report: KpiReport
) -> tuple[Insight, Finding] | None:
    """Return what the first rule with ``each`` that holds says of a KPI."""
    facts = Facts(kpis, csfs, subject=report)
    for rule in sorted((r for r in catalogue.insights.values() if r.each), key=lambda r: -r.priority):
        if condition(rule.when)(facts):
            return rule, _finding(rule, report.csf, facts)
    return None


def _ordered(said: list[tuple[Insight, Finding]]) -> list[Finding]:
    """Return findings by priority and tone, those of single KPIs last; otherwise in the catalogue's order."""
    return [
        f for _, f in sorted(said, key=lambda s: (s[0].each, 0 if s[0].each else -s[0].priority, _FIRST[s[0].tone]))
    ]


def _finding(rule: Insight, csf: str, facts: Facts) -> Finding:
    sentence, figures = _fill(rule.sentence, facts)
    concern = _fill(rule.concern, facts)[0] if rule.concern else None
    first = facts.kpi(figures[0].kpi) if figures else None
    return Finding(
        rule=rule.id,
        csf=csf,
        tone=rule.tone,
        sentence=sentence,
        concern=concern,
        suggestions=[_fill(text, facts)[0] for text in rule.suggestions],
        kpis=list(dict.fromkeys(figure.kpi for figure in figures)),
        activity=(rule.activity or (first.activity if first else None)) if concern else None,
        goal=rule.goal or (first.goal if first else None),
        figures=figures,
    )


def _fill(text: str, facts: Facts) -> tuple[str, list[Figure]]:
    """Return a text with its placeholders filled in, and the figures in it."""
    said: list[str] = []
    figures: list[Figure] = []
    for part, optional in language.parts(text):
        filled, carried, all_known = _fill_part(part, facts)
        if optional and not all_known:
            continue
        said.append(filled)
        figures += carried
    whole = language.joined(said)
    return whole[:1].upper() + whole[1:], figures


def _fill_part(text: str, facts: Facts) -> tuple[str, list[Figure], bool]:
    """Return a part of a text with its placeholders filled in, its figures, and whether all of them are known."""
    said: list[str] = []
    figures: list[Figure] = []
    all_known = True
    for literal, of, what in language.placeholders(text):
        said.append(literal)
        if not of:
            continue
        carried = facts.figure(of, what)
        said.append(carried)
        all_known = all_known and carried != words.UNKNOWN
        report = facts.kpi(of)
        if report is not None and what in language.FIGURES:
            figures.append(Figure(kpi=report.id, text=carried))
    return "".join(said), figures, all_known
