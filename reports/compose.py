"""From a report to its words: the executive summary, the CSFs, goals and programmes. The annex stands in ``annex``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Final

from pipeline.report import words
from pipeline.report.kpireport import KpiReport, Movement, TargetState
from pipeline.report.model import CsfReport, Finding, Report, SipReport
from pipeline.values import CsfState
from reports import annex, charts
from reports.figures import change_from, scope_words, service, target_words
from reports.harmless import harmless
from reports.silences import shared_notes, silences
from reports.view import (
    Activity,
    Chart,
    Comment,
    Concern,
    Csf,
    Drivers,
    Goal,
    Headline,
    Kpi,
    Mark,
    Move,
    Run,
    Sip,
    Tally,
    Tone,
    View,
)  # fmt: skip

#: services named beside a KPI as those that drive its change; KPIs of a CSF for which they are named
DRIVERS, DRIVEN = 4, 4
WHOLE = "Whole organisation"

_VERDICT: Final[dict[CsfState, Tone]] = {"aligned": "good", "at_risk": "warn", "concern": "bad", "unknown": "none"}
_TARGET: Final[dict[TargetState, Tone]] = {
    "met": "good", "on_track": "good", "not_met": "bad", "off_track": "bad", "too_early_to_track": "none",
    "no_target": "none", "unknown": "none",
}  # fmt: skip
_SIP: Final[dict[str, Tone]] = {"met": "good", "working": "good", "not_yet": "warn", "worse": "bad", "unknown": "none"}
_MOVED: Final[dict[Movement, Tone]] = {"improved": "good", "worsened": "bad", "steady": "none", "unknown": "none"}

Draw = Callable[[str], str]


def verdict(state: CsfState) -> Mark:
    """Return a verdict as a mark."""
    return Mark(_VERDICT[state], words.VERDICTS[state])


def compose(report: Report, *, standalone: bool = False) -> View:
    """Return a report in words.

    Args:
        report: the data.
        standalone: give every chart its own style (print); a page has one style sheet for all.
    """
    behind = annex.behind(report)
    report = harmless(annex.bounded(report))
    draw: Draw = charts.standalone if standalone else str
    goals = {goal.id: goal.name for goal in report.goals}
    names = {csf.id: csf.name for csf in report.csfs}
    month = words.month(report.month)
    history = next((kpi.history for csf in report.csfs for kpi in csf.kpis if kpi.history), [])
    summary = report.summary
    tallies = [
        ("aligned", summary.aligned), ("at_risk", summary.at_risk), ("concern", summary.concern), ("unknown", summary.unknown),
    ]  # fmt: skip
    return View(
        title="Monthly Operating Report",
        organisation=report.organisation,
        scope=WHOLE if report.scope == "org" else report.scope_name,
        scope_kind=_scope_kind(report.scope),
        month=month,
        month_before=words.short_month(history[-2].month) if len(history) > 1 else "the month before",
        year_before=words.short_month(_year_before(report.month)),
        span=f"{words.short_month(history[0].month)} to {words.short_month(history[-1].month)}" if history else month,
        state=_state(report),
        facts=_facts(report),
        footer=f"{report.organisation} \u00b7 Monthly Operating Report \u00b7 {month}",
        verdict=verdict(summary.verdict),
        headline=summary.headline,
        standing=_standing(report),
        tallies=[Tally(verdict(state), [(csf, names[csf]) for csf in ids if csf in names]) for state, ids in tallies],  # type: ignore[arg-type] # literals
        changes=[
            Headline(kpi=c.kpi, csf=names.get(c.csf, c.csf), mark=_good(c.good), text=c.sentence) for c in summary.changes
        ],
        decisions=list(summary.decisions),
        csfs=[_csf(csf, goals, {s.id: s.title for s in report.sips}, month, draw) for csf in report.csfs],
        goals=[_goal(report, goal.id) for goal in report.goals],
        activities=list(_activities(report)),
        sips=[_sip(sip, report, draw) for sip in report.sips],
        proposals=[(proposal.title, proposal.reason) for proposal in report.proposals],
        quality=annex.quality(report),
        comparison=_comparison(report),
        differences=annex.differences(report),
        numbers=annex.numbers(report),
        months=annex.months(report),
        provenance=annex.provenance(report, behind),
        provenance_left=annex.provenance_left(report, behind),
        definitions=annex.definitions(report),
    )  # fmt: skip


def _year_before(month: str) -> str:
    return f"{int(month[:4]) - 1:04d}{month[4:]}" if month[:4].isdecimal() else month


def _scope_kind(scope: str) -> str:
    return {"org": WHOLE, "team": "Team", "service": "Service"}.get(scope.partition(":")[0], scope)


def _good(good: bool | None) -> Mark:
    return Mark("none", "changed") if good is None else Mark("good", "better") if good else Mark("bad", "worse")


def _standing(report: Report) -> str:
    """Return how many KPIs met their target and moved; those of a breakdown are part of others and not counted."""
    kpis = [kpi for csf in report.csfs for kpi in csf.kpis if kpi.breakdown_of is None]
    if not kpis:
        return "No KPI is measured."
    judged = Counter(words.TARGET_STATES[kpi.target_state] for kpi in kpis)
    moved = Counter(words.MOVEMENTS[kpi.movement] for kpi in kpis)
    judged["without target"] = judged.pop(words.TARGET_STATES["no_target"], 0)
    targets = words.listing(
        [f"{judged[word]} {word}" for word in (*words.TARGET_STATES.values(), "without target") if judged[word]]
    )
    movements = words.listing([f"{moved[word]} {word}" for word in words.MOVEMENTS.values() if moved[word]])
    return f"Targets of {words.count(len(kpis), 'KPI')}: {targets}. Movements: {movements}."


def _state(report: Report) -> str:
    over = report.cut_off is not None and datetime.fromisoformat(report.cut_off) >= datetime.fromisoformat(report.end)
    return {
        "to_date": "Month over, not closed yet" if over else "Month to date",
        "closed": f"Closed month, revision {report.revision}",
        "restated": f"Restated, revision {report.revision}",
    }[report.state]


def _facts(report: Report) -> list[tuple[str, str]]:
    cut_off = "no event yet" if report.cut_off is None else words.moment(report.cut_off)
    issue = "draft, not issued"
    if report.issue is not None:
        issue = f"no. {report.issue.number}, {words.moment(report.issue.at)}"
    return [
        ("State", _state(report)), ("Data up to", f"{cut_off} ({report.zone})"), ("Issue", issue),
        ("Currency", report.currency), ("Definitions", f"catalogue {report.catalogue[:12]}"),
    ]  # fmt: skip


def _csf(csf: CsfReport, goals: dict[str, str], titles: dict[str, str], month: str, draw: Draw) -> Csf:
    before = words.score(csf.previous_score)
    shown = [kpi for kpi in csf.kpis if words.is_known(kpi.value)]
    shared = shared_notes(shown)
    return Csf(
        id=csf.id,
        name=csf.name,
        statement=csf.statement,
        status=verdict(csf.status),
        verdict=verdict(csf.verdict),
        score=words.score(csf.score),
        score_before=f"month before: {before}",
        scores=_chart(charts.scores(csf.scores, csf.name), draw),
        reason=csf.verdict_reason,
        brief=csf.concerns[0] if csf.concerns else csf.verdict_reason,
        insight=insight(csf),
        concerns=[_concern(text, csf, goals, titles) for text in csf.concerns],
        suggestions=list(csf.suggestions),
        kpis=[_kpi(kpi, shared, draw) for kpi in shown],
        notes=shared,
        silent=silences(csf.kpis, month),
        drivers=list(_drivers(csf)),
        comment=_comment(csf),
    )


def _comment(csf: CsfReport) -> Comment | None:
    if csf.comment is None:
        return None
    said = [part for part in csf.comment.text.splitlines() if part.strip()]
    return Comment(said, csf.comment.author, words.moment(csf.comment.at))


def _chart(svg: str, draw: Draw) -> Chart:
    return Chart(draw(svg), charts.label_of(svg))


def insight(csf: CsfReport) -> list[Run]:
    """Return the insight paragraph in pieces, its figures leading to their KPIs' rows."""
    runs: list[Run] = []
    at = 0
    for finding in csf.findings:
        start = csf.insight.find(finding.sentence, at) if finding.sentence else -1
        if start < 0:
            continue
        if start > at:
            runs.append(Run(csf.insight[at:start]))
        runs += _linked(finding, {kpi.id: kpi.name for kpi in csf.kpis})
        at = start + len(finding.sentence)
    if at < len(csf.insight):
        runs.append(Run(csf.insight[at:]))
    return runs


