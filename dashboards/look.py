"""How things look on every board: colours that colour-blind people tell apart, words beside them, units, thresholds.

Colours are those of Okabe and Ito. No colour says anything that a word does not say too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from dashboards.model import Colour, Matcher, Override, Step, Thresholds
from pipeline.catalogue.model import Catalogue, Kpi, Organisation
from pipeline.report.words import NO_BREAK, STATUSES, UNKNOWN, VERDICTS, unit_after
from pipeline.stores.influx_lines import LEVELS, armour, tag_value

GOOD, WARN, BAD, NONE = "#009E73", "#E69F00", "#D55E00", "#8A8A8A"
LINE, SECOND, GOAL = "#56B4E9", "#CC79A7", "#B0B0B0"
#: for a handful of series side by side
SERIES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2", "#8A8A8A")

_STATE_COLOURS = {
    "aligned": GOOD, "at_risk": WARN, "concern": BAD,
    "on_target": GOOD, "amber": WARN, "red": BAD,
    "unknown": NONE,
}  # fmt: skip
_SEVERITY_COLOURS = {"critical": BAD, "warning": WARN, "info": LINE}
_PERIOD_STATES = {"live": "live", "to_date": "to date", "closed": "closed", "restated": "restated"}


def words(texts: Mapping[str, str], colours: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a value mapping: what is stored → what is shown, coloured where there is a colour."""
    shown: dict[str, Any] = {}
    for index, (stored, text) in enumerate(texts.items()):
        shown[stored] = {"text": text, "index": index}
        if colours and stored in colours:
            shown[stored]["color"] = colours[stored]
    return {"type": "value", "options": shown}


