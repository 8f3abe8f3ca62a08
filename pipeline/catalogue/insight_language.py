"""The language of insight rules: what a condition may ask of a KPI or CSF, and which figures a text may carry.

A condition is a catalogue expression (``pipeline.catalogue.expressions``) over names such as ``csat.better``: a KPI or a
CSF, a dot, and what is asked of it. Answers that are true or false, or words, are always known: of a KPI without a
value they are false, or ``'unknown'``. Numbers may be unknown; a condition over an unknown number does not hold.

A text carries placeholders, ``{csat.move}``. A part in square brackets is left out where a figure in it is unknown:
``Incidents {incidents.move}[, backlog {backlog.value}].`` ``pipeline.report.facts`` answers placeholders.

In a rule that is tried for each KPI a part in angle brackets is said once for every KPI it holds for, as a list, and the
rest of the text once for all of them: ``Far from target: <{kpi.name} ({kpi.value}, target {kpi.target})>.`` So one
sentence tells of one KPI or of ten, and its grammar does not depend on their names.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator

from pipeline.catalogue.expressions import compared_words, compile_where, fields_of
from pipeline.errors import CatalogueError

#: What is true or false of a KPI.
TRUTHS: dict[str, str] = {
    "better": "it improved: a change, by the statistics",
    "worse": "it worsened",
    "steady": "no clear change",
    "known": "it has a value",
    "few": "it has a value, but too small a sample to be judged",
    "met": "its target is met, or the running month is on track",
    "missed": "its target is not met, or the running month is off track",
    "climbing": "there is a trend for the better over the months",
    "sliding": "there is a trend for the worse over the months",
    "best": "better than in every other month of the trend line (nine at least)",
    "worst": "worse than in every other month of the trend line (nine at least)",
    "dominated": "one service makes more than half of the change since last month, which went the way of the movement",
    "meets_whole": "a breakdown's value meets the target of the KPI that it is a part of",
    "reported": "the value was brought from elsewhere",
    "programme": "an improvement programme is open for it, in the report's scope or a place in it",
}
#: What is a word of a KPI, and the words.
WORDS: dict[str, tuple[str, ...]] = {
    "movement": ("improved", "worsened", "steady", "unknown"),
    "trend": ("improving", "worsening", "none", "unknown"),
    "target_state": ("on_track", "off_track", "too_early_to_track", "met", "not_met", "no_target", "unknown"),
    "status": ("on_target", "amber", "red", "unknown"),
    "limits": ("above", "below", "inside", "unknown"),
    "year": ("better", "worse", "same", "unknown"),
    "state": ("to_date", "closed", "restated"),
    "direction": ("up", "down", "zero"),
}
#: What is a number of a KPI.
NUMBERS: dict[str, str] = {
    "value": "this month's value",
    "previous": "last month's value",
    "previous_year": "the value of the same month a year before",
    "target": "the target in force",
    "change": "value minus last month's",
    "change_pct": "change in percent of last month's value",
    "change_year_pct": "the same against a year before",
    "gain_pct": "change in percent, above 0 for the better",
    "coverage": "share (0-1) of the month that its sources delivered",
    "count": "sample size",
    "score": "0-100",
    "weight": "weight in its CSF",
    "months": "months of the trend line that have a value",
    "top_share": "share (0-1, may be more) of the change that the first contributor makes",
}
CSF_TRUTHS: dict[str, str] = {
    "aligned": "it is aligned: by targets and movements, before any finding",
    "at_risk": "it is at risk",
    "concern": "it is a concern",
    "known": "at least half of its weight has a value",
}
CSF_NUMBERS: dict[str, str] = {"score": "0-100"}

#: Figures that texts may carry of a KPI.
FIGURES: dict[str, str] = {
    "value": "the value with its unit",
    "previous": "last month's value",
    "previous_year": "the value of the same month a year before",
    "target": "the target in force",
    "aim": "`target 85%, missed`, `target 40%, met`, `target 95%, on track`; unknown where there is no target",
    "change": "the change with sign",
    "change_pct": "the change in percent with sign",
    "change_year_pct": "the change against a year before in percent",
    "gap": "how far the value is from the target, without sign",
    "move": "`rose from 81.0 to 87.2%`, `stood at 87.2%, usually 81.0%`, `stood at 87.2% after 89.0%, usually 81.0%`, `held at 87.2%`",
    "improvement": "`move`, only where it improved; otherwise unknown",
    "worsening": "`move`, only where it worsened; otherwise unknown",
    "usual": "the centre of its natural process limits",
    "limits": "its natural process limits",
    "slope": "the trend's change a month with sign",
    "coverage": "the coverage in percent",
    "count": "the sample size",
    "months": "how many months of the trend line have a value",
    "top_share": "the share of the change that the first contributor makes",
    "top_move": "`Web shop (from 71 to 118)`: the first contributor with its own change",
}
#: What texts may carry of a KPI besides figures.
NAMES: dict[str, str] = {
    "name": "the KPI's name, lower case inside a sentence",
    "top": "the first contributor's name",
    "programmes": "the improvement programmes that are open for it, `SIP-K7Q2F`",
}
CSF_FIGURES: dict[str, str] = {"score": "the CSF's score of 100"}

#: Stands for the KPI that a rule with ``each`` is tried for.
EACH = "kpi"
_PATH = re.compile(r"'[^']*'|\"[^\"]*\"|\b([a-z][a-z0-9_]*)\.([a-z_]+)\b")
_JOINT = "__"
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_REPEATED = re.compile(r"<([^<>]*)>")
#: A comma that leads a part before which others were left out.
_LEADING = re.compile(r"(^|[(:;] ?)(?:, )+")


def _dotted(text: str) -> str:
    """Return a text of the expression language in that of rules, for messages."""
    return re.sub(r"\b([a-z][a-z0-9_]*?)__([a-z_]+)\b", r"\1.\2", text)


def plain(condition: str) -> str:
    """Return a condition as a catalogue expression: its dotted names as field names."""
    return _PATH.sub(lambda m: f"{m[1]}{_JOINT}{m[2]}" if m[1] else m[0], condition)


def split(name: str) -> tuple[str, str]:
    """Return KPI or CSF and what is asked of it, from an expression's field name; both empty for another name."""
    of, joint, asked = name.rpartition(_JOINT)
    return (of, asked) if joint else ("", name)


