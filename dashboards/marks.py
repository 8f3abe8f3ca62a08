"""What stands on time axes beside the lines: deployments, major incidents, planned maintenance, alerts, closed months.

All but the last are read from the store as the board is shown; that a month is closed happened at no instant of the data,
so ``csf dashboards push`` tells Grafana of it, which keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import look
from dashboards.model import TAG, Annotation, Annotations
from dashboards.panels import HISTORY_SOURCE
from dashboards.queries import tag_chosen, tag_is
from pipeline.stores.influx_lines import ALERT, HAPPENING
from pipeline.values import HappeningKind

MONTH_CLOSED_TAG = "month-closed"

_KINDS: dict[HappeningKind, tuple[str, str]] = {
    "deployment": ("Deployments", look.LINE),
    "incident": ("Major incidents", look.BAD),
    "maintenance": ("Planned maintenance", look.WARN),
}
#: what lasts may have begun so long before what is shown
_LASTS = 'time > ${__from}ms - 30d AND time <= ${__to}ms AND 1000 * "end" >= ${__from}'


def happenings(kind: HappeningKind, variable: str) -> str:
    """Return a query for what happened within the scope that a variable holds: organisation, team or service."""
    within = " OR ".join(tag_chosen(name, variable) for name in ("scope", "team", "org"))
    return (
        'SELECT "text", 1000 * "end" * sqrt(2 * "ended" - 1) AS "ends", "kind", "scope"'
        f' FROM "{HAPPENING}" WHERE {tag_is("kind", kind)} AND "shown" = 1 AND ({within}) AND {_LASTS}'
    )


def raised(where: Sequence[str]) -> str:
    """Return a query for alerts that began to fire."""
    conditions = " AND ".join([tag_is("state", "firing"), *where, "$timeFilter"])
    return f'SELECT "note" AS "text", "rule", "severity", "scope" FROM "{ALERT}" WHERE {conditions}'


def _from_store(name: str, colour: str, query: str, tags: str, ends: str = "") -> Annotation:
    """Return annotations that an InfluxQL query finds.

    What it needs is said twice: beside the name, where Grafana 9 looks first, and in the target, from which it reads what a
    later one has saved.
    """
    said = {"query": query, "textColumn": "text", "tagsColumn": tags, "timeEndColumn": ends, "titleColumn": ""}
    target = {"refId": "annotation", "datasource": HISTORY_SOURCE, "fromAnnotations": True, "rawQuery": True, **said}
    return Annotation(
        name=name,
        icon_color=colour,
        datasource=HISTORY_SOURCE,
        target=target,
        query=query,
        text_column="text",
        tags_column=tags,
        time_end_column=ends,
        title_column="",
    )


_MONTH_CLOSES = Annotation(
    name="Months closed",
    icon_color=look.SECOND,
    target={"type": "tags", "tags": [TAG, MONTH_CLOSED_TAG], "matchAny": False, "limit": 100},
)


def of_scope(variable: str, *alerts: str) -> Annotations:
    """Return the annotations of a board.

    Args:
        variable: holds the scope that the board shows.
        alerts: further conditions on the alerts shown.
    """
    kinds = [
        _from_store(name, colour, happenings(kind, variable), "kind,scope", "ends")
        for kind, (name, colour) in _KINDS.items()
    ]
    fired = _from_store(
        "Alerts", look.NONE, raised([tag_chosen("scope", variable), *alerts]), "rule,severity,scope"
    )  # fmt: skip
    return Annotations(list=(*kinds, fired, _MONTH_CLOSES))
