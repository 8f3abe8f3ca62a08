"""The variables that boards share."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from dashboards import queries
from dashboards.model import Choice, CustomVariable, DataSource, Option, QueryVariable
from dashboards.panels import HISTORY_SOURCE, LIVE_SOURCE
from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx_lines import PERIOD, STATUS, tag_value
from pipeline.values import WINDOWS


def _custom(name: str, label: str, values: Iterable[tuple[str, str]], first: str) -> CustomVariable:
    options = tuple(Option(text=text, value=value, selected=value == first) for text, value in values)
    return CustomVariable(
        name=name,
        label=label,
        # a comma separates values in Grafana's list, a backslash keeps it
        query=",".join(f"{option.text} : {option.value}".replace(",", "\\,") for option in options),
        current=next(Choice(text=o.text, value=o.value) for o in options if o.selected),
        options=options,
    )


def asked(
    name: str, label: str, source: DataSource, query: str, first: str = "", *, regex: str = "", sort: int = 1, hide: int = 0
) -> QueryVariable:  # fmt: skip
    """Return a variable whose values come from a query; ``hide`` 2 shows it nowhere."""
    return QueryVariable(
        name=name,
        label=label,
        datasource=source,
        query=query,
        definition=query,
        regex=regex,
        sort=sort,
        hide=hide,
        current=Choice(text=first, value=first) if first else {},
    )


def window(first: str = "1h") -> CustomVariable:
    """Return the rolling window."""
    return _custom("window", "Window", [(w, w) for w in WINDOWS], first)


def csf(catalogue: Catalogue) -> CustomVariable:
    """Return the CSF, by name."""
    first = next(iter(catalogue.csfs))
    return _custom("csf", "CSF", [(c.name, tag_value(c.id)) for c in catalogue.csfs.values()], first)


def scope(source: DataSource) -> QueryVariable:
    """Return the organisation, a team or a service, out of those that have a status."""
    return asked("scope", "Scope", source, queries.tag_values(STATUS, "scope"), "org")


def service(source: DataSource = LIVE_SOURCE) -> QueryVariable:
    """Return a service, shown without its prefix."""
    query = queries.tag_values(STATUS, "scope", queries.IS_SERVICE)
    return asked("service", "Service", source, query, regex="/^(?<value>service:(?<text>.*))$/")


def any_of(name: str, label: str, measurement: str) -> QueryVariable:
    """Return a variable over the values of the tag of that name in a measurement of the history; at first all of them."""
    found = asked(name, label, HISTORY_SOURCE, queries.tag_values(measurement, name))
    everything = Choice(text=["All"], value=["$__all"])
    return replace(found, current=everything, multi=True, include_all=True, all_value=".*")


def month() -> tuple[QueryVariable, QueryVariable, QueryVariable]:
    """Return the month, chosen from those in the data, and the instants between which it lies (not shown).

    The time picker plays no part, so a viewer's browser zone cannot shift it.
    """
    months = [queries.tag_is("period", "month"), queries.tag_is("scope", "org")]
    chosen = [*months, "\"month\" = '${month:raw}'"]
    return (
        asked("month", "Month", HISTORY_SOURCE, queries.status_field("month", months), sort=2),
        asked("month_start", "", HISTORY_SOURCE, queries.status_field("start", chosen), hide=2),
        asked("month_end", "", HISTORY_SOURCE, queries.status_field("end", chosen), hide=2),
    )


def kpis_of_csf() -> QueryVariable:
    """Return the KPIs of the CSF chosen that have months, all of them at first; rows are repeated for each."""
    query = queries.tag_values(PERIOD, "kpi", queries.tag_chosen("csf", "csf"))
    return QueryVariable(
        name="kpi",
        label="KPI",
        datasource=HISTORY_SOURCE,
        query=query,
        definition=query,
        current=Choice(text=["All"], value=["$__all"]),
        multi=True,
        include_all=True,
    )
