"""Connectors for files: tried and run as a configuration says."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import click
import prometheus_client

from cli.embedded.instance import running
from cli.output import say
from cli.settings import Settings
from cli.sharing import sharing
from connectors.access_log import visitor_salt
from connectors.cursors import read_cursors
from connectors.engine.config import Entry
from connectors.engine.share import Share
from connectors.engine.stats import Stats
from connectors.engine.telling import StateTeller
from connectors.objects.load import Files, prepare_files
from connectors.objects.read import STREAM, FilesReader, Sharing
from connectors.producer import EventProducer
from pipeline.errors import CsfError, ServiceUnavailable

_POLL_S = 30.0
#: A look that failed is repeated after this at the earliest and at the latest, seconds.
_SOONEST_S, _LATEST_S = 5.0, 300.0
_SHOWN = 5
#: How often it is told that the files are still looked at, seconds.
_TOLD_EVERY_S = 10.0


def _prepared(entry: Entry, path: Path, settings: Settings) -> Files:
    return prepare_files(entry, path, partial(visitor_salt, settings.data_dir))


def test(entry: Entry, path: Path, settings: Settings) -> None:
    """Say which files there are.

    Raises:
        Exit: 1 where the place cannot be read.
    """
    files = _prepared(entry, path, settings)
    try:
        found = list(islice(files.place.items(), _SHOWN + 1))
    except CsfError as e:
        say(f"{entry.name}: cannot be read: {files.secrets.hidden(str(e))}", err=True)
        raise click.exceptions.Exit(1) from None
    names = ", ".join(item.name for item in found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
    say(
        f"{entry.name}: can be read; holds {names or 'nothing that fits the pattern'}; brings {', '.join(files.form.types)}"
    )


def run(entry: Entry, path: Path, settings: Settings, *, once: bool, metrics_port: int | None) -> None:
    """Read what is there and what comes, until stopped; ``once``: what is there.

    Raises:
        CsfError: with ``once``, or at the start where ``startup`` says ``fail``: the place cannot be read.
    """
    files = _prepared(entry, path, settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stats = Stats(files.source)
    if metrics_port:
        prometheus_client.start_http_server(metrics_port, settings.http_host, stats.registry)
    with (
        running(settings, worker=False) as instance,
        closing(EventProducer(instance.bootstrap, settings=instance.kafka_settings, client_id=f"csf-{entry.name}")) as producer,
        sharing(files.source, instance, settings, alone=once) as share,
    ):  # fmt: skip
        teller = StateTeller(
            producer, stats, f"Files of {entry.options['place']}", None if once else entry.poll_s or _POLL_S
        )
        teller.remember(read_cursors(instance.bootstrap, instance.kafka_settings), [STREAM])

        def begin() -> FilesReader:
            kept = read_cursors(instance.bootstrap, instance.kafka_settings)
            return FilesReader(
                files.place, files.form, files.source, producer, stats, kept, stop, _complain, share=share
            )

        try:
            if once:
                _read_once(begin, files, stats)
                return
            say(f"reading files of {entry.options['place']}; stop with Ctrl-C")
            _follow(begin, files, stats, stop, teller, share)
        finally:
            if speaks(share, stats):
                teller.tell([STREAM], at_once=True, stopped=not once)


def speaks(share: Sharing | None, stats: Stats) -> bool:
    """Return whether this instance tells how the connector is doing: of several the one with the first share, and whoever fails."""
    return share is None or share.ours(0) or stats.of(STREAM).failures > 0


def _complain(text: str) -> None:
    say(f"csf: {text}", err=True)


def _read_once(begin: Callable[[], FilesReader], files: Files, stats: Stats) -> None:
    stats.turn(STREAM)
    try:
        reader = begin()
        reader.poll()
        reader.poll()  # what has not changed between two looks is not being written
    except CsfError as e:
        stats.failed(STREAM, files.secrets.hidden(str(e)))
        raise


def _follow(
    begin: Callable[[], FilesReader], files: Files, stats: Stats, stop: threading.Event, teller: StateTeller,
    share: Share | None,
) -> None:  # fmt: skip
    """Look again and again; after a failure, and where another share of the files is ours, from the cursors that are kept."""
    reader: FilesReader | None = None
    failures, succeeded = 0, False
    while not stop.is_set():
        wait = files.entry.poll_s or _POLL_S
        stats.turn(STREAM)
        try:
            if share is not None:
                share.beat(0)
                if reader is not None and reader.held != share.held():
                    reader = None
            reader = reader or begin()
            reader.poll()
            failures, succeeded = 0, True
        except CsfError as e:
            stats.failed(STREAM, files.secrets.hidden(str(e)))
            if files.entry.startup == "fail" and not succeeded:
                raise
            reader, failures = None, failures + 1
            wait = min(_LATEST_S, _SOONEST_S * 2 ** min(failures - 1, 10))
            _complain(f"{files.secrets.hidden(str(e))}; trying again in {wait:.0f} s")
        _rest(wait, stop, teller, share, stats)


def _rest(
    seconds: float, stop: threading.Event, teller: StateTeller, share: Share | None, stats: Stats
) -> None:  # fmt: skip
    """Wait so long, or until stopped or given another share of the files, and tell meanwhile how it is."""
    end = time.monotonic() + seconds
    held = share.held() if share is not None else None
    while not stop.is_set() and (left := end - time.monotonic()) > 0:
        if speaks(share, stats):
            teller.tell([STREAM])
        if share is None:
            stop.wait(min(left, _TOLD_EVERY_S))
            continue
        try:
            share.beat(min(left, 1.0))
        except ServiceUnavailable as e:
            _complain(f"{e}; trying again")
            stop.wait(min(left, _TOLD_EVERY_S))
        if share.held() != held:
            return