def levels(shown: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
    """Return a value mapping: number → what is shown, and its colour."""
    options = {
        str(n): {"text": text, "color": colour, "index": i} for i, (n, (text, colour)) in enumerate(shown.items())
    }
    return {"type": "value", "options": options}


#: severities of alerts as the store numbers them
SEVERITIES = levels({LEVELS[name]: (name.capitalize(), colour) for name, colour in _SEVERITY_COLOURS.items()})
#: states of alerts, as the store keeps them
ALERT_STATES = words(
    {"firing": "fires", "known": "fires", "unknown": "fires, nothing known", "resolved": "over"},
    {"firing": BAD, "known": BAD, "unknown": NONE, "resolved": GOOD},
)
#: statuses of KPIs and CSFs, states of periods, in words
STATES = words({**STATUSES, **VERDICTS}, _STATE_COLOURS)
PERIOD_STATES = words(_PERIOD_STATES)
#: null, which is how a query says that a number is unknown
NULL_IS_UNKNOWN = {"type": "special", "options": {"match": "null", "result": {"text": UNKNOWN, "color": NONE}}}


def _lines(number: int) -> dict[str, Any]:
    end = re.escape(armour("\n", "\\"))
    pattern = end.join([f"((?:(?!{end}).)*)"] * number)
    shown = " · ".join(f"${place}" for place in range(1, number + 1))
    return {"type": "regex", "options": {"pattern": f"^{pattern}$", "result": {"text": shown, "index": 0}}}


#: what people and channels did about alerts
DEEDS = words(
    {
        "silenced": "silenced", "lifted": "silence lifted", "acknowledged": "taken on", "delivered": "delivered", "failed": "failed",
        "expired": "expired", "dropped": "not told: its raise never was", "down": "channel takes nothing",
        "held": "held back", "freed": "no longer held back",
    },
    {"delivered": GOOD, "failed": BAD, "expired": WARN, "down": BAD},
)  # fmt: skip
#: versions of definitions, before which the store puts a letter from ten on
VERSION = {"type": "regex", "options": {"pattern": "^[a-z]?([0-9]+)$", "result": {"text": "$1", "index": 0}}}
#: texts of up to nine lines on one: the store writes the end of a line in a way of its own
LINES = tuple(_lines(number) for number in range(2, 10))


def csf_names(catalogue: Catalogue) -> dict[str, Any]:
    """Return the mapping of CSF ids to names."""
    return words({tag_value(c.id): c.name for c in catalogue.csfs.values()})


def kpi_names(catalogue: Catalogue) -> dict[str, Any]:
    """Return the mapping of KPI ids to names."""
    return words({tag_value(k.id): k.name for k in catalogue.kpis.values()})


def rule_names(catalogue: Catalogue) -> dict[str, Any]:
    """Return the mapping of rules of alerts to names."""
    return words({tag_value(r.id): r.name or r.id for r in catalogue.alerts.values()})


def scope_names(catalogue: Catalogue) -> tuple[dict[str, Any], ...]:
    """Return the mappings of scopes to names: those the catalogue names, then the rest without their prefix."""
    named = {"org": catalogue.organisation.name}
    named |= {tag_value(f"service:{s.id}"): s.name for s in catalogue.services.values()}
    rest = {"type": "regex", "options": {"pattern": "^(?:service|team):(.*)$", "result": {"text": "$1", "index": 0}}}
    return words(named), rest


def unit(kpi: Kpi) -> str:
    """Return Grafana's unit of a KPI: percent, or the report's word behind the number, never rescaled."""
    if kpi.unit == "%":
        return "percent"
    word = unit_after(kpi.unit).strip(NO_BREAK)
    return f"suffix:{word}" if word else "none"


def thresholds(kpi: Kpi) -> Thresholds | UnsetType:
    """Return where a KPI turns amber and red by the catalogue: its own target, else amber, is where green begins."""
    if kpi.thresholds is None:
        return UNSET
    red = kpi.thresholds.red
    goal = kpi.thresholds.amber if kpi.target is None else kpi.target
    if kpi.direction == "up":
        steps = [(None, BAD), (red, WARN), (goal, GOOD)]
    elif kpi.direction == "down":
        steps = [(None, GOOD), (goal, WARN), (red, BAD)]
    else:
        steps = [(None, BAD), (-abs(red), WARN), (-abs(goal), GOOD), (abs(goal), WARN), (abs(red), BAD)]
    return Thresholds(steps=tuple(Step(color=colour, value=at) for at, colour in steps))


def score_thresholds(organisation: Organisation) -> Thresholds:
    """Return the limits by which a score makes a CSF aligned, at risk or a concern."""
    return Thresholds(
        steps=(
            Step(color=BAD, value=None),
            Step(color=WARN, value=organisation.at_risk_score),
            Step(color=GOOD, value=organisation.aligned_score),
        )
    )


def override(matcher: Matcher, **properties: object) -> Override:
    """Return an override of what is not UNSET; ``custom_`` at the beginning of a property stands for ``custom.``."""
    named = {_property(name): content for name, content in properties.items() if content is not UNSET}
    return Override(matcher=matcher, properties=tuple({"id": n, "value": c} for n, c in named.items()))


def _property(name: str) -> str:
    if name.startswith("custom_"):
        return f"custom.{name.removeprefix('custom_')}"
    return {"display_name": "displayName", "no_value": "noValue"}.get(name, name)


#: the properties that colour a cell's words; see ``panels.table`` for why there are two
COLOURED_WORDS: dict[str, Any] = {"custom_displayMode": "color-text", "custom_cellOptions": {"type": "color-text"}}


def by_name(name: str) -> Matcher:
    """Return the matcher of one field."""
    return Matcher(id="byName", options=name)


def by_pattern(pattern: str) -> Matcher:
    """Return the matcher of fields by a regular expression."""
    return Matcher(id="byRegexp", options=f"/{pattern}/")


#: the time of a row, which Grafana calls Time in some versions and time in others
TIME = by_pattern("^[Tt]ime$")
FIXED_TEXT = Colour(mode="fixed", fixed_color="text")
BY_THRESHOLDS = Colour(mode="thresholds")


def fixed(colour: str) -> Colour:
    """Return a colour that does not depend on the value."""
    return Colour(mode="fixed", fixed_color=colour)


#: for many series that no colour is meant for
CLASSIC = Colour(mode="palette-classic")
#: a target beside a value: a thin dashed line
TARGET_LINE: dict[str, Any] = {
    "color": fixed(GOAL),
    "custom_lineStyle": {"fill": "dash", "dash": [8, 6]},
    "custom_lineWidth": 1,
}
#: grey bars over the whole height where a value is unknown (the series is 1 there, else 0)
UNKNOWN_BARS = override(
    by_name("unknown"),
    color=fixed(NONE),
    custom_drawStyle="bars",
    custom_fillOpacity=25,
    custom_lineWidth=0,
    custom_axisPlacement="hidden",
    custom_thresholdsStyle={"mode": "off"},
    min=0,
    max=1,
    unit="none",
)


def coloured(kpi: Kpi) -> dict[str, Any]:
    """Return the properties that colour a KPI's value by its limits; none where it has no limits."""
    steps = thresholds(kpi)
    return {} if steps is UNSET else {"thresholds": steps, "color": BY_THRESHOLDS}
