"""Alerts: what is open, what was when, how often and how long, who was told, and what holds raises back."""

from __future__ import annotations

from dashboards import alert_queries, look, queries, variables
from dashboards.boards import parts
from dashboards.model import TAG, Board, Field, Override, Panel, Step, Templating, Thresholds, TimeRange
from dashboards.panels import HISTORY_SOURCE, Layout, influx, influx_series, promql, stat, table, timeline, timeseries
from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx_lines import ALERT

_CHOSEN = [queries.tag_chosen("csf", "csf"), queries.tag_chosen("scope", "scope")]
_NONE_KNOWN = "none in 45 days"
_ONLY_WORKERS = "unknown: no worker is asked for its metrics"
#: a number that is good only while it is 0
_ZERO_IS_GOOD = {name: Thresholds(steps=(Step(color=look.GOOD, value=None), Step(color=colour, value=1)))
                 for name, colour in (("Critical", look.BAD), ("Warning", look.WARN), ("Info", look.LINE))}  # fmt: skip


def board(catalogue: Catalogue) -> Board:
    """Return the board."""
    layout = Layout()
    layout.add(counts("Open now", _CHOSEN), 8, 5)
    layout.add(_by_csf(catalogue), 8, 5)
    layout.add(_notifications(), 8, 5)
    layout.add(open_alerts(catalogue, _CHOSEN), 24, 9)
    layout.add(_timeline(), 24, 12)
    layout.add(_ended(catalogue), 12, 9)
    layout.add(_changes(catalogue), 12, 9)
    layout.row("Who is told, and what holds it back")
    layout.add(_deliveries(), 8, 8)
    layout.add(_told(), 4, 8)
    layout.add(_waiting(), 4, 8)
    layout.add(
        _held("Silences in force", "csf_alert_silence_end_seconds", "id, by, reason", "no silence is in force"), 4, 8
    )
    layout.add(_held("Planned maintenance that is on", "csf_maintenance_end_seconds", "service", "none is on"), 4, 8)
    layout.add(_done(), 24, 9)
    return Board(
        uid=parts.ALERTS,
        title="Alerts",
        description="What is open, what was when, how often and how long, and who was told.",
        tags=(TAG,),
        time=TimeRange(start="now-7d"),
        refresh="30s",
        panels=layout.finish(),
        templating=Templating(list=(variables.any_of("csf", "CSF", ALERT), variables.any_of("scope", "Scope", ALERT))),
        links=parts.BOARD_LINKS,
    )  # fmt: skip


def counts(title: str, where: list[str]) -> Panel:
    """Return how many alerts are open, by severity."""
    return stat(
        title,
        [influx(HISTORY_SOURCE, alert_queries.how_many(where))],
        list(_ZERO_IS_GOOD),
        fields=Field(decimals=0, unit="none", no_value=_NONE_KNOWN),
        overrides=_coloured_counts(),
        description="Alerts whose newest change is not their end, by severity. Nothing is said by the store where no alert"
        " was ever raised in 45 days.",
        colour="background",
        orientation="vertical",
    )


def _coloured_counts() -> list[Override]:
    return [
        look.override(look.by_name(name), color=look.BY_THRESHOLDS, thresholds=steps)
        for name, steps in _ZERO_IS_GOOD.items()
    ]


def open_alerts(catalogue: Catalogue, where: list[str]) -> Panel:
    """Return the alerts that are open, the most severe first."""
    return table(
        "Open alerts, most severe first",
        [influx(HISTORY_SOURCE, alert_queries.open_now(where))],
        fields=Field(unit="none", no_value="No alert is open."),
        overrides=[
            look.override(look.TIME, custom_hidden=True),
            look.override(
                look.by_name("level"), display_name="Severity", mappings=[look.SEVERITIES], custom_width=100, decimals=0,
                **look.COLOURED_WORDS,
            ),
            look.override(look.by_name("rule"), display_name="Alert", mappings=[look.rule_names(catalogue)]),
            look.override(look.by_name("csf"), display_name="CSF", mappings=[look.csf_names(catalogue)]),
            look.override(look.by_name("scope"), display_name="Scope", mappings=look.scope_names(catalogue)),
            look.override(look.by_name("state"), display_name="State", mappings=[look.ALERT_STATES], custom_width=150),
            look.override(look.by_name("since"), display_name="Since", unit="dateTimeFromNow", custom_width=150),
            look.override(look.by_name("value"), display_name="Value", decimals=2, mappings=[look.NULL_IS_UNKNOWN]),
            look.override(look.by_name("threshold"), display_name="Limit", decimals=2, mappings=[parts.NO_TARGET]),
            look.override(look.by_name("unit"), display_name="Unit", custom_width=90),
            look.override(look.by_name("note"), display_name="Note"),
        ],
        description="Value and limit are those of the newest change; the console and the notification say more.",
        sort="Severity",
        descending=True,
    )  # fmt: skip


def _by_csf(catalogue: Catalogue) -> Panel:
    return table(
        "Open now, by CSF",
        [influx(HISTORY_SOURCE, alert_queries.how_many(_CHOSEN, by="csf"))],
        fields=Field(decimals=0, unit="none", no_value=_NONE_KNOWN),
        overrides=[
            look.override(look.TIME, custom_hidden=True),
            look.override(look.by_name("csf"), display_name="CSF", mappings=[look.csf_names(catalogue)]),
            *(
                look.override(look.by_name(name), thresholds=steps, color=look.BY_THRESHOLDS, **look.COLOURED_WORDS)
                for name, steps in _ZERO_IS_GOOD.items()
            ),
        ],
        description="How many alerts of each CSF are open, by severity.",
        sort="Critical",
        descending=True,
    )


