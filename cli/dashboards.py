"""``csf dashboards``: build the Grafana boards, prepare InfluxDB for them, push them to a Grafana."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from cli.options import config_option, data_dir_option
from cli.output import say
from cli.settings import load_settings
from dashboards.alerting import Judge, alerting_yaml, left_out
from dashboards.build import GENERATED, board_files, stale, strangers
from dashboards.grafana import Grafana
from dashboards.marks import MONTH_CLOSED_TAG
from dashboards.policies import DEFAULT_CONTACT, channels_left_out
from dashboards.push import push_boards
from dashboards.push_marks import ALERT_TAG, Told, happened, month_closes, push_marks, raised
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.stores.influx import InfluxStore
from pipeline.stores.port import KpiStore

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


def _write(files: dict[str, str], out: Path, what: str = "boards") -> None:
    """Write the files that are not current; touch nothing else."""
    old = stale(files, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in old:
            path.write_text(files[path.name], "utf-8")
            say(f"wrote {path}")
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written: {error.strerror}") from None
    if not old:
        say(f"{len(files)} {what} in {out} were current already.")


@dashboards.command()
@config_option
@data_dir_option
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write the boards of the configured catalogue here."
)
@click.option(
    "--alerting",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write csf-pulse.yaml for Grafana's own alerting here.",
)
@click.option(
    "--judge",
    type=click.Choice(["states", "thresholds"]),
    default="states",
    show_default=True,
    help="Who judges for Grafana's alerting: csf-pulse (states), or Grafana itself by the catalogue's limits.",
)
@click.option(
    "--policies",
    is_flag=True,
    help="Write notification policies by the catalogue's routes, in the place of all that Grafana has.",
)
@click.option(
    "--root-contact",
    default=DEFAULT_CONTACT,
    show_default=True,
    help="Contact point of alerts that are not csf-pulse's, where policies are written.",
)
def provision(
    config: Path | None, data_dir: Path | None, out: Path | None, alerting: Path | None, judge: Judge, policies: bool,
    root_contact: str,
) -> None:  # fmt: skip
    """Make InfluxDB ready for boards: its buckets, and databases of their names for InfluxQL."""
    settings = load_settings(config, data_dir=data_dir)
    if settings.store != "influx":
        raise ConfigError(f"store is {settings.store}, which Grafana does not read; set CSF_STORE=influx")
    files = board_files(settings.load_catalogue()) if out else {}
    store = settings.open_store()
    try:
        mapped = store.map_databases() if isinstance(store, InfluxStore) else []
    finally:
        store.close()
    say(f"mapped {' and '.join(mapped)} for InfluxQL" if mapped else "InfluxQL reads both buckets already.")
    if out:
        _write(files, out)
    if alerting:
        _write_alerting(settings.load_catalogue(), alerting, judge, root_contact if policies else None)


def _write_alerting(catalogue: Catalogue, directory: Path, judge: Judge, root: str | None) -> None:
    """Write the file of Grafana's own alerting, and say what is in it."""
    _write({"csf-pulse.yaml": alerting_yaml(catalogue, judge, root)}, directory, "alerting files")
    if catalogue.organisation.told_by != "grafana":
        say("csf-pulse tells people itself: the file takes our rules out of Grafana (told_by in organisation.yaml).")
        return
    say("Grafana tells people; csf-pulse tells nobody (told_by in organisation.yaml).")
    rules = left_out(catalogue) if judge == "thresholds" else []
    if rules:
        say(
            f"{len(rules)} of {len(catalogue.alerts)} rules are judged by csf-pulse, such as {rules[0]}; Grafana is told"
            " what comes of them.",
            err=True,
        )
    if channels := channels_left_out(catalogue):
        say(
            f"no contact points of Grafana: the channels {', '.join(channels)}; name those that stand for them with the"
            " key 'grafana' in channels.yaml",
            err=True,
        )


@dashboards.command()
@click.option("--url", envvar="GRAFANA_URL", required=True, help="Address of Grafana (GRAFANA_URL).")
@click.option(
    "--token-file",
    envvar="GRAFANA_TOKEN_FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with a service account's token [default: GRAFANA_TOKEN].",
)
@click.option(
    "--ca-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="PEM to check Grafana by."
)
@click.option("--annotations/--no-annotations", default=True, show_default=True, help="Tell what happened, too.")
@click.option(
    "--days",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="How far back deployments, incidents, maintenance and alerts are told.",
)
@config_option
@data_dir_option
def push(
    url: str, token_file: Path | None, ca_file: Path | None, annotations: bool, days: int, config: Path | None,
    data_dir: Path | None,
) -> None:  # fmt: skip
    """Send the boards of the configured catalogue to a Grafana, into a folder of their own, and annotations.

    Doing it again changes nothing. Boards in other folders and annotations of others are never touched.
    """
    settings = load_settings(config, data_dir=data_dir)
    grafana = Grafana(url, _token(token_file), ca_file=ca_file)
    files = board_files(settings.load_catalogue())
    pushed = push_boards(grafana, files, "csf dashboards push")
    say(f"{pushed.made} boards made, {pushed.changed} changed, {pushed.current} current already.")
    for why in pushed.left_alone:
        say(f"left alone: {why}", err=True)
    if annotations:
        store = settings.open_store(read_only=True)
        try:
            told = _tell(grafana, store, int(time.time()) - days * 86_400)
        finally:
            store.close()
        say(f"{told.added} annotations added, {told.changed} changed, {told.removed} removed.")
    if pushed.left_alone:
        raise click.exceptions.Exit(1)


def _tell(grafana: Grafana, store: KpiStore, since: int) -> Told:
    """Tell what happened since an instant (epoch seconds), and every month that is closed."""
    results = [push_marks(grafana, MONTH_CLOSED_TAG, month_closes(store))]
    alerts = raised(store.alerts(at_from=since))
    for kind, marks in {**happened(store.happenings(start_from=since)), ALERT_TAG: alerts}.items():
        results.append(push_marks(grafana, kind, marks, since=since))
    return Told(sum(r.added for r in results), sum(r.changed for r in results), sum(r.removed for r in results))


def _token(file: Path | None) -> str:
    """Return the token from a file or the environment; it is no option, since others see a command's options."""
    if file is None:
        token = os.environ.get("GRAFANA_TOKEN", "").strip()
        if not token:
            raise ConfigError("pushing needs a service account's token: set GRAFANA_TOKEN, or name a --token-file")
        return token
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise ConfigError(f"--token-file: {file} cannot be read: {why}") from None
    if not token:
        raise ConfigError(f"--token-file: {file} is empty; put a service account's token into it")
    return token
