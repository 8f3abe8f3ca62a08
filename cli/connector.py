"""``csf connector``: sources that run by themselves."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from cli import pulling, receiving, standing
from cli.embedded.instance import Instance, running
from cli.options import bootstrap_option, format_option, own_data_dir_option
from cli.output import counted, print_rows, say
from cli.settings import load_settings
from connectors import prober
from connectors.access_log import LogFollower, LogMapper, visitor_salt
from connectors.cursors import read_cursors
from connectors.engine import docs as pull_docs
from connectors.engine.load import load_declaration, shipped
from connectors.following import place_from
from connectors.outbox import Outbox
from connectors.producer import EventProducer
from connectors.sql.load import load_sql, shipped_sql
from connectors.webhook import docs as webhook_docs
from pipeline.errors import ConfigError
from pipeline.events.envelope import OutEvent
from pipeline.events.families import TYPES, event_topic

_KNOWN = {
    "prober": "checks HTTP and TCP endpoints: uptime.checked (--config FILE, a YAML list of url, service, interval ...)",
    "access-log": "follows an nginx or Apache log: page.viewed, request.measured (--path FILE --service ID)",
    "webhook": "receives what systems send, signed: PagerDuty, GitHub, Statuspage, Alertmanager, Typeform, CloudEvents (--config FILE)",
}
#: where not all of a connector met a real peer
_TESTED = {"webhook": "peer: Alertmanager, CloudEvents; others: shapes"}
connectors_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration [default: connectors.yaml in the data directory]; prober: what to check.",
)  # fmt: skip


@click.group()
def connector() -> None:
    """Connectors: list and run them."""


@connector.command("list")
@format_option
def list_connectors(fmt: str) -> None:
    """List the connectors."""
    rows: list[dict[str, object]] = [
        {"name": n, "what": w, "tested": _TESTED.get(n, "peer")} for n, w in _KNOWN.items()
    ]
    for name in shipped():
        declared = load_declaration(name)
        rows.append({"name": name, "what": declared.what, "tested": declared.tested})
    for name, path in shipped_sql().items():
        table = load_sql(path)
        rows.append({"name": name, "what": table.what, "tested": table.tested})
    rows.append(
        {
            "name": "files",
            "what": "files that others drop, in a folder or S3-compatible storage: CSV, JSON, access logs",
            "tested": "peer: folders; S3: a stand-in",
        }
    )
    rows.append(
        {"name": "./FOLDER/", "what": "your own: any JSON API, or a database, declared in YAML", "tested": "by you"}
    )
    print_rows(rows, ["name", "what", "tested"], fmt)
    if fmt == "table":
        say("How those that run are doing: csf connector status, or the page Connectors of a worker.", err=True)


@connector.command()
@format_option
@own_data_dir_option
@bootstrap_option
def status(fmt: str, data_dir: Path | None, bootstrap: str | None) -> int:
    """Show how every stream of every connector is doing, silent ones first; exit 1 where one is silent or failing."""
    return standing.status(load_settings(None, data_dir=data_dir, bootstrap=bootstrap), fmt)


@connector.command()
@click.argument("name")
@own_data_dir_option
@bootstrap_option
def forget(name: str, data_dir: Path | None, bootstrap: str | None) -> None:
    """Show a connector that runs no more, and is not configured, no longer as silent."""
    standing.forget(name, load_settings(None, data_dir=data_dir, bootstrap=bootstrap))


@connector.command()
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if a page is not current.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The project's folder [default: this one].",
)
def docs(only_check: bool, out: Path) -> None:
    """Write the pages of the shipped connectors."""
    made = {out / place: text for place, text in (pull_docs.pages() | webhook_docs.pages()).items()}
    stale = [path for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        if only_check:
            say(f"{path} is not current; run: csf connector docs", err=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path], "utf-8")
        say(f"wrote {path}")
    if only_check and stale:
        raise click.exceptions.Exit(1)
    if not stale:
        say(f"{len(made)} pages of connectors are current.")


@connector.command()
@click.argument("name")
@connectors_option
@own_data_dir_option
@bootstrap_option
def test(name: str, config: Path | None, data_dir: Path | None, bootstrap: str | None) -> None:
    """Try a connector of the configuration, or of a folder (./mine/): address, credentials, rights, one event a stream. Nothing is sent."""
    settings = load_settings(None, data_dir=data_dir, bootstrap=bootstrap)
    if name == "webhook":
        receiving.tell(config, settings)
        return
    pulling.test(name, config, settings)


@connector.command()
@click.argument("name")
@connectors_option
@click.option("--once", is_flag=True, help="Pull connectors: read every stream once and end.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Pull connectors: read from this time (UTC) on, also what was read before.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    help="Pull connectors, webhook: serve /metrics on this port of 127.0.0.1.",
)
@own_data_dir_option
@bootstrap_option
@click.option("--path", type=click.Path(path_type=Path), help="access-log: the log to follow.")
@click.option("--service", help="access-log: whose log it is.")
@click.option("--team", help="access-log: registers the service where the catalogue does not name it.")
@click.option("--name", "host", help="access-log: which machine's log it is [default: this machine's name].")
@click.option("--bots/--no-bots", default=True, help="access-log: machines' page views count.")
def run(
    name: str, config: Path | None, once: bool, since: datetime | None, metrics_port: int | None, data_dir: Path | None,
    bootstrap: str | None, path: Path | None, service: str | None, team: str | None, host: str | None, bots: bool,
) -> None:  # fmt: skip
    """Run a connector until it is stopped: prober, access-log, webhook, one that the configuration names, or a folder (./mine/)."""
    settings = load_settings(None, data_dir=data_dir, bootstrap=bootstrap)
    if name not in _KNOWN:
        pulling.run(name, config, settings, pulling.How(once=once, since=since, metrics_port=metrics_port))
        return
    if name == "webhook":
        receiving.run(config, settings, metrics_port)
        return
    if name == "prober":
        if config is None:
            raise ConfigError("the prober needs a list of what to check: --config FILE")
        probes = prober.load_probes(config)
        work: Callable[[EventProducer, Instance], None] = partial(_probe, probes)
    else:
        if path is None or not service:
            raise ConfigError("access-log needs --path FILE and --service ID")
        log, mapper = path, LogMapper(service, team, visitor_salt(settings.data_dir), bots=bots)
        work = partial(_follow, log, mapper, host or socket.gethostname())
    with running(settings, worker=False) as instance:
        producer = EventProducer(instance.bootstrap, settings=instance.kafka_settings, client_id=f"csf-{name}")
        try:
            work(producer, instance)
        finally:
            producer.close()


def _on_stop(stop: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop())


def _complain(text: str) -> None:
    say(f"csf: {text}", err=True)


def _probe(probes: list[prober.Probe], producer: EventProducer, _instance: Instance) -> None:
    """Check until stopped; while the brokers do not answer, results wait in memory."""
    outbox = Outbox(producer, _complain)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

        def tell(key: str, event: OutEvent) -> None:
            outbox.put(event_topic(TYPES[event.type][0]), key, event)

        await prober.run(probes, tell, stop)

    say(f"checking {counted(len(probes), 'endpoint')}; stop with Ctrl-C")
    try:
        asyncio.run(main())
    finally:
        left = outbox.close()
        if left:
            _complain(f"{left} events could not be sent")


def _follow(path: Path, mapper: LogMapper, host: str, producer: EventProducer, instance: Instance) -> None:
    """Send what a log gains, until stopped."""
    stop = threading.Event()
    _on_stop(stop.set)
    follower = LogFollower(path, mapper, producer, host)
    place = place_from(read_cursors(instance.bootstrap, instance.kafka_settings).get(follower.source))
    there = "" if path.exists() else ", which is not there yet"
    say(f"following {path}{there}; stop with Ctrl-C")
    follower.run(place, stop, _complain)
