"""The watchdog: a worker that stands still in spite of work ends, so that its supervisor starts it again."""

from __future__ import annotations

import asyncio
import time

from agents.context import EXIT_STALLED, Context

#: Recovering state may take this many times longer than a stall before the process ends.
_RECOVERY_PATIENCE = 5


class Watchdog:
    """Judges liveness by progress; ``stalled_s`` is for /healthz."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._done = -1
        self._moved_at = time.monotonic()

    @property
    def stalled_s(self) -> float:
        """Seconds without progress though there was work to do."""
        return time.monotonic() - self._moved_at

    async def run(self) -> None:
        """Look for ever."""
        every = min(5.0, self._ctx.config.stall_s / 4)
        while True:
            await self._look()
            limit = self._ctx.config.stall_s
            if not self._ctx.table.ready.is_set():
                limit *= _RECOVERY_PATIENCE
            if self.stalled_s > limit:
                await self._ctx.halt(
                    f"no progress for {self.stalled_s:.0f} s in spite of work; this worker ends to be started again",
                    EXIT_STALLED,
                )
            await asyncio.sleep(every)

    async def _look(self) -> None:
        """Note progress; having nothing to do, or waiting for a store or broker that is away, is progress too."""
        ctx = self._ctx
        done = ctx.work_done + ctx.table.progress
        waiting = "store" in ctx.problems
        if done != self._done or waiting:
            self._done, self._moved_at = done, time.monotonic()
            return
        if not ctx.table.ready.is_set():
            return
        try:
            progress = await ctx.progress()
        except ConnectionError as e:
            ctx.problems["broker"] = str(e)
            self._moved_at = time.monotonic()
            return
        ctx.problems.pop("broker", None)
        if progress.total == 0 and progress.pending == 0:
            self._moved_at = time.monotonic()
