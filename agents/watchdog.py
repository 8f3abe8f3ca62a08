"""The watchdog: a worker that stands still in spite of work ends, so that its supervisor starts it again."""

from __future__ import annotations

import asyncio
import time

from agents.context import EXIT_STALLED, INGEST, ROLLUP, Context
from pipeline.topics import PARTIALS

#: Recovering state may take this many times longer than a stall before the process ends.
_RECOVERY_PATIENCE = 5
_RECOVERY = "recovery"


class Watchdog:
    """Judges liveness by progress: of recovery, of ingest and of rollup, each on its own."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        now = time.monotonic()
        self._moved_at = {_RECOVERY: now, INGEST: now, ROLLUP: now}
        self._done = dict.fromkeys(self._moved_at, -1)

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
                    reason = f"{name}: no progress for {now - moved_at:.0f} s in spite of work"
                    await self._ctx.halt(f"{reason}; this worker ends to be started again", EXIT_STALLED)
            await asyncio.sleep(every)

    async def _look(self) -> None:
        """Note progress; to have nothing to do, or to wait for a store or broker that is away, is progress too."""
        ctx = self._ctx
        done = {_RECOVERY: ctx.table.progress, **ctx.done}
        idle = await self._idle()
        now = time.monotonic()
        for name, number in done.items():
            if number != self._done[name] or name in idle:
                self._done[name], self._moved_at[name] = number, now

    async def _idle(self) -> set[str]:
        """Return the parts that have nothing to do, or can do nothing now."""
        ctx = self._ctx
        if not ctx.table.ready.is_set():
            return {INGEST, ROLLUP}
        try:
            progress = await ctx.progress()
        except ConnectionError as e:
            ctx.problems["broker"] = str(e)
            return {_RECOVERY, INGEST, ROLLUP}
        ctx.problems.pop("broker", None)
        idle = {_RECOVERY}
        to_roll_up = progress.lag.get(PARTIALS, 0)
        if progress.total == to_roll_up:
            idle.add(INGEST)
        if "store" in ctx.problems or not (to_roll_up or progress.pending):
            idle.add(ROLLUP)
        return idle
