"""The watchdog: a worker that stands still in spite of work ends, so that its supervisor starts it again.

Every part of a worker that can stop without a word is judged by what it has done: recovery, ingest, rollup, commits, the
Kafka client's thread, the store's thread. A thread of its own judges the event loop, without which nobody else judges.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from faust.types import TP

from agents.context import ALERTING, EXIT_STALLED, INGEST, ROLLUP, Context, Progress
from agents.producing import kafka_producer
from pipeline.topics import ALERT_INPUTS, PARTIALS

_log = logging.getLogger(__name__)

#: Recovering state may take this many times longer than a stall before the process ends.
_RECOVERY_PATIENCE = 5
_RECOVERY, _COMMITS, _CLIENT, _STORE = "recovery", "commits", "client", "store"
_ANSWER_S = 5.0
_LOOP_LOOK_S = 0.5

#: In the order in which they are told: what lets others stand still comes before them.
_REASONS = {
    _CLIENT: "the Kafka client's thread does not answer, though the broker does",
    _RECOVERY: "no partition was assigned, or the changelog is not read",
    INGEST: "events wait and none is folded",
    ROLLUP: "partials wait and no value is written",
    ALERTING: "what alerting is told waits and is not taken",
    _COMMITS: "what is done is not committed",
    _STORE: "the KPI store does not return from a write",
}


class LoopDog:
    """Ends the process when its event loop is blocked: a thread counts its own looks at a loop that does not beat.

    Looks are counted, not seconds, so that a process that was paused is not taken for a blocked one.

    Args:
        limit_s: how long the loop may be blocked.
        end: told the exit code; in tests not the end of the process.
    """

    def __init__(self, limit_s: float, end: Callable[[int], None] = os._exit) -> None:
        self._limit = max(2, int(limit_s / _LOOP_LOOK_S))
        self._end = end
        self._beats = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="csf-watchdog", daemon=True)

    async def beat(self) -> None:
        """Beat for ever; the thread watches from the first beat on."""
        self._thread.start()
        try:
            while True:
                self._beats += 1
                await asyncio.sleep(_LOOP_LOOK_S / 2)
        finally:
            self._stopping.set()

    def _watch(self) -> None:
        seen, missed = -1, 0
        while not self._stopping.wait(_LOOP_LOOK_S):
            seen, missed = (self._beats, 0) if self._beats != seen else (seen, missed + 1)
            if missed >= self._limit:
                _log.critical(
                    "the event loop has been blocked for %.0f s; where each thread stands is written below; "
                    "this worker ends to be started again", missed * _LOOP_LOOK_S,
                )  # fmt: skip
                faulthandler.dump_traceback(sys.stderr, all_threads=True)
                self._end(EXIT_STALLED)
                return


class Watchdog:
    """Judges liveness by progress: of each part on its own."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        now = time.monotonic()
        self._moved_at = dict.fromkeys(_REASONS, now)
        self._done: dict[str, object] = dict.fromkeys(self._moved_at, -1)

    @property
    def stalled_s(self) -> float:
        """Seconds without progress of the part that stands still longest though it has work to do."""
        return time.monotonic() - min(self._moved_at.values())

    async def run(self) -> None:
        """Look for ever."""
        every = min(5.0, self._ctx.config.stall_s / 4)
        while True:
            await self._look()
            now = time.monotonic()
            for name, moved_at in self._moved_at.items():
                limit = self._ctx.config.stall_s * (_RECOVERY_PATIENCE if name == _RECOVERY else 1)
                if now - moved_at > limit:
                    _log_tasks()
                    reason = f"{name}: no progress for {now - moved_at:.0f} s in spite of work ({_REASONS[name]})"
                    await self._ctx.halt(f"{reason}; this worker ends to be started again", EXIT_STALLED)
            await asyncio.sleep(every)

    async def _look(self) -> None:
        """Note progress; to have nothing to do, or to wait for a store or broker that is away, is progress too."""
        ctx = self._ctx
        done: dict[str, object] = {
            _RECOVERY: ctx.table.progress, **ctx.done, _COMMITS: self._committed(), _CLIENT: None, _STORE: ctx.store_calls,
        }  # fmt: skip
        idle = await self._idle()
        if not ctx.store_busy:
            idle.add(_STORE)
        now = time.monotonic()
        for name, number in done.items():
            if number != self._done[name] or name in idle:
                self._done[name], self._moved_at[name] = number, now

    def _committed(self) -> dict[TP, int]:
        """Return the offsets that the broker has taken as committed."""
        committed = self._ctx.app.consumer.committed
        return {tp: committed.get(tp, -1) for tp in self._ctx.acked}

    async def _idle(self) -> set[str]:
        """Return the parts that have nothing to do, or can do nothing now."""
        ctx = self._ctx
        if not ctx.table.ready.is_set():
            return {INGEST, ROLLUP, ALERTING, _COMMITS, _CLIENT}
        try:
            progress = await ctx.progress()
        except ConnectionError as e:
            ctx.problems["broker"] = str(e)
            if await self._broker_answers():  # then it is our client that does not
                return {_RECOVERY}
            return {_RECOVERY, INGEST, ROLLUP, ALERTING, _COMMITS, _CLIENT}
        ctx.problems.pop("broker", None)
        return {_RECOVERY, _CLIENT} | self._without_work(progress)

    def _without_work(self, progress: Progress) -> set[str]:
        ctx, idle = self._ctx, set()
        to_roll_up = progress.lag.get(PARTIALS, 0)
        to_alert = progress.lag.get(ALERT_INPUTS, 0)
        if progress.total == to_roll_up + to_alert:
            idle.add(INGEST)
        if not to_alert:
            idle.add(ALERTING)
        if "store" in ctx.problems or not (to_roll_up or progress.pending):
            idle.add(ROLLUP)
        committed = self._committed()
        if all(committed[tp] >= at for tp, at in ctx.acked.items() if tp in committed):
            idle.add(_COMMITS)
        return idle

    async def _broker_answers(self) -> bool:
        """Return whether the broker answers on another connection than the consumer's: the producer's."""
        try:
            client = kafka_producer(self._ctx.app).client
            await asyncio.wait_for(client.fetch_all_metadata(), _ANSWER_S)
        except Exception:
            return False
        return True


def _log_tasks() -> None:
    """Write where each task stands into the log: what a stalled worker was waiting for."""
    lines = []
    for task in asyncio.all_tasks():
        stack = task.get_stack(limit=1)
        if stack:
            at = stack[-1]
            lines.append(
                f"{task.get_name()}: {at.f_code.co_filename.rpartition('/')[2]}:{at.f_lineno} {at.f_code.co_name}"
            )
    _log.critical("tasks when it stood still:\n  %s", "\n  ".join(sorted(lines)))
