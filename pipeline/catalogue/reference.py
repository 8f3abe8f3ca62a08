"""The KPI reference: a Markdown page for people, made from the catalogue so that it cannot drift from it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.catalogue import model

_ARROWS = {"up": "↑ more is better", "down": "↓ less is better", "zero": "→ 0 is best"}
_PEAKS = {
    "p95": "95th percentile of `{latency}`",
    "throughput": "sum of `{count}` in the busiest minute / 60",
    "error_rate": "100 × sum of `{count}` where `{error}` / sum of `{count}`",
}
_AVAILABILITY = {
    "availability": "100 × up / (up + down)",
    "error_budget_remaining": "100 × (1 − (1 − availability) / (1 − availability target)), as shares of 1",
    "outages": "number of down times of at least 60 s and of major incidents, overlapping ones merged, by their start",
    "mtbf": "up time in hours / outages",
}
_FORECASTS = {
    "accuracy": "100 × (1 − Σ|{a} − {p}| / Σ|{a}|)",
    "bias": "100 × Σ({p} − {a}) / Σ|{a}|",
}


def formula(measure: model.AnyMeasure) -> str:
    """Return in words and symbols how a measure follows from its records."""
    main = _main(measure)
    if isinstance(measure, model.Records):
        where = f", where `{measure.where}`" if measure.where else ""
        at = f"; dated by `{measure.at}`" if measure.at else ""
        return main + where + at
    return main


def _in(scale: str) -> str:
    return "" if scale == "one" else f" in {scale}"


def _main(measure: model.AnyMeasure) -> str:
    match measure:
        case model.Count():
            return "number of records" + (" / days passed" if measure.per == "day" else "")
        case model.Sum():
            return f"sum of `{measure.value}`{_in(measure.scale)}"
        case model.Mean():
            return f"sum of `{measure.value}` / number of records{_in(measure.scale)}"
        case model.Share():
            return f"100 × number for which `{measure.of}` / number for which that is known"
        case model.Ratio():
            return f"{measure.factor:g} × sum of `{measure.numerator}` / sum of `{measure.denominator}`"
        case model.Quantile():
            name = "median" if measure.q == 0.5 else f"{measure.q:.1%} quantile".replace(".0%", " %")
            exact = "exact" if measure.exact else "at most 1 % off"
            weight = f", each counted `{measure.weight}` times" if measure.weight else ""
            return f"{name} of `{measure.value}`{_in(measure.scale)}{weight} ({exact})"
        case model.Distinct():
            return f"number of different `{measure.value}`"
        case model.Stickiness():
            return f"100 × mean number of different `{measure.value}` a day / number of different ones in the period"
        case model.PerUserDay():
            users = " and ".join(f"`{e}`" for e in measure.user_events)
            return (
                f"sum of `{measure.value}`{_in(measure.scale)} / sum over the days of the number of different "
                f"`{measure.user}` of {users}"
            )
    return _special(measure)


def _special(measure: model.AnyMeasure) -> str:
    match measure:
        case model.Stock():
            where = f", where `{measure.where}`" if measure.where else ""
            return f"number with `{measure.enter}` before the end of the period and `{measure.leave}` not{where}"
        case model.Forecast():
            group = ", ".join(f"`{name}`" for name in measure.group)
            text = _FORECASTS[measure.stat].format(a=measure.actual, p=measure.predicted)
            return f"{text} for each ({group}), mean weighted by their number"
        case model.Peak():
            text = _PEAKS[measure.stat].format(latency=measure.latency, count=measure.count, error=measure.error)
            return f"in the local clock hour with most requests: {text}"
        case model.Availability():
            return _AVAILABILITY[measure.stat] + "; planned maintenance left out"
        case model.Freshness():
            where = f" where `{measure.where}`" if measure.where else ""
            return (
                f"for each pair of systems the mean over time of now − last `{measure.completed}`{where}, "
                "weighted by the time watched"
            )
    return ""


def source_events(measure: model.AnyMeasure) -> tuple[str, ...]:
    """Return the event types a measure reads, for people."""
    match measure:
        case model.Availability():
            more = ("incident.updated",) if measure.stat in {"outages", "mtbf"} else ()
            return ("uptime.checked", "maintenance.scheduled", *more)
        case model.PerUserDay():
            return tuple(dict.fromkeys([*measure.events, *measure.user_events]))
    return tuple(measure.events)


def number(value: float | None) -> str:
    """Return a number as people write it, "–" for none."""
    return "–" if value is None else f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def _row(kpi: model.Kpi) -> str:
    amber = number(kpi.thresholds.amber if kpi.thresholds else None)
    red = number(kpi.thresholds.red if kpi.thresholds else None)
    cells = [f"[`{kpi.id}`](#{kpi.id})", kpi.name, kpi.unit, _ARROWS[kpi.direction][0], number(kpi.target), amber, red]
    return "| " + " | ".join([*cells, number(kpi.weight)]) + " |"


def _facts(kpi: model.Kpi, catalogue: model.Catalogue, parts: list[model.Kpi]) -> Iterator[tuple[str, str]]:
    yield "formula", formula(kpi.measure)
    yield "source events", ", ".join(f"`{e}`" for e in source_events(kpi.measure))
    yield "unit", f"{kpi.unit} (decimals shown: {kpi.decimals})"
    yield "direction", _ARROWS[kpi.direction]
    yield "target", number(kpi.target)
    if kpi.thresholds:
        yield "thresholds", f"amber from {number(kpi.thresholds.amber)}, red from {number(kpi.thresholds.red)}"
    yield "minimum sample", f"{kpi.min_sample}"
    if kpi.smallest != "live":
        yield "shortest period", f"{kpi.smallest}"
    yield "weight in the CSF", number(kpi.weight)
    yield "value chain activity", kpi.activity.replace("_", " ")
    if kpi.goal:
        yield "business goal", catalogue.goals[kpi.goal].name
    yield "owner", kpi.owner
    if parts:
        yield "also as", ", ".join(f"`{part.id}`" for part in parts)
    yield "definition version", f"{kpi.version}"


def _kpi(kpi: model.Kpi, catalogue: model.Catalogue) -> Iterator[str]:
    parts = [other for other in catalogue.kpis.values() if other.breakdown_of == kpi.id]
    yield from ("", f"### {kpi.id}", "", f"**{kpi.name}.** {kpi.definition}", "", "| | |", "| --- | --- |")
    for key, text in _facts(kpi, catalogue, parts):
        # a bar would end the table's cell
        yield f"| {key} | {text.replace('|', '&#124;')} |"


def _intro(catalogue: model.Catalogue) -> Iterator[str]:
    whole = [kpi for kpi in catalogue.kpis.values() if kpi.breakdown_of is None]
    yield from (
        "# KPI reference",
        "",
        "<!-- made by `csf catalogue docs`: change pipeline/catalogue/*.yaml, not this page -->",
        "",
        f"{len(catalogue.csfs)} critical success factors (CSFs) and {len(whole)} key performance indicators (KPIs).",
        "Targets, thresholds and weights are defaults; an organisation sets its own in a catalogue directory.",
        "Percentages are 0 to 100. Ratios are ratios of sums: the value of a team or of the organisation comes from",
        "its records, never from values of its services. Exact rules: [semantics](semantics.md); fields of the",
        "events: [events](events/README.md). A value is judged unknown below the minimum sample (records; for",
        "availability and what follows from it: seconds watched). Targets of counts are meant for a month; shorter",
        "periods and windows are judged by the same. How to change or add KPIs: [catalogue](catalogue.md).",
        "",
    )


def reference(catalogue: model.Catalogue) -> str:
    """Return the KPI reference of a catalogue as Markdown."""
    lines = list(_intro(catalogue))
    for csf in catalogue.csfs.values():
        kpis = [k for k in catalogue.kpis.values() if k.csf == csf.id and k.breakdown_of is None]
        lines += [f"## {csf.name}", "", f"`{csf.id}`: {csf.statement} {csf.description}".rstrip(), ""]
        lines += [
            "| id | KPI | unit | | target | amber | red | weight |",
            "| --- | --- | --- | --- " + "| ---: " * 4 + "|",
        ]
        lines += [_row(kpi) for kpi in kpis]
        for kpi in kpis:
            lines += _kpi(kpi, catalogue)
        lines.append("")
    lines += ["## Business goals", "", "| goal | means | KPIs |", "| --- | --- | --- |"]
    for goal in catalogue.goals.values():
        served = [f"`{k.id}`" for k in catalogue.kpis.values() if k.goal == goal.id and k.breakdown_of is None]
        lines.append(f"| {goal.name} | {goal.description} | {', '.join(served)} |")
    return "\n".join(lines) + "\n"
