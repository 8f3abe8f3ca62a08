"""``csf month close``: make a month final."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from cli.embedded.instance import running
from cli.options import bootstrap_option, config_option, data_dir_option
from cli.output import say
from cli.settings import load_settings
from connectors.control import close_month
from pipeline.errors import ConfigError
from pipeline.time.calendar import Calendar


@click.group()
def month() -> None:
    """Close months: later events then restate them, with revision and reason."""


@month.command()
@click.argument("name", metavar="MONTH")
@config_option
@data_dir_option
@bootstrap_option
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until the closed values are in the store.")
def close(name: str, config: Path | None, data_dir: Path | None, bootstrap: str | None, wait: bool) -> None:
    """Close a month, for example 2026-10: what arrived until now is its revision 1."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    zone = settings.load_catalogue().organisation.zone
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", name):
        raise ConfigError(f"'{name}' is no month; write it like 2026-10")
    calendar = Calendar(zone)
    if calendar.next_month(calendar.parse_month(name)) > time.time():
        today = datetime.now(UTC).astimezone(calendar.zone)
        raise ConfigError(
            f"{name} is not over yet (it is {today:%Y-%m-%d} in {zone}); a running month cannot be closed"
        )
    settings.check_events()
    with running(settings, worker=wait, say=partial(say, err=True)) as instance:
        if wait:
            instance.check_worker()
        offsets = close_month(instance.bootstrap, name, zone, instance.kafka_settings)
        if wait:
            instance.wait_until_caught_up()
    say(f"{name} is closed: revision 1 is what lay before {len(offsets)} barriers")