def _linked(finding: Finding, names: dict[str, str]) -> Iterator[Run]:
    """Yield a sentence in pieces: its figures as links, or, where it names none, the names of its KPIs."""
    text, at = finding.sentence, 0
    places = [(figure.text, figure.kpi) for figure in finding.figures]
    if not places:
        lower = text.lower()
        found = sorted((lower.find(names[kpi].lower()), kpi) for kpi in finding.kpis if names.get(kpi))
        places = [(text[start : start + len(names[kpi])], kpi) for start, kpi in found if start >= 0]
    for piece, kpi in places:
        start = text.find(piece, at) if piece else -1
        if start < 0:
            continue
        if start > at:
            yield Run(text[at:start])
        yield Run(piece, kpi)
        at = start + len(piece)
    if at < len(text):
        yield Run(text[at:])


def _concern(text: str, csf: CsfReport, goals: dict[str, str], titles: dict[str, str]) -> Concern:
    found = next((finding for finding in csf.findings if finding.concern == text), None)
    if found is None:
        return Concern(text=text, activity="", goal="", kpi="")
    return Concern(
        text=text,
        activity=words.ACTIVITIES.get(found.activity or "", ""),
        goal=goals.get(found.goal or "", ""),
        kpi=found.kpis[0] if found.kpis else "",
        programmes="; ".join(
            f"{titles[i]}, {i}" for k in csf.kpis if k.id in found.kpis for i in k.programmes if i in titles
        ),
    )


