"""How connectors are doing, as the API gives it: every stream with its state, those that need somebody first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.evaluate.sources import STATES, Judged
from pipeline.time.calendar import Calendar

#: Gives every stream with its state; blocks.
SourcesNow = Callable[[], Sequence[Judged]]
#: How long an answer is shared, seconds.
_FRESH_S = 2.0


def connectors_document(found: Sequence[Judged], calendar: Calendar, now: float) -> dict[str, Any]:
    """Return streams as the API gives them, at a time (epoch seconds)."""
    return {
        "counts": {state: sum(j.state == state for j in found) for state in STATES},
        "streams": [_row(judged, calendar, now) for judged in found],
    }


def _row(judged: Judged, calendar: Calendar, now: float) -> dict[str, Any]:
    stream = judged.stream

    def iso(at: float | None) -> str | None:
        return calendar.iso(int(at)) if at else None

    def since(at: float | None) -> float | None:
        return None if at is None else round(max(0.0, now - at), 1)

    counted = stream.started_at > 0
    return {
        "source": stream.source,
        "stream": stream.stream,
        "title": stream.title,
        "state": judged.state,
        "why": judged.why,
        "poll_s": stream.poll_s,
        "asked_at": iso(stream.asked_at),
        "success_at": iso(stream.success_at),
        "success_age_s": since(stream.success_at),
        "delivered_until": iso(stream.until),
        "lag_s": since(stream.until),
        "behind": judged.behind,
        "waits_until": iso(stream.waits_until) if judged.state == "waiting" else None,
        "error": stream.error,
        "error_at": iso(stream.error_at),
        "failures": stream.failures,
        "counted_since": iso(stream.started_at),
        "requests": stream.requests if counted else None,
        "rate_limit_waits": stream.waits if counted else None,
        "rate_limit_wait_s": round(stream.waited_s, 1) if counted else None,
        "events": stream.events if counted else None,
        "refused": stream.refused if counted else None,
        "truncated": stream.truncated,
        "truncated_at": iso(stream.truncated_at),
        "forgotten": stream.forgotten if counted else None,
        "unmapped": [{"id": name, "records": number} for name, number in sorted(stream.unmapped.items())],
    }


class Connectors:
    """Asks for the state of connectors in a thread of its own; viewers share an answer, or a failure.

    Args:
        sources: asks.
        clock: monotonic seconds.
    """

    def __init__(self, sources: SourcesNow, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources, self._clock = sources, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="connectors")
        self._answer: asyncio.Future[Sequence[Judged]] | None = None
        self._until = 0.0

    async def now(self) -> Sequence[Judged]:
        """Return every stream with its state.

        Raises:
            ServiceUnavailable: who knows does not answer.
        """
        if self._answer is None or (self._answer.done() and self._clock() >= self._until):
            self._answer = asyncio.get_running_loop().run_in_executor(self._thread, self._sources)
            self._answer.add_done_callback(self._answered)
        return await asyncio.shield(self._answer)

    def _answered(self, answer: asyncio.Future[Sequence[Judged]]) -> None:
        self._until = self._clock() + _FRESH_S
        if not answer.cancelled():
            answer.exception()  # a failure that nobody waits for any more is no news

    async def close(self) -> None:
        """Wait for what is being asked."""
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
