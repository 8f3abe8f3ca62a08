"""``csf dashboards``: build the Grafana boards, prepare InfluxDB for them, push them to a Grafana."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import config_option, data_dir_option
from cli.output import say
from cli.settings import load_settings
from dashboards.build import GENERATED, board_files, stale, strangers
from pipeline.catalogue.loader import load_catalogue
from pipeline.errors import ConfigError
from pipeline.stores.influx import InfluxStore

_catalogue_option = click.option(
    "--catalogue-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Own catalogue over the built-in one: its KPIs and services are on the boards.",
)


@click.group()
def dashboards() -> None:
    """Build, provision and push Grafana boards."""


@dashboards.command()
@_catalogue_option
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=GENERATED, show_default=True, help="Where to."
)
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if a file is not current.")
def build(catalogue_dir: Path | None, out: Path, only_check: bool) -> None:
    """Write every board as JSON, made from the catalogue."""
    files = board_files(load_catalogue(catalogue_dir))
    old, strange = stale(files, out), strangers(files, out)
    for path in strange:
        say(f"{path} is no board of this program; keep boards of your own in another folder", err=True)
    if only_check:
        for path in old:
            say(f"{path} is not current; run: csf dashboards build", err=True)
        if old or strange:
            raise click.exceptions.Exit(1)
        say(f"{len(files)} boards in {out} are current.")
        return
    _write(files, out)


def _write(files: dict[str, str], out: Path) -> None:
    """Write the boards that are not current; touch nothing else."""
    old = stale(files, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in old:
            path.write_text(files[path.name], "utf-8")
            say(f"wrote {path}")
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written: {error.strerror}") from None
    if not old:
        say(f"{len(files)} boards in {out} were current already.")


@dashboards.command()
@config_option
@data_dir_option
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write the boards of the configured catalogue here."
)
def provision(config: Path | None, data_dir: Path | None, out: Path | None) -> None:
    """Make InfluxDB ready for boards: its buckets, and databases of their names for InfluxQL."""
    settings = load_settings(config, data_dir=data_dir)
    files = board_files(settings.load_catalogue()) if out else {}
    store = settings.open_store()
    try:
        if not isinstance(store, InfluxStore):
            raise ConfigError("store is sqlite, which Grafana does not read; set CSF_STORE=influx")
        mapped = store.map_databases()
    finally:
        store.close()
    say(f"mapped {' and '.join(mapped)} for InfluxQL" if mapped else "InfluxQL reads both buckets already.")
    if out:
        _write(files, out)