def _kpi(kpi: KpiReport, shared: Collection[str], draw: Draw) -> Kpi:
    return Kpi(
        id=kpi.id,
        name=kpi.name,
        part=kpi.breakdown_of is not None,
        value=words.figure(kpi.value, kpi.unit, kpi.decimals),
        unit=words.unit_of(kpi.value, kpi.unit),
        target=target_words(kpi),
        target_state=Mark(_TARGET[kpi.target_state], words.TARGET_STATES[kpi.target_state]),
        month_before=change_from(kpi, kpi.previous, kpi.change_pct),
        year_before=change_from(kpi, kpi.previous_year, kpi.change_year_pct),
        movement=_move(kpi),
        reason=_reason(kpi),
        trend=_chart(charts.trend(charts.Series.of(kpi), kpi.name), draw),
        sample=words.sample(kpi.count, kpi.sample_unit) if kpi.sample_known else words.UNKNOWN,
        coverage=words.share(kpi.coverage),
        notes=[note for note in kpi.notes if note not in shared],
    )


def _move(kpi: KpiReport) -> Move:
    """Return a movement with an arrow the way the value moved away from its usual level, not from the month before."""
    word, tone = words.MOVEMENTS[kpi.movement], _MOVED[kpi.movement]
    if kpi.movement == "steady":
        return Move("flat", tone, word)
    if kpi.movement == "unknown" or kpi.direction == "zero":
        return Move("none", tone, word)
    return Move("up" if (kpi.movement == "improved") == (kpi.direction == "up") else "down", tone, word)


def _reason(kpi: KpiReport) -> str:
    """Return why a movement is named or not, without the word above it; of a part only where it moved."""
    if kpi.breakdown_of is not None and kpi.movement == "steady":
        return ""
    for word in ("No clear change", "Better", "Worse", "Unknown"):
        if kpi.movement_reason.startswith(f"{word}: "):
            rest = kpi.movement_reason[len(word) + 2 :]
            return rest[:1].upper() + rest[1:]
    return kpi.movement_reason


