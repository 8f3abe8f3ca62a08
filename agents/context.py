"""What the parts of one worker share: settings, table, progress, health, and the way to end the process."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from faust.types import TP

from agents.config import WorkerConfig
from agents.fence import Pulse
from agents.metrics import Metrics
from agents.tables import StateTable
from pipeline.engine.plan import Plan
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import ALERT_INPUTS, PARTIALS

_log = logging.getLogger(__name__)

#: Topics whose messages are acknowledged, and so have a lag.
SOURCE_TOPICS = (*EVENT_TOPICS, PARTIALS, ALERT_INPUTS)
#: The agents.
INGEST, ROLLUP, ALERTING = "ingest", "rollup", "alerting"
_AGENT_OF = {PARTIALS: ROLLUP, ALERT_INPUTS: ALERTING}
EXIT_FAILED = 1
EXIT_STALLED = 70
_HIGHWATERS_AGE_S = 0.3
#: A backlog is over when no event that waited was folded for this long, seconds.
_BACKLOG_LASTS_S = 3.0


@dataclass
class Progress:
    """How far the worker is behind.

    Attributes:
        lag: messages of owned partitions not yet acknowledged, by topic.
        pending: values still to be evaluated or written.
        positions: next offset to acknowledge of every owned partition, ``topic/partition``.
        ends: the offset behind the last message of the same, read after ``positions``.
        recovered: state is recovered and partitions are being read.
    """

    lag: dict[str, int]
    pending: int
    positions: dict[str, int]
    ends: dict[str, int]
    recovered: bool

    @property
    def total(self) -> int:
        """Messages not yet acknowledged, over all topics."""
        return sum(self.lag.values())

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in Kafka is in the store."""
        return self.recovered and not self.total and not self.pending


@dataclass
class Context:
    """One worker's shared state."""

    config: WorkerConfig
    plan: Plan
    app: Any
    table: StateTable
    pulse: Pulse
    metrics: Metrics = field(default_factory=Metrics)
    started: float = field(default_factory=time.time)
    #: problems by name, for /readyz and /healthz; those of ``red`` make the worker unhealthy
    problems: dict[str, str] = field(default_factory=dict)
    red: set[str] = field(default_factory=set)
    #: grows with everything that an agent finishes: what the watchdog watches
    done: dict[str, int] = field(default_factory=lambda: {INGEST: 0, ROLLUP: 0, ALERTING: 0})
    #: when (monotonic) an event was last folded that had waited for long
    waited_at: float = -math.inf
    #: next offset to acknowledge, a partition
    acked: dict[TP, int] = field(default_factory=dict)
    #: calls of the store that returned, and whether one is under way
    store_calls: int = 0
    store_busy: bool = False
    exit_code: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    pending: Any = None
    #: awaited before partitions are given away
    finish: Callable[[], Awaitable[None]] | None = None
    _highwaters: dict[TP, int] = field(default_factory=dict)
    _earliest: dict[TP, int] = field(default_factory=dict)
    _asked_at: float = 0.0
    _last: Progress | None = None

    def fatal(self, reason: str, code: int = EXIT_FAILED) -> None:
        """End the process: the first reason is the one that is shown."""
        if not self.ended.is_set():
            self.exit_code = code
            _log.critical("%s", reason)
            self.ended.set()

    async def halt(self, reason: str, code: int = EXIT_FAILED) -> NoReturn:
        """End the process, and never return to the loop that would acknowledge."""
        self.fatal(reason, code)
        await asyncio.Event().wait()
        raise AssertionError

    @property
    def backlog(self) -> bool:
        """Whether events wait: values are worked out less often then, for more events at once."""
        return time.monotonic() - self.waited_at < _BACKLOG_LASTS_S

    def owns(self, message: Any) -> bool:
        """Return whether a message was fetched in the assignment that holds now."""
        return bool(message.generation_id == self.app.consumer_generation_id)

    def acknowledge(self, event: Any) -> None:
        """Acknowledge a message: it and all before it of its partition are done."""
        event.ack()
        self.acked[event.message.tp] = event.message.offset + 1
        self.done[_AGENT_OF.get(event.message.topic, INGEST)] += 1

    def partitions(self) -> set[TP]:
        """Return the source partitions this worker owns; none while it recovers."""
        return self.assigned() if self.table.ready.is_set() else set()

    def assigned(self) -> set[TP]:
        """Return the source partitions that are assigned, recovered or not."""
        return {tp for tp in self.app.consumer.assignment() if tp.topic in SOURCE_TOPICS}

    def forget_assignment(self) -> None:
        """Forget what is known of partitions: a rebalance begins."""
        self.acked.clear()
        self._highwaters, self._earliest, self._last = {}, {}, None
        self.metrics.forget_partitions()

    async def progress(self, *, fresh: bool = False) -> Progress:
        """Return how far this worker is behind, at most ``_HIGHWATERS_AGE_S`` old, or as of now if ``fresh``.

        What is acknowledged is read before the ends of the logs are: what ingest says to rollup in between then
        counts as lag, so a worker never seems to have caught up when it has not.

        Raises:
            ConnectionError: the broker does not answer.
        """
        if not fresh and self._last is not None and time.monotonic() - self._asked_at < _HIGHWATERS_AGE_S:
            return self._last
        owned = self.partitions()
        consumer = self.app.consumer
        if not owned:
            return Progress({}, 0, {}, {}, recovered=False)
        pending = self.pending() if self.pending is not None else 0
        acked = dict(self.acked)
        committed = {tp: consumer._committed_offset.get(tp) or 0 for tp in owned}
        try:
            if self._earliest.keys() != owned:
                self._earliest = dict(await asyncio.wait_for(consumer.earliest_offsets(*owned), 10))
            highwaters = await asyncio.wait_for(consumer.highwaters(*owned), 10)
        except Exception as e:
            raise ConnectionError(f"the broker does not tell the ends of the logs: {e!r}") from e
        lag = dict.fromkeys(SOURCE_TOPICS, 0)
        positions, ends = {}, {}
        for tp in owned:
            at, end = acked.get(tp, max(committed[tp], self._earliest.get(tp) or 0)), highwaters.get(tp) or 0
            lag[tp.topic] += max(0, end - at)
            positions[f"{tp.topic}/{tp.partition}"], ends[f"{tp.topic}/{tp.partition}"] = at, end
        self._last = Progress(lag, pending, positions, ends, recovered=True)
        self._asked_at = time.monotonic()
        return self._last
