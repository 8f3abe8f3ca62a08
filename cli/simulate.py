"""``csf simulate``: an organisation that does not exist, 13 months back and live, with the figures it must give."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

import click
import msgspec

from cli.embedded.instance import Instance, running
from cli.output import say
from cli.settings import load_settings
from connectors.control import close_month
from connectors.simulator import catalogue_dir
from connectors.simulator.emit import Item
from connectors.simulator.organisation import ZONE
from connectors.simulator.story import MONTHS
from connectors.simulator.telling import Cursor, Progress, load_cursor, month_closed, tell_history
from connectors.simulator.truth import truth
from connectors.simulator.world import World
from pipeline.errors import ConfigError

#: The world of ``csf up``'s demo.
DEFAULT_SEED = 7
_CURSOR = "simulator.json"


@click.command()
@click.option("--seed", default=DEFAULT_SEED, show_default=True, help="Which world: the same seed, the same events.")
@click.option("--months", default=MONTHS, show_default=True, type=click.IntRange(0, MONTHS), help="Finished months.")
@click.option("--now", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="End of history [default: the clock].")
@click.option("--history/--no-history", default=True, show_default=True, help="Tell what happened before now.")
@click.option("--live", is_flag=True, help="Go on telling what happens, until stopped.")
@click.option("--speed", default=0.0, help="Behind the clock: seconds of the world a second [0: at once].")
@click.option("--bootstrap", help="Kafka to tell it to, host:port.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Data directory of csf up.")
@click.option("--out", type=click.Path(path_type=Path), help="Write history as JSON lines here (-: stdout).")
@click.option("--truth", "truth_file", type=click.Path(path_type=Path), help="Write the figures it must give (JSON).")
def simulate(
    seed: int,
    months: int,
    now: Any,
    history: bool,
    live: bool,
    speed: float,
    bootstrap: str | None,
    data_dir: Path | None,
    out: Path | None,
    truth_file: Path | None,
) -> None:
    """Simulate an organisation: 13 months of events of all eight CSFs, then live ones.

    Events go to Kafka (--bootstrap, or the one that runs in --data-dir), or to a file (--out). The catalogue that
    names its services is in connectors/simulator/catalogue.
    """
    to_kafka = bootstrap is not None or data_dir is not None
    if not (to_kafka or out or truth_file):
        raise ConfigError("csf simulate: nothing to do; name --bootstrap or --data-dir, --out, or --truth")
    if out and (to_kafka or live):
        raise ConfigError("csf simulate: --out writes history to a file; leave out --bootstrap, --data-dir and --live")
    if speed < 0:
        raise ConfigError(f"csf simulate: --speed is {speed:g}; it must be 0 (at once) or more")
    cursor_path = None if data_dir is None else data_dir / _CURSOR
    cursor = _cursor(cursor_path, seed, months, int(now.timestamp()) if now else None)
    if truth_file:
        _write(truth_file, msgspec.json.format(msgspec.json.encode(truth(cursor.world()), order="sorted"), indent=1))
        say(f"The figures of the world are in {truth_file}.", err=True)
    if out and history:
        n = _to_file(cursor.world(), out)
        say(f"{n:,} events are in {out}.", err=True)
    if to_kafka:
        settings = load_settings(None, data_dir=data_dir, bootstrap=bootstrap)
        settings = replace(settings, catalogue_dir=settings.catalogue_dir or catalogue_dir())
        with running(settings, worker=True, say=partial(say, err=True)) as instance:
            _to_kafka(cursor, cursor_path, instance, history, live, speed)
            if instance.children:  # a worker of ours stops with us: let it finish
                say("Waiting until everything is counted ...", err=True)
                instance.wait_until_caught_up()


def _cursor(path: Path | None, seed: int, months: int, now: int | None) -> Cursor:
    """Return where the world is: as kept in the data directory, else at its anchor."""
    kept = load_cursor(path) if path else None
    if kept is not None:
        if kept.seed != seed:
            raise ConfigError(
                f"{path}: holds the world of seed {kept.seed}, not {seed}; use that seed or another --data-dir"
            )
        return kept
    anchor = int(time.time()) if now is None else now
    return Cursor(seed, anchor, anchor, months)


def _keep(cursor: Cursor, path: Path) -> None:
    """Write down which world it is before it is told: told again after a crash, it must be the same one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f"{path.parent}: cannot be made ({e.strerror}); name another --data-dir") from e
    cursor.save(path)


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    """Show a progress bar on standard error."""
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:
        shown = 0

        def progress(share: float, _events: int) -> None:
            nonlocal shown
            bar.update(int(share * 1000) - shown)
            shown = int(share * 1000)

        yield progress


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as e:
        raise ConfigError(f"{path}: cannot be written ({e.strerror}); name a file in a directory that is there") from e


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdout.buffer
        return
    try:
        file = path.open("wb")
    except OSError as e:
        raise ConfigError(f"{path}: cannot be written ({e.strerror}); name a file in a directory that is there") from e
    with file:
        yield file


def _to_file(world: World, path: Path) -> int:
    """Write history as JSON lines, each month with the event that closes it; return how many were written."""
    closed = 0
    with _opened(path) as file, _bar("History") as progress:

        def take(item: Item) -> None:
            file.write(item[5] + b"\n")

        def end_month(label: str) -> None:
            nonlocal closed
            closed += 1
            file.write(month_closed(world, label) + b"\n")

        return tell_history(world, take, end_month, progress) + closed


def _to_kafka(
    cursor: Cursor, cursor_path: Path | None, instance: Instance, history: bool, live: bool, speed: float
) -> None:
    from connectors.simulator.run import produce_history, run_live  # noqa: PLC0415 - files need no Kafka

    bootstrap, kafka = instance.bootstrap, instance.kafka_settings

    def end_month(label: str) -> None:
        close_month(bootstrap, label, ZONE, kafka)

    if cursor_path and load_cursor(cursor_path) is None:
        _keep(cursor, cursor_path)
    if history:
        with _bar("History") as progress:
            n = produce_history(bootstrap, cursor.seed, cursor.anchor, progress, end_month, cursor.months, kafka)
        say(f"{n:,} events were told to {bootstrap}.", err=True)
    if live:
        stop = Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stop.set())
        say("Live: stop with Ctrl-C.", err=True)
        run_live(bootstrap, cursor.seed, cursor_path, stop, cursor.anchor, cursor.months, speed, kafka)
