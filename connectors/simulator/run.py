"""What ``csf up`` and ``csf simulate`` call: the world into Kafka."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from connectors.producer import EventProducer
from connectors.simulator.story import MONTHS
from connectors.simulator.telling import Batches, Cursor, Progress, load_cursor, tell_history, tell_live
from connectors.simulator.world import World
from pipeline.errors import ConfigError


def _quiet(_share: float, _events: int) -> None:
    """Show no progress."""


def produce_history(
    bootstrap: str,
    seed: int,
    now: int,
    progress: Progress | None = None,
    close_month: Callable[[str], None] | None = None,
    months: int = MONTHS,
    settings: dict[str, Any] | None = None,
) -> int:
    """Tell a world's history to Kafka, in order of time; running it again changes nothing, its ids are the same.

    Args:
        bootstrap: Kafka, ``host:port``.
        seed: chooses the world.
        now: the anchor: history ends here. The caller keeps it, a second start must name the same.
        progress: called with the share of the time told (0 to 1) and the events so far.
        close_month: called with each finished month (``2026-05``) when all its events are stored, before the next.
        months: finished months before the one that holds ``now``.
        settings: further keyword arguments for kafka-python (security).

    Returns:
        The number of events.

    Raises:
        ServiceUnavailable: Kafka does not answer.
    """
    world = World(seed, now, months)
    producer = EventProducer(bootstrap, settings=settings)
    batches = Batches(producer)

    def end_month(label: str) -> None:
        batches.flush()
        if close_month:
            close_month(label)

    try:
        n = tell_history(world, batches.add, end_month, progress or _quiet)
        batches.flush()
    finally:
        producer.close()
    return n


def run_live(
    bootstrap: str,
    seed: int,
    cursor_path: Path | None,
    stop: Event,
    anchor: int | None = None,
    months: int = MONTHS,
    speed: float = 0.0,
    settings: dict[str, Any] | None = None,
) -> None:
    """Tell what happens from where the world was left, every second, until ``stop`` is set (blocks).

    The file holds which world it is and until when it was told; where there is none, the world of ``anchor`` begins
    to live at the anchor. Without a file no place is kept. ``settings`` are further keyword arguments for
    kafka-python.

    Raises:
        ConfigError: the file is of another world, or neither file nor anchor is there.
        ServiceUnavailable: Kafka does not answer.
    """
    cursor = load_cursor(cursor_path) if cursor_path else None
    if cursor is None:
        if anchor is None:
            raise ConfigError(f"{cursor_path}: no world lives there yet; produce its history first, or name its anchor")
        cursor = Cursor(seed, anchor, anchor, months)
    if cursor.seed != seed or (anchor is not None and cursor.anchor != anchor):
        raise ConfigError(
            f"{cursor_path}: is of the world of seed {cursor.seed} anchored at {cursor.anchor}; "
            "use these, or remove the file and the data of that world"
        )
    producer = EventProducer(bootstrap, settings=settings)
    try:
        tell_live(cursor, cursor_path, producer, stop, speed=speed)
    finally:
        producer.close()
