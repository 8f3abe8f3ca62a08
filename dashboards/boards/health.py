"""Pipeline health: what happens to events, how far behind we are, and what fails, from the workers' own metrics."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import look
from dashboards.boards import parts
from dashboards.model import TAG, Board, Field, Override, Panel, Templating, TimeRange
from dashboards.panels import Layout, promql, stat, timeseries
from pipeline.catalogue.model import Catalogue

_EXITS = {
    "kpi": "KPI",
    "duplicate": "Duplicate",
    "ignored": "Ignored",
    "unmapped": "Unmapped",
    "dead_letter": "Dead letter",
}
_COLOURS = {
    "kpi": look.GOOD,
    "duplicate": "#56B4E9",
    "ignored": look.NONE,
    "unmapped": look.WARN,
    "dead_letter": look.BAD,
}
_ONLY_WORKERS = "unknown: no worker is asked for its metrics"


def board(_catalogue: Catalogue) -> Board:
    """Return the board; it shows the same whatever the catalogue."""
    layout = Layout()
    for panel in _figures():
        layout.add(panel, 4, 4)
    layout.row("Where events end")
    layout.add(_exits(), 12, 8)
    layout.add(
        _lines(
            "Dead letters, unmapped, ignored: why",
            _per_second('exit!="kpi"', "exit, reason"),
            "{{exit}} {{reason}}",
            "suffix:/s",
            "Events a second that ended in no KPI, by exit and reason; dead letters can be looked at with csf deadletters.",
        ),
        12,
        8,
    )
    layout.row("How far behind")
    layout.add(
        _lines(
            "Messages not yet folded",
            "sum by (topic) (csf_lag_messages)",
            "{{topic}}",
            "suffix:messages",
            "Messages that lie in Kafka and are not folded, by topic.",
        ),
        8,
        8,
    )
    layout.add(
        _lines(
            "Age of the newest event",
            "time() - max by (topic) (csf_partition_clock_seconds)",
            "{{topic}}",
            "s",
            "How long ago the newest event of each topic arrived, of those that are folded.",
        ),
        8,
        8,
    )
    layout.add(
        _lines(
            "Values still to be worked out",
            "sum(csf_rollup_pending)",
            "values",
            "suffix:values",
            "Values that what was folded changes, and that are not yet worked out.",
        ),
        8,
        8,
    )
    layout.row("How long it takes")
    layout.add(
        _latency(
            "Folding one batch",
            "csf_fold_seconds",
            "Half of the batches, and 99 of 100, took at most so long, by agent.",
            "agent",
        ),
        8,
        8,
    )
    layout.add(
        _latency(
            "One flush of state",
            "csf_flush_seconds",
            "From the first change handed to Kafka to the last confirmed, p50 and p99.",
        ),
        8,
        8,
    )
    layout.add(_latency("One write to the store", "csf_store_write_seconds", "One batch of values, p50 and p99."), 8, 8)
    layout.row("What fails")
    for title, metric, description in (
        (
            "Store writes tried again",
            "csf_store_retries_total",
            "The store did not answer; nothing is lost, values wait.",
        ),
        (
            "Values the store refused",
            "csf_values_rejected_total",
            "The store will not take them; see the worker's log.",
        ),
        (
            "Batches the archive lost",
            "csf_archive_failures_total",
            "They are in Kafka, but a replay from files will lack them.",
        ),
        ("Assignments of partitions", "csf_rebalances_total", "Workers came or went; each takes over within seconds."),
    ):
        expr = f"sum(increase({metric}[$__rate_interval]))"
        layout.add(_lines(title, expr, "times", "short", description, decimals=0), 6, 7)
    return Board(
        uid=parts.HEALTH,
        title="Pipeline health",
        description="Where events end, how far behind the pipeline is, how long it takes, and what fails.",
        tags=(TAG,),
        time=TimeRange(start="now-6h"),
        refresh="30s",
        panels=layout.finish(),
        templating=Templating(list=()),
        links=parts.BOARD_LINKS,
    )  # fmt: skip


def _per_second(labels: str, by: str) -> str:
    """Return events a second by exit: they are absolute counts that move with their partition, so they are summed first."""
    counts = f"sum by ({by}) (csf_events_exit{{{labels}}})" if labels else f"sum by ({by}) (csf_events_exit)"
    return f"clamp_min(deriv(({counts})[5m:15s]), 0)"


def _figures() -> list[Panel]:
    return [
        _figure("Workers that answer", 'sum(up{job="csf-worker"})', "short", 0, "Workers whose metrics Prometheus could read."),
        _figure("Events a second", "sum(clamp_min(deriv((sum by (topic) (csf_events_received))[5m:15s]), 0))", "suffix:/s", 1,
                "Events taken from Kafka, averaged over five minutes."),
        _figure("Values written a second", "sum(rate(csf_values_written_total[5m]))", "suffix:/s", 1,
                "KPI values that the store took, averaged over five minutes."),
        _figure("Messages not yet folded", "sum(csf_lag_messages)", "short", 0,
                "Messages that lie in Kafka and are not folded."),
        _figure("Newest event's age", "time() - max(csf_partition_clock_seconds)", "s", 0,
                "How long ago the newest event arrived, of those that are folded."),
        _figure("Events without an exit", "sum(csf_events_received) - sum(csf_events_exit)", "short", 0,
                "In = out: every event ends in exactly one exit, so this is 0."),
    ]  # fmt: skip


def _figure(title: str, expr: str, unit: str, decimals: int, description: str) -> Panel:
    return stat(
        title,
        [promql(expr, title, instant=True)],
        [],
        fields=Field(unit=unit, decimals=decimals, no_value=_ONLY_WORKERS),
        description=description,
        text="value",
    )


def _lines(
    title: str,
    expr: str,
    legend: str,
    unit: str,
    description: str,
    *,
    decimals: int = 1,
    overrides: Sequence[Override] = (),
) -> Panel:
    field = Field(unit=unit, decimals=decimals, min=0, color=look.CLASSIC, no_value=_ONLY_WORKERS)
    return timeseries(title, [promql(expr, legend)], fields=field, overrides=overrides, description=description)


def _exits() -> Panel:
    stacked = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 60, "lineWidth": 1}
    return timeseries(
        "Events a second by exit",
        [promql(_per_second("", "exit"), "{{exit}}")],
        fields=Field(unit="suffix:/s", decimals=1, min=0, custom=stacked, no_value=_ONLY_WORKERS),
        overrides=[
            look.override(look.by_name(exit_), display_name=name, color=look.fixed(_COLOURS[exit_]))
            for exit_, name in _EXITS.items()
        ],
        description="Every event ends in exactly one of these five.",
    )


def _latency(title: str, metric: str, description: str, by: str = "") -> Panel:
    labels, name = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    buckets = f"sum by ({labels}) (rate({metric}_bucket[$__rate_interval]))"
    field = Field(unit="s", decimals=3, min=0, color=look.CLASSIC, no_value=_ONLY_WORKERS)
    targets = [promql(f"histogram_quantile({q}, {buckets})", f"p{q * 100:.0f}{name}") for q in (0.5, 0.99)]
    return timeseries(title, targets, fields=field, description=description)
