"""From insight rules and the month's KPIs to findings: what the data says, the concern, what to do.

Rules are catalogue data (``insights/*.yaml``). Every rule whose condition holds is said, but those that a more specific
one supersedes; rules with ``each`` then speak for the KPIs of a CSF that none of its findings tells of, all KPIs of one
rule in one finding. Praise of nothing new is left out. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from pipeline.catalogue import insight_language as language
from pipeline.catalogue.model import Catalogue, Insight, Tone
from pipeline.report import words
from pipeline.report.facts import Facts, aim, ask
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import Figure, Finding
from pipeline.report.verdict import Standing, standing

_FIRST: dict[Tone, int] = {"bad": 0, "mixed": 1, "good": 2, "neutral": 3, "unknown": 4}
#: Tones of findings that tell of a missed target only where they carry it.
_KIND = frozenset({"good", "neutral"})
#: What a rule asks that is about a missed target.
_OF_TARGETS = frozenset({"missed", "target_state"})

condition = lru_cache(maxsize=1024)(language.condition)

Said = tuple[Insight, Finding]


def interpret(catalogue: Catalogue, kpis: Mapping[str, KpiReport]) -> dict[str, list[Finding]]:
    """Return the findings of every CSF of the catalogue, most pressing first.

    Args:
        catalogue: its insight rules, CSFs and organisation's score limits.
        kpis: the KPI reports of one scope by id, breakdowns among them; those missing count as unknown.
    """
    csfs = {csf: standing(catalogue, csf, kpis) for csf in catalogue.csfs}
    found: dict[str, list[Said]] = {csf: [] for csf in catalogue.csfs}
    facts = Facts(kpis, csfs)
    for rule, finding in _holding(catalogue, facts):
        found[finding.csf].append((rule, finding))
    told = {}
    for csf, findings in found.items():
        said = _without_repeated_praise(_ordered(findings))
        own = sorted((k for k in kpis.values() if k.csf == csf and k.weight > 0), key=lambda k: -k.weight)
        told[csf] = [finding for _, finding in (*said, *_ordered(_each(catalogue, kpis, csfs, own, said)))]
    return told


def _holding(catalogue: Catalogue, facts: Facts) -> list[Said]:
    """Return what the rules say that hold and that no other such rule supersedes."""
    holding = [
        (r, _finding(r, r.csf or "", [facts]))
        for r in catalogue.insights.values()
        if not r.each and condition(r.when)(facts)
    ]
    holding = [(rule, finding) for rule, finding in holding if not _flatters(finding, facts)]
    superseded = {other for rule, _ in holding for other in rule.supersedes}
    return [(rule, finding) for rule, finding in holding if rule.id not in superseded]


def _flatters(finding: Finding, facts: Facts) -> bool:
    """Return whether a finding praises a KPI that is far from its target and does not say so."""
    if finding.tone != "good":
        return False
    named = [report for kpi in finding.kpis if (report := facts.kpi(kpi)) is not None]
    return any(k.status == "red" and ask(k, "missed") and _aim(k) not in finding.figures for k in named)


def _rules_for(report: KpiReport, each: Sequence[Insight], said: Sequence[Said]) -> Sequence[Insight]:
    """Return the rules with ``each`` that may speak for a KPI: all where no finding tells of it, else none.

    Praise tells of a KPI that misses its target only where it carries the target; otherwise what is asked of targets
    is still to be told, and nothing else.
    """
    naming = [finding for _, finding in said if report.id in finding.kpis]
    if not naming:
        return each
    if not ask(report, "missed") or any(f.tone not in _KIND or _aim(report) in f.figures for f in naming):
        return []
    return [rule for rule in each if any(what in _OF_TARGETS for _, what in language.asked(rule.when))]


def _aim(report: KpiReport) -> Figure:
    return Figure(kpi=report.id, text=aim(report))


def _without_repeated_praise(said: Sequence[Said]) -> list[Said]:
    """Return findings without those of good tone that tell of no KPI which an earlier good one did not tell of."""
    kept: list[Said] = []
    praised: set[str] = set()
    for rule, finding in said:
        if finding.tone == "good":
            if praised.issuperset(finding.kpis):
                continue
            praised.update(finding.kpis)
        kept.append((rule, finding))
    return kept


def _each(
    catalogue: Catalogue,
    kpis: Mapping[str, KpiReport],
    csfs: Mapping[str, Standing],
    own: Sequence[KpiReport],
    said: Sequence[Said],
) -> list[Said]:
    """Return what rules with ``each`` say of a CSF's KPIs: of every one the first that holds, together what is the same."""
    each = sorted((r for r in catalogue.insights.values() if r.each), key=lambda r: -r.priority)
    groups: dict[tuple[str, ...], list[Facts]] = {}
    for report in own:
        facts = Facts(kpis, csfs, subject=report)
        rule = next((r for r in _rules_for(report, each, said) if condition(r.when)(facts)), None)
        if rule is not None:
            groups.setdefault((report.csf, rule.id, *_frame(rule, facts)), []).append(facts)
    return [
        (catalogue.insights[rule], _finding(catalogue.insights[rule], csf, told))
        for (csf, rule, *_), told in groups.items()
    ]


