"""``csf connector``: sources that run by themselves."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from cli.embedded.instance import running
from cli.imports import _salt
from cli.options import bootstrap_option, data_dir_option, format_option
from cli.output import print_rows
from cli.settings import Settings, load_settings
from connectors import prober
from connectors.access_log import LogMapper, Place, follow, parse_line
from connectors.producer import EventProducer
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.envelope import OutEvent
from pipeline.events.families import TYPES, event_topic

_KNOWN = {
    "prober": "checks HTTP and TCP endpoints: uptime.checked (--config FILE, a YAML list of url, service, interval ...)",
    "access-log": "follows an nginx or Apache log: page.viewed, request.measured (--path FILE --service ID)",
}


@click.group()
def connector() -> None:
    """Connectors: list and run them."""


@connector.command("list")
@format_option
def list_connectors(fmt: str) -> None:
    """List the connectors."""
    print_rows([{"name": n, "what": w} for n, w in _KNOWN.items()], ["name", "what"], fmt)


@connector.command()
@click.argument("name", type=click.Choice(list(_KNOWN)))
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The connector's settings.")
@data_dir_option
@bootstrap_option
@click.option("--path", type=click.Path(path_type=Path), help="access-log: the log to follow.")
@click.option("--service", help="access-log: whose log it is.")
@click.option("--team", help="access-log: registers the service where the catalogue does not name it.")
@click.option("--bots/--no-bots", default=True, help="access-log: machines' page views count.")
def run(
    name: str, config: Path | None, data_dir: Path | None, bootstrap: str | None, path: Path | None,
    service: str | None, team: str | None, bots: bool,
) -> None:  # fmt: skip
    """Run a connector until it is stopped."""
    settings = load_settings(None, data_dir=data_dir, bootstrap=bootstrap)
    with running(settings, worker=False) as instance:
        producer = EventProducer(instance.bootstrap, settings=instance.kafka_settings, client_id=f"csf-{name}")
        try:
            if name == "prober":
                if config is None:
                    raise ConfigError("the prober needs a list of what to check: --config FILE")
                _probe(prober.load_probes(config), producer)
            else:
                if path is None or not service:
                    raise ConfigError("access-log needs --path FILE and --service ID")
                mapper = LogMapper(service, team, _salt(settings), bots=bots)
                _follow(path, mapper, producer, settings, service)
        finally:
            producer.close()


def _on_stop(stop: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop())


def _probe(probes: list[prober.Probe], producer: EventProducer) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

        def tell(key: str, event: OutEvent) -> None:
            producer.send(event_topic(TYPES[event.type][0]), event, key=key)

        await prober.run(probes, tell, stop)

    click.echo(f"checking {len(probes)} endpoints; stop with Ctrl-C")
    asyncio.run(main())
    producer.flush()


def _follow(path: Path, mapper: LogMapper, producer: EventProducer, settings: Settings, service: str) -> None:
    """Send what a log gains; its cursor moves only once the brokers have acknowledged it."""
    stop = threading.Event()
    _on_stop(stop.set)
    cursor = settings.data_dir / f"access-log.{service}.json"
    place = _read_place(cursor)
    click.echo(f"following {path}; stop with Ctrl-C")
    for lines, behind in follow(path, place, stop):
        for at, raw in lines:
            hit = parse_line(raw.decode(errors="replace").rstrip("\n"))
            if hit is None:
                producer.bury("", "malformed-log-line", "not of the combined format", raw, file=path.name, offset=at)
                continue
            for event in mapper.events(hit, f"{place.inode}-{at}", f"access-log/{path.name}"):
                producer.add(event.topic, event.key, event.raw, source=path.name)
        while not stop.is_set():
            try:
                producer.flush()
                break
            except ServiceUnavailable as e:
                click.echo(f"{e}; trying again", err=True)
                stop.wait(2)
        else:
            return
        _write_place(cursor, behind)


def _read_place(path: Path) -> Place:
    try:
        return Place(**msgspec.json.decode(path.read_bytes()))
    except FileNotFoundError:
        return Place()
    except (OSError, msgspec.MsgspecError, TypeError):
        raise ConfigError(f"{path}: is no cursor; remove it to read the log from its start") from None


def _write_place(path: Path, place: Place) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode({"inode": place.inode, "offset": place.offset}))
    fresh.replace(path)
