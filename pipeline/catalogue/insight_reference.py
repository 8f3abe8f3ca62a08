"""The page about insight rules: how one is written, and the list of those there are, made from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.catalogue import insight_language as language
from pipeline.catalogue import model

_HOW = """# Insight rules

<!-- made by `csf catalogue docs`: change pipeline/catalogue/insights/*.yaml, not this page -->

What the report says in words comes from rules alone, {number} of them: a condition over the month's KPIs, a sentence with its
figures, what that may mean (concern), what to do (suggestions). The same month gives the same text. What "better" and
"worse" mean is decided by [statistics](report-statistics.md), not by the rules.

## A rule of your own

Put files into `insights/` of your catalogue directory; a rule whose id exists replaces that rule. `csf catalogue check
DIRECTORY` names file, rule and field of a mistake.

```yaml
# insights/own.yaml
- id: night_shift_slower
  csf: reliability                       # where it is said
  when: mtta.worse and not incidents.worse
  tone: bad                              # good, bad, mixed, neutral, unknown; bad and mixed need a concern
  sentence: "Incidents wait longer (mean time to acknowledge {{mtta.move}})[, with a backlog of {{backlog.value}}]."
  concern: The night shift may be short of people.
  suggestions: ["Compare the rota with the hours in which incidents wait longest."]
  priority: 5                            # greater ones are said first, then bad before good
  supersedes: [sla_lost_at_the_start]    # more general rules that are not said beside this one
  activity: deliver_and_support          # of a concern; otherwise that of the first KPI in the sentence
  goal: business_continuity              # likewise
```

The condition is an [expression](catalogue.md#expressions) over `kpi.question` and `csf.question`, with `and`, `or`,
`not`, comparisons and `in`. Truths and words are always known; a condition over an unknown number does not hold.
KPIs of breakdowns (`incidents_p1`) and of other CSFs may be asked.

In texts `{{kpi.figure}}` carries a figure. A part in square brackets is left out where a figure in it is unknown. Every
sentence carries a figure, and each leads to its KPI.

A rule with `each: true` and without `csf` is tried for every KPI with a weight that no other finding of its CSF tells of, under
the name `kpi`; the first that holds, by priority, is said. A part in angle brackets is said of each KPI that the rule holds for,
the rest once for all of them: `Far from target: <{{kpi.name}} ({{kpi.value}}, target {{kpi.target}})>.` tells of one KPI or of ten, and
with names behind a colon no name makes a sentence wrong.

Three things hold for every rule, a rule of your own too:

* A good finding is not said where it names a KPI that is far from its target (red), unless it carries that target with `{{kpi.aim}}`.
* A target that is missed is told in its CSF: where only praise names the KPI without its `aim`, the rules with `each` that ask about
  targets speak of it as well.
* A good finding that names only KPIs which an earlier good one named is left out.
"""


def _table(head: str, rows: Mapping[str, str]) -> Iterator[str]:
    yield from ("", f"| {head} | |", "| --- | --- |")
    yield from (f"| `{name}` | {text} |" for name, text in rows.items())


def insight_reference(catalogue: model.Catalogue) -> str:
    """Return the page as Markdown."""
    lines = [_HOW.format(number=len(catalogue.insights)), "## What may be asked of a KPI"]
    lines += _table("true or false", language.TRUTHS)
    lines += _table("words", {name: ", ".join(f"`{w}`" for w in words) for name, words in language.WORDS.items()})
    lines += _table("numbers", language.NUMBERS)
    lines += ["", "## What may be asked of a CSF", *_table("question", {**language.CSF_TRUTHS, **language.CSF_NUMBERS})]
    lines += ["", "## What texts may carry"]
    lines += _table("of a KPI", {**language.FIGURES, **language.NAMES})
    lines += _table("of a CSF", language.CSF_FIGURES)
    lines += ["", "## The rules"]
    for csf in catalogue.csfs.values():
        own = [rule for rule in catalogue.insights.values() if rule.csf == csf.id]
        lines += ["", f"### {csf.name}", *_rules(own)]
    lines += ["", "### Any KPI", *_rules([rule for rule in catalogue.insights.values() if rule.each])]
    return "\n".join(lines) + "\n"


def _rules(rules: list[model.Insight]) -> Iterator[str]:
    yield from ("", "| rule | tone | when | concern |", "| --- | --- | --- | --- |")
    for rule in rules:
        cells = (f"`{rule.id}`", rule.tone, f"`{' '.join(rule.when.split())}`", rule.concern or "")
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