def _frame(rule: Insight, facts: Facts) -> list[str]:
    """Return what a rule says of a KPI but for the parts that are said of every KPI: KPIs of one frame are told together."""
    found = []
    for text in (rule.sentence, rule.concern or "", *rule.suggestions):
        before, _, after = language.pieces(text)
        found += [_fill(before, facts)[0], _fill(after, facts)[0]]
    return found


def _ordered(said: Sequence[Said]) -> list[Said]:
    """Return findings by priority and tone, those of single KPIs by tone and priority; else in the catalogue's order."""

    def rank(one: Said) -> tuple[int, int]:
        rule, tone = one[0], _FIRST[one[0].tone]
        return (tone, -rule.priority) if rule.each else (-rule.priority, tone)

    return sorted(said, key=rank)


def _finding(rule: Insight, csf: str, told: Sequence[Facts]) -> Finding:
    """Return what a rule says: of the month, or, with ``each``, of all the KPIs that ``told`` are about."""
    sentence, figures = _say(rule.sentence, told)
    concern = _say(rule.concern, told)[0] if rule.concern else None
    first = told[0].kpi(figures[0].kpi) if figures else None
    return Finding(
        rule=rule.id,
        csf=csf,
        tone=rule.tone,
        sentence=sentence,
        concern=concern,
        suggestions=[_say(text, told)[0] for text in rule.suggestions],
        kpis=list(dict.fromkeys(figure.kpi for figure in figures)),
        activity=(rule.activity or (first.activity if first else None)) if concern else None,
        goal=rule.goal or (first.goal if first else None),
        figures=figures,
    )


def _say(text: str, told: Sequence[Facts]) -> tuple[str, list[Figure]]:
    """Return a text with its placeholders filled in, and the figures in it."""
    before, item, after = language.pieces(text)
    said, figures = _fill(before, told[0])
    if item:
        items = [_fill(item, facts) for facts in told]
        said += words.listing([one for one, _ in items])
        figures = figures + [figure for _, carried in items for figure in carried]
        tail, more = _fill(after, told[0])
        said, figures = said + tail, figures + more
    return said[:1].upper() + said[1:], figures


def _fill(text: str, facts: Facts) -> tuple[str, list[Figure]]:
    """Return a piece of a text with its placeholders filled in, and the figures in it."""
    said: list[str] = []
    figures: list[Figure] = []
    for part, optional in language.parts(text):
        filled, carried, all_known = _fill_part(part, facts)
        if optional and not all_known:
            continue
        said.append(filled)
        figures += carried
    return language.joined(said), figures


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
