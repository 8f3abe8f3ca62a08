"""A connector tells how its streams are doing: records in ``csf.cursors``, for the console and ``csf connector status``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from connectors.engine.outgoing import Sink
from connectors.engine.stats import Stats
from pipeline.errors import CsfError
from pipeline.sources import StreamState, state_from

#: What changed is told after so long at the earliest; that nothing did, after so long, seconds.
_SOONEST_S, _LATEST_S = 10.0, 60.0


class StateTeller:
    """Tells how the streams of one connector are doing.

    Args:
        sink: takes the records; they are sent with what it is handed next, or soon.
        stats: what is counted.
        title: what is read.
        poll_s: seconds between two polls; None: every stream is read once.
        clock: epoch seconds.
    """

    def __init__(
        self, sink: Sink, stats: Stats, title: str, poll_s: float | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._sink, self._stats, self._title, self._poll_s, self._clock = sink, stats, title, poll_s, clock
        self._started_at = clock()
        if poll_s is not None:
            stats.every(poll_s)
        #: what was told last of each stream, and when
        self._told: dict[str, tuple[StreamState, float]] = {}

    def remember(self, kept: dict[str, dict[str, Any]], streams: Iterable[str]) -> None:
        """Take from what is kept when streams were last read, by this connector's earlier runs."""
        for stream in streams:
            blank = StreamState(source=self._stats.source, stream=stream)
            before = state_from(kept.get(blank.key))
            if before is not None:
                figures = self._stats.of(stream)
                figures.success_at, figures.until = before.success_at, before.until

    def tell(self, streams: Iterable[str], *, at_once: bool = False, stopped: bool = False) -> None:
        """Tell of streams what changed, a few seconds after it did, and that they are still read, every minute.

        Brokers that take nothing are told of by the delivery that follows.

        Args:
            streams: which.
            at_once: what changed does not wait.
            stopped: the connector ends in order.
        """
        now = self._clock()
        for stream in streams:
            before, told_at = self._told.get(stream, (None, 0.0))
            if not at_once and now - told_at < _SOONEST_S:
                continue
            state = StreamState(
                source=self._stats.source, stream=stream, title=self._title, started_at=self._started_at,
                poll_s=self._poll_s, stopped=stopped, **msgspec.to_builtins(self._stats.of(stream)),
            )  # fmt: skip
            if state == before and now - told_at < _LATEST_S:
                continue
            try:
                self._sink.keep(state.key, msgspec.to_builtins(msgspec.structs.replace(state, told_at=now)))
            except CsfError:
                return
            self._told[stream] = (state, now)