def condition(text: str) -> Callable[[object], bool]:
    """Return whether a condition holds, as a function of a record that answers field names; unknown is no."""
    return compile_where(plain(text))


def asked(text: str) -> list[tuple[str, str]]:
    """Return what a condition asks: (KPI or CSF, what), sorted; raises CatalogueError for what is no condition."""
    try:
        return sorted(split(name) for name in fields_of(plain(text)))
    except CatalogueError as error:
        raise CatalogueError(_dotted(str(error))) from None


def compared(text: str) -> list[tuple[str, str, object]]:
    """Return what a condition compares with constants: (KPI or CSF, what, constant)."""
    return sorted(((*split(name), word) for name, word in compared_words(plain(text))), key=str)


def pieces(text: str) -> tuple[str, str, str]:
    """Return what stands before the part that is said of every KPI (in angle brackets), that part, and what follows it.

    Of a text without such a part the last two are empty.
    """
    found = _REPEATED.search(text)
    return (text[: found.start()], found[1], text[found.end() :]) if found else (text, "", "")


def parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text in order, and whether each is one that may be left out (in square brackets)."""
    for i, part in enumerate(_OPTIONAL.split(text)):
        if part:
            yield part, bool(i % 2)


def joined(said: list[str]) -> str:
    """Return the parts that are said as one text: without a comma where a part before it was left out."""
    return _LEADING.sub(r"\1", "".join(said))


def placeholders(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the parts of a text: what stands before a placeholder, its KPI or CSF, and what it is to carry.

    The last part may have no placeholder: both are empty then.

    Raises:
        CatalogueError: for braces that do not match, or a placeholder that is none.
    """
    try:
        found = list(string.Formatter().parse(text))
    except ValueError as error:
        raise CatalogueError(f"{error}; a placeholder looks like {{csat.value}}") from None
    for literal, name, form, conversion in found:
        if name is None:
            yield literal, "", ""
            continue
        of, dot, what = name.partition(".")
        if not (of and dot and what) or form or conversion:
            raise CatalogueError(f"{{{name}}} is no placeholder; one looks like {{csat.value}}")
        yield literal, of, what
