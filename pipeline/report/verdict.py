"""The alignment verdict: a CSF's status from targets, with what its movements and findings add to it.

A verdict is never better than the status: a target missed is not mended by a good month. It is worse where

* an *aligned* CSF has a weighty KPI that is red, or a finding that names a concern over KPIs that worsened (where its
  tone is bad, also over those that miss their target) and are weighty together, or that has no KPI on target: **at risk**;
* an *at risk* CSF has worsened in KPIs of a third of its known weight, and of more than improved: **concern**.

KPIs are *weighty* from 15 % of their CSF's weight. Where less than half the weight can be judged the status is unknown,
and so is the verdict, unless a finding speaks: then what is known is judged, and the verdict says that it is
*provisional* and on how much it rests. Of the CSFs with a verdict, a quarter at concern makes the whole a concern; any
that is not aligned puts it at risk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline.catalogue.model import Catalogue
from pipeline.evaluate.judge import judge_csf
from pipeline.report import words
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import Finding
from pipeline.values import CsfState

#: Share of a CSF's weight from which a KPI alone decides.
WEIGHTY = 0.15
#: Share of the known weight that must have worsened to turn "at risk" into a concern.
MUCH = 1 / 3
#: Share of the CSFs with a verdict that must be a concern for the whole to be one.
MANY = 0.25
_NAMED = 3
#: Tones of findings that say nothing for or against.
_SILENT = frozenset({"neutral", "unknown"})


class Verdict(NamedTuple):
    """A verdict, the sentence that says why, and whether it rests on less than half of the weight."""

    state: CsfState
    reason: str
    provisional: bool = False


class Standing(NamedTuple):
    """How a CSF stands before findings: its state, its score of 100, and the share of its weight that has one."""

    state: CsfState
    score: float | None
    known: float


def _own(catalogue: Catalogue, csf: str, kpis: Mapping[str, KpiReport]) -> list[KpiReport]:
    """Return the KPIs that count for a CSF, weightiest first."""
    own = [kpis[k.id] for k in catalogue.kpis.values() if k.csf == csf and k.weight > 0 and k.id in kpis]
    return sorted(own, key=lambda k: -k.weight)


def _total(catalogue: Catalogue, csf: str) -> float:
    return sum(k.weight for k in catalogue.kpis.values() if k.csf == csf)


def standing(catalogue: Catalogue, csf: str, kpis: Mapping[str, KpiReport]) -> Standing:
    """Return how a CSF stands by its KPIs' scores and movements, before any finding."""
    scores = [(kpis[k.id].score if k.id in kpis else None, k.weight) for k in catalogue.kpis.values() if k.csf == csf]
    state, score, known, total = judge_csf(scores, catalogue.organisation)
    verdict = _verdict(catalogue, csf, state, kpis, [])
    return Standing(verdict.state, score, known / total if total else 0.0)


def judge_verdicts(
    catalogue: Catalogue,
    statuses: Mapping[str, CsfState],
    kpis: Mapping[str, KpiReport],
    findings: Mapping[str, Sequence[Finding]],
) -> dict[str, Verdict]:
    """Return the verdict of every CSF of the catalogue, with its reason.

    Args:
        catalogue: gives CSFs, weights and score limits.
        statuses: of each CSF by its targets; one that is missing is unknown.
        kpis: the KPI reports of one scope by id.
        findings: of each CSF (``pipeline.report.insights.interpret``).
    """
    return {
        csf: _verdict(catalogue, csf, statuses.get(csf, "unknown"), kpis, findings.get(csf, []))
        for csf in catalogue.csfs
    }


def _names(kpis: Iterable[KpiReport]) -> str:
    """Return the names of KPIs in a sentence, three at most."""
    named = list(kpis)
    more = len(named) - _NAMED
    shown = [k.name for k in named[:_NAMED]]
    return words.listing([*shown, f"{more} more"] if more > 0 else shown)


