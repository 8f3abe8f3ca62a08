"""The report as Markdown (CommonMark with tables): for wikis, tickets and terminals.

Every text from outside is escaped, so that none of it becomes a link, an image, a heading or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pipeline.report.model import Report
from reports.compose import compose
from reports.view import Change, Csf, Kpi, Mark, Sip, Table, View

#: punctuation that means something in Markdown, wherever it stands
_MEANS = re.compile(r"([\\`*_{}\[\]<>|~&$])")
#: what means something at the beginning of a line only: lists, headings, rules
_BEGINS = re.compile(r"^\s*(?:[-+=#]|\d+[.)](?=\s|$))")
_BARE_LINK = re.compile(r"(://|www\.|@)", re.IGNORECASE)
_SIGNS = {"good": "\u25cf", "warn": "\u25b2", "bad": "\u25c6", "none": "\u25cb"}
_ARROWS = {"up": "\u25b2 ", "down": "\u25bc ", "flat": "", "none": ""}


def text(plain: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    escaped = _MEANS.sub(r"\\\1", " ".join(plain.split("\n")))
    escaped = _BARE_LINK.sub(
        lambda found: found[0].replace(":", "&#58;").replace(".", "&#46;").replace("@", "&#64;"), escaped
    )
    return _BEGINS.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", escaped)


def render(report: Report) -> str:
    """Return the report; same report, same text."""
    view = compose(report)
    parts = [_cover(view), _summary(view), *(_csf(csf, view) for csf in view.csfs), _alignment(view), _programmes(view), _quality(view),
             _annex(view)]  # fmt: skip
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def _mark(mark: Mark) -> str:
    return f"{_SIGNS[mark.tone]} {text(mark.word)}"


def _items(texts: Iterable[str], otherwise: str) -> Iterator[str]:
    found = [f"- {line}" for line in texts]
    yield from found or [otherwise]


def _rows(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[bool]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "| " + " | ".join("---" if side else "---:" for side in left) + " |"
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def _table(table: Table) -> Iterator[str]:
    yield from ("", f"**{text(table.caption)}**", "")
    yield from _rows([text(c) for c in table.columns], ([text(c) for c in row] for row in table.rows), table.text)
    if table.after:
        yield from ("", text(table.after))


def _cover(view: View) -> Iterator[str]:
    yield f"# {text(view.title)}, {text(view.month)}"
    yield ""
    yield f"{text(view.organisation)}: {text(view.scope)}"
    yield ""
    yield from _items((f"{text(name)}: {text(said)}" for name, said in view.facts), "")


def _summary(view: View) -> Iterator[str]:
    yield "## Executive summary"
    yield ""
    yield f"Overall verdict: **{_mark(view.verdict)}**. {text(view.headline)}"
    yield ""
    yield from _rows(
        ["Verdict", "CSFs", "Which"],
        (
            [_mark(t.mark), str(len(t.csfs)), ", ".join(text(name) for _, name in t.csfs) or "none"]
            for t in view.tallies
        ),
        [True, False, True],
    )
    yield from ("", "### What changed most", "")
    yield from _items((f"{_mark(c.mark)}: {text(c.text)}" for c in view.changes), "Nothing changed clearly.")
    yield from ("", "### What needs a decision", "")
    yield from _items(map(text, view.decisions), "Nothing needs a decision this month.")


def _csf(csf: Csf, view: View) -> Iterator[str]:
    yield f"## {text(csf.name)}"
    yield ""
    yield f"*{text(csf.statement)}*"
    yield ""
    yield f"Verdict **{_mark(csf.verdict)}**; status by targets {_mark(csf.status)}; score {csf.score} ({csf.score_before})."
    yield text(csf.reason)
    yield ""
    yield text("".join(run.text for run in csf.insight)) or "The data gives no reason for a sentence."
    if csf.concerns:
        yield from ("", "### Concerns", "")
        for concern in csf.concerns:
            hand = f"in hand: {concern.programmes}" if concern.programmes else ""
            touches = ", ".join(filter(None, (concern.activity, concern.goal, hand)))
            yield f"- {text(concern.text)}" + (f" ({text(touches)})" if touches else "")
    if csf.suggestions:
        yield from ("", "### Suggested improvements", "")
        yield from _items(map(text, csf.suggestions), "")
    yield from ("", "### Key performance indicators", "")
    if csf.notes:
        yield from (text(f"Of each KPI below: {' '.join(csf.notes)}"), "")
    if csf.kpis:
        columns = ["KPI", view.month, "Target", view.month_before, view.year_before, "Movement", "Sample", "Coverage"]
        yield from _rows(
            columns, (_kpi(kpi) for kpi in csf.kpis), [True, False, True, False, False, True, False, False]
        )
    elif not csf.silent:
        yield "No KPI of this factor is measured."
    for silence in csf.silent:
        members = "; ".join(kpi.name + (f" ({kpi.said})" if kpi.said else "") for kpi in silence.kpis)
        yield from ("", text(f"{silence.reason} {members}."))
    for drivers in csf.drivers:
        yield from ("", f"Key contributors to {text(drivers.name)} ({text(drivers.change)}):", "")
        for service in drivers.services:
            effect = f", part of the change {text(service.effect)}" if service.effect else ""
            yield f"- {text(service.name)}: {text(service.before)} to {text(service.value)}{effect}"
    if csf.comment:
        yield from ("", "### Comment", "")
        yield from (f"> {text(line)}" for line in (*csf.comment.text, f"{csf.comment.author}, {csf.comment.at}"))


def _kpi(kpi: Kpi) -> list[str]:
    notes = f" ({text(' '.join(kpi.notes))})" if kpi.notes else ""
    target = text(kpi.target_state.word) + ("" if kpi.target == kpi.target_state.word else f", {text(kpi.target)}")
    return [
        text(kpi.name) + notes, text(kpi.value + kpi.unit), target, _change(kpi.month_before), _change(kpi.year_before),
        _ARROWS[kpi.movement.arrow] + text(kpi.movement.word), kpi.sample, kpi.coverage,
    ]  # fmt: skip


def _change(change: Change) -> str:
    return text(f"{change.text} (from {change.before})" if change.known else change.text)


def _alignment(view: View) -> Iterator[str]:
    yield from ("## Alignment with business goals", "")
    if not view.goals:
        yield "No business goal is named in the catalogue."
        return
    yield from _rows(
        ["Goal", "State", "KPIs", "Concerns"],
        (
            [text(goal.name), _mark(goal.state), text(", ".join(name for _, name in goal.kpis)) or "none", text(" ".join(goal.concerns)) or "none"]
            for goal in view.goals
        ),
        [True] * 4,
    )  # fmt: skip


def _programmes(view: View) -> Iterator[str]:
    yield from ("## Service Improvement Programmes", "")
    if not view.sips:
        yield "No Service Improvement Programme is open."
    for sip in view.sips:
        yield from _sip(sip)
    yield from ("", "### Proposed programmes", "")
    yield from _items((f"{text(title)}: {text(reason)}" for title, reason in view.proposals), "The data proposes none.")


def _sip(sip: Sip) -> Iterator[str]:
    overdue = ", overdue" if sip.overdue else ""
    yield f"- **{text(sip.title)}** ({text(sip.id)}): {_mark(sip.result)}. {text(sip.reason)}"
    yield f"  {text(sip.kpi_name)}, {text(sip.scope)}: from {text(sip.baseline)} to {text(sip.goal)}, now {text(sip.value)}."
    yield f"  Owner {text(sip.owner)}; {text(sip.status)}, opened {text(sip.opened)}; due: {text(sip.due)}{overdue}."


def _quality(view: View) -> Iterator[str]:
    yield from ("## Data quality", "")
    yield from map(text, view.quality.sentences)
    for table in view.quality.tables:
        yield from _table(table)
    yield from ("", "## Comparison with the issue before", "")
    yield from map(text, view.comparison)
    if view.differences:
        yield from _table(view.differences)


def _annex(view: View) -> Iterator[str]:
    yield from ("## Annex", "", "### The numbers")
    for table in view.numbers:
        yield from _table(table)
    yield from ("", "### Definitions", "")
    yield from _items((f"**{text(d.name)}**: {text(d.text)} ({text(d.facts)})" for d in view.definitions), "None.")