def _timeline() -> Panel:
    fields = Field(decimals=0, unit="none", mappings=(look.SEVERITIES,), no_value="No alert fired here.")
    return timeline(
        "When alerts fired",
        [influx_series(HISTORY_SOURCE, alert_queries.over_time(_CHOSEN), "$tag_rule $tag_scope")],
        fields=fields,
        description="A lane a rule and scope, in the colour of its severity while it fired; empty while it did not.",
    )


def _ended(catalogue: Catalogue) -> Panel:
    return table(
        "Alerts that ended here: how often, how long",
        [influx(HISTORY_SOURCE, alert_queries.ended(_CHOSEN))],
        fields=Field(unit="none", no_value="No alert ended here."),
        overrides=[
            look.override(look.TIME, custom_hidden=True),
            look.override(look.by_name("rule"), display_name="Alert", mappings=[look.rule_names(catalogue)]),
            look.override(look.by_name("scope"), display_name="Scope", mappings=look.scope_names(catalogue)),
            look.override(look.by_name("times"), display_name="Times", decimals=0, custom_width=80),
            look.override(look.by_name("total"), display_name="In all", unit="s", decimals=1, custom_width=110),
            look.override(look.by_name("longest"), display_name="Longest", unit="s", decimals=1, custom_width=110),
        ],
        description="Alerts that were over in the time shown. What still fires stands above.",
        sort="Times",
        descending=True,
    )


def _changes(catalogue: Catalogue) -> Panel:
    return table(
        "Changes",
        [influx(HISTORY_SOURCE, alert_queries.changes(_CHOSEN))],
        fields=Field(unit="none", no_value="No alert changed here."),
        overrides=[
            look.override(look.TIME, display_name="When", custom_width=170),
            look.override(look.by_name("rule"), display_name="Alert", mappings=[look.rule_names(catalogue)]),
            look.override(look.by_name("scope"), display_name="Scope", mappings=look.scope_names(catalogue)),
            look.override(look.by_name("severity"), display_name="Severity", custom_width=90),
            look.override(look.by_name("state"), display_name="State", mappings=[look.ALERT_STATES], custom_width=150,
                          **look.COLOURED_WORDS),
            look.override(look.by_name("note"), display_name="Note"),
        ],
        description="Every change in the time shown, the newest first.",
        sort="When",
        descending=True,
    )  # fmt: skip


def _notifications() -> Panel:
    outcomes = {"delivered": look.GOOD, "failed": look.BAD, "expired": look.WARN}
    return stat(
        "Notifications here",
        [
            promql(f'sum(increase(csf_notifications_total{{state="{state}"}}[$__range]))', state.capitalize(), instant=True)
            for state in outcomes
        ],
        [],
        fields=Field(decimals=0, unit="none", no_value="unknown: none was sent since a worker started"),
        overrides=[
            look.override(look.by_name(state.capitalize()), color=look.fixed(colour))
            for state, colour in outcomes.items()
        ],
        description="What became of notifications in the time shown: delivered, refused by their channel, or too old to be sent.",
        orientation="vertical",
    )  # fmt: skip


def _done() -> Panel:
    return table(
        "What people and channels did",
        [influx(HISTORY_SOURCE, alert_queries.done())],
        fields=Field(unit="none", no_value="Nothing was ordered or told here."),
        overrides=[
            look.override(look.TIME, display_name="When", custom_width=170),
            look.override(
                look.by_name("kind"),
                display_name="What",
                mappings=[look.DEEDS],
                custom_width=170,
                **look.COLOURED_WORDS,
            ),
            look.override(look.by_name("who"), display_name="By", custom_width=150),
            look.override(look.by_name("channel"), display_name="Channel", custom_width=150),
            look.override(look.by_name("about"), display_name="About"),
            look.override(look.by_name("why"), display_name="Why"),
        ],
        description="Silences, acknowledgements, what held raises back, and what became of every notification, the newest first.",
        sort="When",
        descending=True,
    )


def _deliveries() -> Panel:
    rate = "sum by (channel, state) (increase(csf_notifications_total[$__rate_interval]))"
    return timeseries(
        "Notifications by channel",
        [promql(rate, "{{channel}}: {{state}}")],
        fields=Field(unit="none", decimals=0, min=0, color=look.CLASSIC, no_value=_ONLY_WORKERS),
        description="Notifications by channel and what became of them.",
    )


def _told() -> Panel:
    return _counted(
        "Undelivered, by channel",
        'sum by (channel) (increase(csf_notifications_total{state!="delivered"}[$__range]))',
        level="Critical",
        nothing="none failed or expired since a worker started",
        description="Notifications that failed or expired in the time shown.",
    )


def _waiting() -> Panel:
    return _counted(
        "Waiting, by channel",
        "sum by (channel) (csf_notifications_waiting)",
        level="Warning",
        nothing="none waits, or no worker is asked for its metrics",
        description="Notifications not yet delivered: a channel that takes none keeps them waiting, in order.",
    )


def _counted(title: str, query: str, *, level: str, nothing: str, description: str) -> Panel:
    """Return a count by channel, of which zero is good."""
    return stat(
        title,
        [promql(query, "{{channel}}", instant=True)],
        [],
        fields=Field(
            unit="none", decimals=0, color=look.BY_THRESHOLDS, thresholds=_ZERO_IS_GOOD[level], no_value=nothing
        ),
        description=description,
    )


def _held(title: str, metric: str, labels: str, nothing: str) -> Panel:
    """Return until when something holds raises back, by its labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in labels.split(", "))
    return stat(
        title,
        [promql(f"1000 * max by ({labels}) ({metric})", legend, instant=True)],
        [],
        fields=Field(unit="dateTimeFromNow", no_value=f"{nothing}, or no worker is asked for its metrics"),
        description="When each ends. Raises are held back until then, clears are not.",
    )
