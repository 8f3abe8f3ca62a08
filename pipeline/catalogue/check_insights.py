"""The rules that insight rules keep: names that exist, words that can be, figures in every sentence."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from pipeline.catalogue import insight_language as language
from pipeline.catalogue import model
from pipeline.catalogue.expressions import suggest
from pipeline.catalogue.reading import reference
from pipeline.errors import CatalogueError

_NEEDS_CONCERN = {"bad", "mixed"}


def check_insights(catalogue: model.Catalogue, places: Mapping[tuple[str, str], str]) -> None:
    """Raise CatalogueError, naming file, rule and field, at the first insight rule that is wrong."""
    for name in sorted(set(catalogue.kpis) & set(catalogue.csfs)):
        raise CatalogueError(f"{places['kpi', name]}: id: '{name}' is the id of a CSF; name it otherwise")
    for rule in catalogue.insights.values():
        _rule(rule, catalogue, places["insight", rule.id])
    graph = {rule.id: rule.supersedes for rule in catalogue.insights.values()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring = " supersedes ".join(f"'{name}'" for name in reversed(error.args[1]))
        raise CatalogueError(f"{places['insight', error.args[1][0]]}: supersedes: runs in a ring: {ring}") from None


def _rule(rule: model.Insight, catalogue: model.Catalogue, place: str) -> None:
    if (rule.csf is None) != rule.each:
        told = "is told at the CSF of each KPI; remove it" if rule.each else "is missing; name the CSF it is told at"
        raise CatalogueError(f"{place}: csf: {told}")
    if rule.csf is not None:
        reference(rule.csf, catalogue.csfs, f"{place}: csf", "csf")
    if rule.goal is not None:
        reference(rule.goal, catalogue.goals, f"{place}: goal", "goal")
    for other in rule.supersedes:
        reference(other, catalogue.insights, f"{place}: supersedes", "insight")
    if rule.tone in _NEEDS_CONCERN and not (rule.concern and rule.suggestions):
        missing = "suggestions" if rule.concern else "concern"
        raise CatalogueError(f"{place}: {missing}: is missing; a rule whose tone is {rule.tone} needs it")
    _condition(rule, catalogue, f"{place}: when")
    _text(rule, catalogue, rule.sentence, f"{place}: sentence", figures=True)
    if rule.concern is not None:
        _text(rule, catalogue, rule.concern, f"{place}: concern")
    for i, text in enumerate(rule.suggestions, 1):
        _text(rule, catalogue, text, f"{place}: suggestions: {i}")


def _fields(rule: model.Insight, catalogue: model.Catalogue, of: str, where: str) -> bool:
    """Return whether a name is a KPI's (not a CSF's); raises where it is neither."""
    if of == language.EACH and rule.each:
        return True
    if of in catalogue.csfs:
        return False
    names = [*catalogue.kpis, *catalogue.csfs, *([language.EACH] if rule.each else [])]
    if of not in names:
        raise CatalogueError(f"{where}: unknown KPI or CSF {of!r}{suggest(of, names)}; csf catalogue list names them")
    return True


def _condition(rule: model.Insight, catalogue: model.Catalogue, where: str) -> None:
    try:
        asked = language.asked(rule.when)
    except CatalogueError as error:
        raise CatalogueError(f"{where}: {error}") from None
    if not asked:
        raise CatalogueError(f"{where}: asks nothing of any KPI; it would always hold")
    for of, what in asked:
        if not of:
            raise CatalogueError(f"{where}: {what!r} is no question; ask a KPI or CSF, such as csat.better")
        kpi = _fields(rule, catalogue, of, where)
        allowed = (
            {**language.TRUTHS, **language.WORDS, **language.NUMBERS}
            if kpi
            else {**language.CSF_TRUTHS, **language.CSF_NUMBERS}
        )
        reference(what, allowed, f"{where}: {of}", "question")
    for of, what, constant in language.compared(rule.when):
        words = language.WORDS.get(what) if of not in catalogue.csfs else None
        if words is not None:
            reference(str(constant), words, f"{where}: {of}.{what}", "word")


def _text(rule: model.Insight, catalogue: model.Catalogue, text: str, where: str, *, figures: bool = False) -> None:
    """Raise where a text is empty, carries what is not there, or must carry a figure and does not."""
    if not text.strip():
        raise CatalogueError(f"{where}: is empty; say it in words")
    before, item, after = language.pieces(text)
    if any(mark in piece for piece in (before, item, after) for mark in "<>") or (item and not rule.each):
        raise CatalogueError(
            f"{where}: < and > stand around the part that is said of every KPI, once in a text of a rule with each"
        )
    carried = sum(_piece(rule, catalogue, piece, where) for piece in (before, item, after))
    if figures and not carried:
        raise CatalogueError(f"{where}: carries no figure; put one in, such as {{csat.move}}")


def _piece(rule: model.Insight, catalogue: model.Catalogue, text: str, where: str) -> int:
    """Return how many figures a piece of a text carries; raises where one of them is not there."""
    carried = 0
    try:
        parts = [found for part, _ in language.parts(text) for found in language.placeholders(part)]
    except CatalogueError as error:
        raise CatalogueError(f"{where}: {error}") from None
    for _, of, what in parts:
        if not of:
            continue
        kpi = _fields(rule, catalogue, of, where)
        allowed = {**language.FIGURES, **language.NAMES} if kpi else language.CSF_FIGURES
        reference(what, allowed, f"{where}: {of}", "figure")
        carried += what not in language.NAMES
    if "[" in language.joined([part for part, _ in language.parts(text)]):
        raise CatalogueError(
            f"{where}: brackets do not match; parts that may be left out stand in [ ], none in another"
        )
    return carried
