"""``csf kpis``: KPI values from the store, for people and programs."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

import click

from cli.options import config_option, data_dir_option, format_option
from cli.output import print_rows, say
from cli.settings import Settings, load_settings
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.time.calendar import Calendar
from pipeline.values import WINDOWS, KpiValue

COLUMNS = [
    "csf", "kpi", "scope", "period", "start", "value", "unit", "numerator", "denominator", "count", "coverage",
    "target", "status", "state", "revision", "definition_version",
]  # fmt: skip
_TABLE = ["kpi", "scope", "start", "value", "unit", "count", "coverage", "target", "status", "state"]


@click.command()
@config_option
@data_dir_option
@format_option
@click.option("--kpi", "kpi_ids", multiple=True, help="KPI id; may be repeated [default: all].")
@click.option("--csf", "csf_ids", multiple=True, help="All KPIs of a CSF; may be repeated.")
@click.option("--scope", "scopes", multiple=True, default=("org",), show_default=True, help="org, team:ID, service:ID.")
@click.option("--period", type=click.Choice(["hour", "day", "month"]), default="month", show_default=True)
@click.option("--window", type=click.Choice(list(WINDOWS)), help="Live values of a rolling window instead.")
@click.option("--from", "first", help="First period: 2016-03, 2016-03-05 or 2016-03-05T14.")
@click.option("--to", "last", help="Last period, inclusive.")
def kpis(
    config: Path | None, data_dir: Path | None, fmt: str, kpi_ids: tuple[str, ...], csf_ids: tuple[str, ...],
    scopes: tuple[str, ...], period: str, window: str | None, first: str | None, last: str | None,
) -> None:  # fmt: skip
    """Print KPI values: of calendar periods, or live ones of a rolling window."""
    settings = load_settings(config, data_dir=data_dir)
    catalogue = settings.load_catalogue()
    wanted = _wanted(catalogue, kpi_ids, csf_ids)
    for scope in scopes:
        if scope != "org" and not re.fullmatch(r"(team|service):.+", scope):
            raise ConfigError(f"--scope {scope}: is none of org, team:ID, service:ID")
    calendar = Calendar(catalogue.organisation.zone)
    since, until = _bound(calendar, first, "--from"), _bound(calendar, last, "--to")
    values = _read(settings, wanted, list(scopes), period, window, since and since[0], until and until[1] - 1)
    rows = [row(value, calendar) for value in values]
    print_rows(rows, _TABLE if fmt == "table" else COLUMNS, fmt)
    if not rows and fmt == "table":
        say(f"nothing is known of that in {settings.data_dir}: another --scope, --kpi, --period or time?", err=True)


def row(value: KpiValue, calendar: Calendar) -> dict[str, object]:
    """Return a value as the columns that are printed."""
    found: dict[str, object] = {name: getattr(value, name) for name in COLUMNS if name != "start"}
    return {**found, "start": calendar.iso(value.start)}


def _wanted(catalogue: Catalogue, kpi_ids: tuple[str, ...], csf_ids: tuple[str, ...]) -> list[str] | None:
    for kpi in kpi_ids:
        if kpi not in catalogue.kpis:
            raise ConfigError(f"--kpi {kpi}: is not in the catalogue; `csf catalogue list` names them")
    for csf in csf_ids:
        if csf not in catalogue.csfs:
            raise ConfigError(f"--csf {csf}: is none of {', '.join(catalogue.csfs)}")
    of_csfs = [k.id for k in catalogue.kpis.values() if k.csf in csf_ids]
    return [*kpi_ids, *of_csfs] or None


def _bound(calendar: Calendar, text: str | None, option: str) -> tuple[int, int] | None:
    """Return [start, end) of the month, day or hour that an option names."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d{2}", text):
            return calendar.period("month", calendar.parse_month(text))
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return calendar.period("day", calendar.start_of(date.fromisoformat(text)))
        at = datetime.fromisoformat(text + ":00" if re.fullmatch(r".*T\d{2}", text) else text)
    except ValueError:
        raise ConfigError(f"{option} {text}: is no month (2016-03), day (2016-03-05) or hour (2016-03-05T14)") from None
    local = at if at.tzinfo else at.replace(tzinfo=calendar.zone)
    return calendar.period("hour", int(local.timestamp()))


def _read(
    settings: Settings, kpi_ids: list[str] | None, scopes: list[str], period: str, window: str | None,
    start_from: int | None, start_to: int | None,
) -> list[KpiValue]:  # fmt: skip
    settings.check_values()
    store = settings.open_store(read_only=True)
    try:
        if window is not None:
            return store.live(window=window, kpis=kpi_ids, scopes=scopes)
        return store.periods(period=period, kpis=kpi_ids, scopes=scopes, start_from=start_from, start_to=start_to)
    finally:
        store.close()
