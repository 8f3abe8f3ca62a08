"""From findings and verdicts to what is read first: the paragraph of a CSF, the three greatest changes, decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

from pipeline.catalogue.model import Catalogue
from pipeline.report import words
from pipeline.report.facts import after, aim, limits_text, move
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import Change, Finding, Proposal, Summary
from pipeline.report.verdict import Verdict, overall
from pipeline.values import CsfState

#: Changes in the summary; decisions it asks for.
CHANGES, DECISIONS = 3, 5
#: Beyond so many standard deviations a signal is no stronger.
STRONGEST = 6.0


def insight(findings: Sequence[Finding], kpis: Sequence[KpiReport]) -> str:
    """Return a CSF's paragraph: its findings' sentences in reading order, or that nothing clearly changed.

    Args:
        findings: of the CSF, in reading order.
        kpis: its KPI reports.
    """
    if findings:
        return " ".join(finding.sentence for finding in findings)
    counted = [k for k in kpis if k.breakdown_of is None]
    known = [k for k in counted if k.value is not None]
    if not known:
        return f"Nothing can be said: none of its {words.count(len(counted), 'KPI')} has a value this month."
    told = [k for k in known if k.movement != "unknown"]
    targets = _targets(known)
    if not told:
        have = "has" if len(known) == 1 else "have"
        return (
            f"{words.number(len(known))} of {words.count(len(counted), 'KPI')} {have} a value, without enough history to "
            f"tell a change from noise{targets}."
        )
    moved = [
        f"{word}: {words.listing(names)}"
        for word in ("improved", "worsened")
        if (names := [k.name for k in told if k.movement == word])
    ]
    if moved:  # KPIs of one's own, which no rule speaks of
        text = "; ".join(moved)
        return f"{text[0].upper()}{text[1:]}{targets}."
    which = "the one KPI" if len(told) == 1 else f"any of the {len(told)} KPIs"
    return f"No clear change in {which} that can be compared{targets}."


def _targets(known: Sequence[KpiReport]) -> str:
    """Return how many targets are met, as the end of a sentence."""
    aimed = [k for k in known if k.target_state in {"met", "not_met", "on_track", "off_track"}]
    met = sum(k.target_state in {"met", "on_track"} for k in aimed)
    if not aimed:
        return ""
    if len(aimed) == 1:
        return f"; its target is {'met or on track' if met else 'missed'}"
    if met == len(aimed):
        return f"; all {met} targets met or on track"
    return f"; {words.number(met)} of {words.count(len(aimed), 'target')} met or on track"


def concerns(findings: Sequence[Finding]) -> list[str]:
    """Return the concerns of findings in order, each once."""
    return list(dict.fromkeys(f.concern for f in findings if f.concern))


def suggestions(findings: Sequence[Finding]) -> list[str]:
    """Return what findings suggest, in order, each once."""
    return list(dict.fromkeys(text for f in findings for text in f.suggestions))


def strength(report: KpiReport) -> float:
    """Return how strong the signal of a movement is, in standard deviations, at most six; 0 without one.

    Of a process behaviour chart the distance from the centre (its limits are three standard deviations away), of two
    samples the normal statistic of the p-value.
    """
    if report.movement not in {"improved", "worsened"} or report.value is None:
        return 0.0
    within = report.natural_limits
    if within is not None:
        reach = max(within.upper - within.centre, within.centre - within.lower)
        return min(STRONGEST, 3 * abs(report.value - within.centre) / reach) if reach else STRONGEST
    p = min((s.p_value for s in report.signals if s.p_value is not None), default=1.0)
    return min(STRONGEST, -NormalDist().inv_cdf(max(p, 1e-12) / 2)) if p < 1 else 0.0


def changes(catalogue: Catalogue, kpis: Mapping[str, KpiReport]) -> list[Change]:
    """Return the greatest changes of the month, at most three: by strength times weight in the CSF."""
    totals = {csf: sum(k.weight for k in catalogue.kpis.values() if k.csf == csf) for csf in catalogue.csfs}
    ranked = sorted(
        ((strength(k) * k.weight / totals[k.csf], k) for k in kpis.values() if k.weight > 0 and totals.get(k.csf)),
        key=lambda pair: (-pair[0], pair[1].id),
    )
    return [
        Change(kpi=k.id, csf=k.csf, good=k.movement == "improved", sentence=_change(k))
        for size, k in ranked[:CHANGES]
        if size > 0
    ]


def _change(report: KpiReport) -> str:
    """Return a change with what is usual, its natural process limits, and how it stands to its target."""
    now = words.quantity(report.value, report.unit, report.decimals)
    within = report.natural_limits if any(s.kind == "outside_limits" for s in report.signals) else None
    said = f"stood at {now}{after(report, within.centre)}; usually {limits_text(report)}" if within else move(report)
    target = aim(report)
    return f"{report.name} {said}" + (f" ({target})." if target != words.UNKNOWN else ".")


def _deciding(verdicts: Mapping[str, Verdict], findings: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    """Return of every CSF that is not aligned the first finding to act on, one with a concern if there is one; the worst first."""
    found = []
    order: tuple[CsfState, ...] = ("concern", "at_risk")
    for state in order:
        for csf in (c for c, v in verdicts.items() if v.state == state):
            told = [f for f in findings.get(csf, []) if f.suggestions]
            found += [f for f in told if f.concern][:1] or told[:1]
    return found[:DECISIONS]


def _decisions(
    catalogue: Catalogue,
    verdicts: Mapping[str, Verdict],
    deciding: Sequence[Finding],
    kpis: Mapping[str, KpiReport],
    proposals: Sequence[Proposal],
) -> list[str]:
    """Return what needs a decision: the concerns with the first step against each, and what else the data proposes."""
    found = [
        f"{catalogue.csfs[f.csf].name}: {f.concern or verdicts[f.csf].reason} {f.suggestions[0]}" for f in deciding
    ]
    told = {kpi for finding in deciding for kpi in finding.kpis}
    names = list(dict.fromkeys(kpis[p.kpi].name for p in proposals if p.kpi in kpis and p.kpi not in told))
    if names:
        found.append(f"Improvement programmes: open or decline what the data proposes for {words.listing(names)}.")
    return found


def summarise(
    catalogue: Catalogue,
    verdicts: Mapping[str, Verdict],
    kpis: Mapping[str, KpiReport],
    findings: Mapping[str, Sequence[Finding]],
    proposals: Sequence[Proposal] = (),
) -> Summary:
    """Return the executive summary of one scope's month.

    Args:
        catalogue: gives names and weights.
        verdicts: of every CSF (``pipeline.report.verdict.judge_verdicts``).
        kpis: the KPI reports by id.
        findings: of every CSF (``pipeline.report.insights.interpret``).
        proposals: improvement programmes that the data proposes (``pipeline.report.proposals.propose``).
    """
    whole = overall(catalogue, verdicts)
    by_state: dict[CsfState, list[str]] = {"aligned": [], "at_risk": [], "concern": [], "unknown": []}
    for csf, verdict in verdicts.items():
        by_state[verdict.state].append(csf)
    return Summary(
        verdict=whole.state,
        headline=whole.reason,
        aligned=by_state["aligned"],
        at_risk=by_state["at_risk"],
        concern=by_state["concern"],
        unknown=by_state["unknown"],
        changes=changes(catalogue, kpis),
        decisions=_decisions(catalogue, verdicts, _deciding(verdicts, findings), kpis, proposals),
    )