def _verdict(
    catalogue: Catalogue, csf: str, status: CsfState, kpis: Mapping[str, KpiReport], findings: Sequence[Finding]
) -> Verdict:
    own, total = _own(catalogue, csf, kpis), _total(catalogue, csf)
    judged = [k for k in own if k.score is not None]
    known = sum(k.weight for k in judged)
    if status == "unknown":
        part = words.share(known / total if total else 0.0)
        if not known or all(f.tone in _SILENT for f in findings):
            if not known:
                return Verdict("unknown", "No verdict: none of its KPIs has a value that can be judged.")
            return Verdict("unknown", f"KPIs of only {part} of its weight can be judged; half is needed.")
        so_far = judge_csf([(k.score, k.weight) for k in judged], catalogue.organisation)[0]
        found = _verdict(catalogue, csf, so_far, kpis, findings)
        little = f"Provisional, KPIs of only {part} of its weight can be judged"
        return Verdict(found.state, f"{little}: {_uncap(found.reason)}", provisional=True)
    score = sum((k.score or 0.0) * k.weight for k in judged) / known if known else None
    scored = f"the score is {words.score(score)} of 100" if score is not None else "no score is known"
    missed = [k for k in judged if k.status in {"amber", "red"}]
    worse = [k for k in own if k.movement == "worsened"]
    if status == "concern":
        red = [k for k in missed if k.status == "red"] or missed
        below = f"; {'far from' if red[0].status == 'red' else 'short of'} target: {_names(red)}" if red else ""
        return Verdict("concern", f"{_cap(scored)}{below}.")
    if status == "at_risk":
        lost, won = (sum(k.weight for k in own if k.movement == way) for way in ("worsened", "improved"))
        if known and lost >= MUCH * known and lost > won:
            part = words.share(min(1.0, lost / known))
            return Verdict("concern", f"{_cap(scored)}, and KPIs of {part} of its weight worsened: {_names(worse)}.")
        return Verdict("at_risk", f"{_cap(scored)}" + (f"; short of target: {_names(missed)}." if missed else "."))
    met = len(judged) - len(missed)
    if judged and not met:
        none = "its only KPI is short of target" if len(judged) == 1 else f"none of {len(judged)} KPIs is on target"
        return Verdict("at_risk", f"{_cap(scored)}, but {none}.")
    reason = _against(own, total, findings)
    if reason:
        return Verdict("at_risk", f"{_cap(scored)}, but {reason}.")
    moved = f"; worsened: {_names(worse)}" if worse else ""
    return Verdict("aligned", f"{_cap(scored)}; {_of(met, len(judged))} on target{moved}.")


def _against(own: Sequence[KpiReport], total: float, findings: Sequence[Finding]) -> str:
    """Return what speaks against calling an aligned CSF aligned, or nothing."""

    def weighty(some: Sequence[KpiReport]) -> bool:
        return total > 0 and sum(k.weight for k in some) / total >= WEIGHTY

    red = [k for k in own if k.status == "red" and weighty([k])]
    if red:
        return f"far from target: {_names(red)}"
    for finding in findings:
        if finding.concern is None or finding.tone not in {"bad", "mixed"}:
            continue
        named = [k for k in own if k.id in finding.kpis]
        worse = [k for k in named if k.movement == "worsened"]
        if weighty(worse):
            return f"{_names(worse)} worsened"
        missed = [k for k in named if k.target_state in {"not_met", "off_track"}]
        if finding.tone == "bad" and weighty(missed):
            return f"short of target: {_names(missed)}"
    return ""


def _of(some: int, whole: int) -> str:
    """Return ``all 5 KPIs``, ``3 of 5 KPIs`` or ``its only KPI``."""
    if some == whole == 1:
        return "its only KPI"
    return f"all {whole} KPIs" if some == whole > 1 else f"{some} of {words.count(whole, 'KPI')}"


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _uncap(text: str) -> str:
    return text[:1].lower() + text[1:]


def _how_many(some: int, whole: int) -> str:
    if some == whole:
        return f"all {words.number(whole)} success factors are"
    return f"{words.number(some) if some else 'none'} of {words.number(whole)} success factors {'are' if some > 1 else 'is'}"


def _named(by_state: Mapping[CsfState, list[str]], last: CsfState) -> list[str]:
    """Return which CSFs are of concern, at risk, and in a last state, as parts of a sentence."""
    said: dict[CsfState, str] = {
        "concern": "of concern",
        "at_risk": "at risk",
        "aligned": "aligned",
        "unknown": "unknown",
    }
    return [f"{said[key]}: {words.listing(by_state[key])}" for key in ("concern", "at_risk", last) if by_state[key]]


def overall(catalogue: Catalogue, verdicts: Mapping[str, Verdict]) -> Verdict:
    """Return the verdict over all CSFs, and a headline that says it."""
    by_state: dict[CsfState, list[str]] = {"aligned": [], "at_risk": [], "concern": [], "unknown": []}
    for csf, verdict in verdicts.items():
        by_state[verdict.state].append(catalogue.csfs[csf].name if csf in catalogue.csfs else csf)
    known = len(verdicts) - len(by_state["unknown"])
    if known * 2 < len(verdicts) or not known:
        few = f"only {words.number(known)} of {words.number(len(verdicts))} success factors can be judged"
        return Verdict("unknown", f"Too little is known: {'; '.join([few, *_named(by_state, 'aligned')])}.")
    if len(by_state["concern"]) >= MANY * known:
        state: CsfState = "concern"
    else:
        state = "at_risk" if by_state["concern"] or by_state["at_risk"] else "aligned"
    parts = [f"{_how_many(len(by_state['aligned']), len(verdicts))} aligned", *_named(by_state, "unknown")]
    provisional = sum(v.provisional for v in verdicts.values())
    if provisional:
        rest = "verdict rests on little and is" if provisional == 1 else "verdicts rest on little and are"
        parts.append(f"{words.number(provisional)} {rest} provisional")
    return Verdict(state, f"{_cap('; '.join(parts))}.")