def _drivers(csf: CsfReport) -> Iterator[Drivers]:
    """Yield the key contributors of the KPIs that moved; where none moved, of two that miss their target.

    One service alone explains nothing, and neither is there anything to explain where the figure did not change.
    """
    driven = [
        kpi
        for kpi in csf.kpis
        if len(kpi.services) > 1 and kpi.contributors and kpi.breakdown_of is None and _changed(kpi)
    ]
    shown = [kpi for kpi in driven if kpi.movement in {"improved", "worsened"}][:DRIVEN]
    shown = shown or [kpi for kpi in driven if kpi.target_state in {"not_met", "off_track"}][:2]
    for kpi in sorted(shown, key=lambda kpi: -kpi.weight):
        change = words.difference(kpi.change, kpi.unit, kpi.decimals)
        change += f" since {words.short_month(kpi.history[-2].month)}" if len(kpi.history) > 1 else ""
        yield Drivers(
            kpi=kpi.id,
            name=kpi.name,
            change=change,
            services=[service(c, kpi) for c in kpi.contributors[:DRIVERS]],
            additive=any(c.effect is not None for c in kpi.contributors[:DRIVERS]),
        )


def _changed(kpi: KpiReport) -> bool:
    """Return whether a reader sees another figure than in the month before."""
    return words.figure(kpi.value, kpi.unit, kpi.decimals) != words.figure(kpi.previous, kpi.unit, kpi.decimals)


def _goal(report: Report, goal_id: str) -> Goal:
    goal = next(goal for goal in report.goals if goal.id == goal_id)
    names = {kpi.id: kpi.name for csf in report.csfs for kpi in csf.kpis}
    return Goal(
        id=goal.id,
        name=goal.name,
        description=goal.description,
        state=verdict(goal.state),
        kpis=[(kpi, names.get(kpi, kpi)) for kpi in goal.kpis],
        concerns=list(goal.concerns),
    )


def _activities(report: Report) -> Iterator[Activity]:
    """Yield the activities of the value chain that have concerns, in the chain's order."""
    for activity, name in words.ACTIVITIES.items():
        concerns = {
            finding.concern: csf.name
            for csf in report.csfs
            for finding in csf.findings
            if finding.activity == activity and finding.concern
        }
        if concerns:
            yield Activity(name, list(concerns.items()))


def _sip(sip: SipReport, report: Report, draw: Draw) -> Sip:
    kpi = next((kpi for csf in report.csfs for kpi in csf.kpis if kpi.id == sip.kpi), None)
    decimals = kpi.decimals if kpi is not None else 2

    def said(value: float | None) -> str:
        return words.quantity(value, sip.unit, decimals)

    series = charts.Series(sip.history, sip.unit, decimals)
    return Sip(
        id=sip.id,
        title=sip.title,
        kpi=sip.kpi if kpi is not None else "",
        kpi_name=sip.kpi_name,
        scope=scope_words(sip.scope, report),
        owner=sip.owner,
        status=words.SIP_STATUSES[sip.status],
        opened=words.moment(sip.opened),
        due="no due date" if sip.due is None else words.moment(sip.due),
        overdue=sip.overdue,
        baseline=said(sip.baseline),
        goal=said(sip.goal),
        value=said(sip.value),
        actions=list(sip.actions),
        result=Mark(_SIP[sip.result], words.SIP_RESULTS[sip.result]),
        reason=sip.result_reason,
        trend=_chart(charts.trend(series, f"{sip.title}, {sip.kpi_name}", charts.LARGE), draw),
    )


def _comparison(report: Report) -> list[str]:
    if report.issue is None:
        return ["This is a draft that was not issued; there is no issue to compare it with."]
    if report.issue.number == 1:
        return [f"This is the first issue for {words.month(report.month)}; there is none before it to compare with."]
    if not report.issue.differences:
        return [f"Nothing differs from issue no. {report.issue.number - 1}."]
    amount = words.count(len(report.issue.differences), "difference")
    return [f"{amount} from issue no. {report.issue.number - 1}."]
