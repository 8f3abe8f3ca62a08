"""How far a report's figures can be trusted, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalogue.model import Catalogue
from pipeline.evaluate.exits import totals
from pipeline.report import words
from pipeline.report.figures import ENOUGH_COVERAGE, MonthlyFigures
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import Quality
from pipeline.values import Exits


def quality(catalogue: Catalogue, figures: MonthlyFigures, kpis: Mapping[str, KpiReport]) -> Quality:
    """Return the data quality of a report's month."""
    counted = [k for k in kpis.values() if k.breakdown_of is None]
    known = [k.coverage for k in counted if k.coverage is not None]
    unknown = {k.id: reason for k in counted if k.value is None and (reason := _reason(catalogue, figures, k.id))}
    restatements = figures.restatements()
    exits = figures.inputs.exits
    found = Quality(
        coverage=sum(known) / len(known) if known else None,
        enough=ENOUGH_COVERAGE,
        low={k.id: k.coverage for k in counted if k.coverage is not None and k.coverage < ENOUGH_COVERAGE},
        unknown=unknown,
        late=len({(r.kpi, r.scope, r.month) for r in restatements}),
        truncated=sum(e.truncated for e in exits),
        exits={name: n for name, n in totals(exits).items() if name not in {"balanced", "truncated"}} if exits else {},
        restatements=[r for r in restatements if r.scope == figures.inputs.scope],
        notes=[],
    )
    found.notes = _notes(catalogue, figures, kpis, found, exits)
    return found


def _reason(catalogue: Catalogue, figures: MonthlyFigures, kpi: str) -> str:
    return figures.why_unknown(catalogue.kpis[kpi])


def _notes(
    catalogue: Catalogue, figures: MonthlyFigures, kpis: Mapping[str, KpiReport], found: Quality, exits: list[Exits]
) -> list[str]:
    """Return what a reader of the whole report must know, a sentence each."""
    counted = [k for k in kpis.values() if k.breakdown_of is None]
    month = words.month(figures.inputs.month)
    notes: list[str] = []
    silent = [c.name for c in catalogue.csfs.values() if all(k.value is None for k in counted if k.csf == c.id)]
    if len(silent) == len(catalogue.csfs):
        return [f"There are no values of {month}: nothing was imported or measured for it."]
    if any(k.state == "to_date" and k.value is not None for k in counted):
        over = figures.is_over(figures.start)
        notes.append(
            f"{month} is over but not closed: events that still arrive change its figures."
            if over
            else f"{month} is still running: these are its figures to date."
        )
    if silent:
        notes.append(f"No source says anything of {words.listing(silent)}.")
    reported = [k for k in counted if k.reported]
    if reported:
        all_of = len(reported) == sum(k.value is not None for k in counted)
        what = "All values were" if all_of else f"{words.count(len(reported), 'value was', 'values were')}"
        notes.append(f"{what} brought from elsewhere and not worked out from events.")
    if not any(p.value is not None for k in counted for p in k.history[:-1]):
        notes.append(f"{month} is the first month with values: changes and trends need more of them.")
    changed = [k.name for k in counted if len({p.definition_version for p in k.history if p.value is not None}) > 1]
    if changed:
        notes.append(f"The definition of {words.listing(changed)} changed in these months; both sides do not compare.")
    dead = found.exits.get("dead_letter", 0)
    if dead:
        of = words.number(found.exits.get("received", 0))
        verb = "was" if dead == 1 else "were"
        notes.append(
            f"{words.number(dead)} of {of} events ever received {verb} no valid event (`csf dead-letters list`)."
        )
    if figures.inputs.evidence_note:
        notes.append(figures.inputs.evidence_note)
    return notes
