"""Pull connectors: tried and run as a configuration says."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import prometheus_client

from cli import filing
from cli.embedded.instance import Instance, running
from cli.output import counted, say
from cli.settings import Settings
from cli.sharing import sharing
from connectors.cursors import read_cursors
from connectors.engine.config import Connector, Entry, find_entry, load_entries
from connectors.engine.load import shipped
from connectors.engine.run import Runner, Stopped
from connectors.engine.share import Share
from connectors.engine.stats import Stats
from connectors.engine.telling import StateTeller
from connectors.engine.trial import Trial, trials
from connectors.objects.load import NAME as FILES
from connectors.opening import prepare_any
from connectors.producer import EventProducer
from connectors.sql.load import shipped_sql
from pipeline.errors import ConfigError

_CONFIG = "connectors.yaml"


@dataclass(frozen=True)
class How:
    """How a connector runs: once or until stopped, from when on, with metrics or without."""

    once: bool = False
    since: datetime | None = None
    metrics_port: int | None = None


def _entry_of(name: str, config: Path | None, settings: Settings) -> tuple[Entry, Path]:
    """Return the entry that a name, or a folder of one's own, stands for, and the file that holds it.

    Raises:
        ConfigError: there is none.
    """
    folder = Path(name)
    if config is None and ("/" in name or name == ".") and folder.is_dir():
        return _only_one(folder / _CONFIG)
    path = config or settings.connectors_path
    named = {entry.name for entry in load_entries(path)} if path.is_file() else set()
    if name not in named and name in {*shipped(), *shipped_sql(), FILES}:
        raise ConfigError(
            f"{path}: configures no connector '{name}'; {name} can be read once an entry of the file says connector: {name} "
            "(docs/connectors has examples): give that entry's name"
        )
    if not path.is_file():
        raise ConfigError(
            f"there is no connector '{name}': prober, access-log, webhook, or one that {path} names (--config names "
            "another file), or a folder such as ./mine/"
        )
    return find_entry(path, name), path


def _only_one(path: Path) -> tuple[Entry, Path]:
    """Return the only entry of the configuration in a folder."""
    if not path.is_file():
        raise ConfigError(
            f"{path}: there is no such file; it configures the connector of this folder: a list with one entry"
        )
    entries = load_entries(path)
    if len(entries) != 1:
        names = ", ".join(entry.name for entry in entries)
        raise ConfigError(f"{path}: has several connectors ({names}): name one, with --config {path}")
    return entries[0], path


def test(name: str, config: Path | None, settings: Settings) -> None:
    """Say of every stream whether it can be read, and show one event.

    Raises:
        Exit: 1 where one cannot.
    """
    entry, path = _entry_of(name, config, settings)
    if entry.connector == FILES:
        filing.test(entry, path, settings)
        return
    connector = _ready(entry, path)
    found = trials(connector, time.sleep)
    for trial in found:
        _tell(trial)
    if any(trial.problem for trial in found):
        raise click.exceptions.Exit(1)


def _ready(entry: Entry, path: Path) -> Connector:
    """Return a connector that can ask; attempts are not told one by one."""
    # the library's lines name no address and no reason; both are told once the last attempt has failed
    logging.getLogger("stamina").setLevel(logging.ERROR)
    return prepare_any(entry, path)


def _tell(trial: Trial) -> None:
    if trial.problem:
        say(f"{trial.stream}: cannot be read: {trial.problem}", err=True)
        for permission in trial.permissions:
            say(f"{trial.stream}: needs: {permission}", err=True)
        return
    if not trial.events and not trial.refused:
        held = (
            "the last seven days hold nothing" if trial.whole else "what was read of the last seven days makes no event"
        )
        say(f"{trial.stream}: can be read; {held}")
        if trial.nothing_at is not None:
            path, had = trial.nothing_at
            say(
                f"{trial.stream}: nothing was found at '{path}', though the answer has: {had}; if there should be records, "
                "correct the path 'records' of the declaration",
                err=True,
            )
    if trial.events:
        say(f"{trial.stream}: can be read; an event: {trial.events[0].decode()}")
    for why in trial.refused[:3]:
        say(f"{trial.stream}: a record that is no event: {why}", err=True)
    if trial.unnamed:
        say(f"{trial.stream}: services does not name: {', '.join(trial.unnamed[:20])}", err=True)


def run(name: str, config: Path | None, settings: Settings, how: How) -> None:
    """Run a connector of the configuration.

    Raises:
        CsfError: with ``once``: a stream could not be read; else: the start failed and ``startup`` says ``fail``.
    """
    entry, path = _entry_of(name, config, settings)
    if entry.connector == FILES:
        if how.since is not None:
            raise ConfigError(f"{path}: {entry.name}: --since has no meaning for files")
        filing.run(entry, path, settings, once=how.once, metrics_port=how.metrics_port)
        return
    connector = _ready(entry, path)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stats = Stats(connector.source)
    if how.metrics_port:
        prometheus_client.start_http_server(how.metrics_port, settings.http_host, stats.registry)
    with (
        running(settings, worker=False) as instance,
        closing(EventProducer(instance.bootstrap, settings=instance.kafka_settings, client_id=f"csf-{entry.name}")) as producer,
        sharing(connector.source, instance, settings, alone=how.once) as share,
    ):  # fmt: skip
        runner = _runner(connector, producer, instance, stats, stop, how, share)
        try:
            if how.once:
                runner.once()
            else:
                say(
                    f"reading {counted(len(connector.readings), 'stream')} of {connector.declaration.title}; stop with Ctrl-C"
                )
                runner.run()
        except Stopped:
            return
        finally:
            runner.client.close()


def _runner(
    connector: Connector, producer: EventProducer, instance: Instance, stats: Stats, stop: threading.Event, how: How,
    share: Share | None,
) -> Runner:  # fmt: skip
    since = how.since.replace(tzinfo=UTC) if how.since else None
    poll_s = connector.entry.poll_s or connector.declaration.poll_s
    teller = StateTeller(producer, stats, connector.declaration.title, None if how.once else poll_s)
    teller.remember(read_cursors(instance.bootstrap, instance.kafka_settings), [r.name for r in connector.readings])
    return Runner(
        connector, producer, instance.bootstrap, instance.kafka_settings, stats, stop,
        lambda text: say(f"csf: {text}", err=True), since, share, teller=teller,
    )  # fmt: skip
