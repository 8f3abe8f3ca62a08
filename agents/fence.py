"""Noticing that this process stood still, before it writes what is no longer its own."""

from __future__ import annotations

import threading
import time

_BEAT_S = 0.25


class Pulse:
    """A thread that beats; a gap between beats as long as the session means that the broker gave up on us.

    Args:
        session_s: the session timeout; half a second is taken off for the way to the broker.
    """

    def __init__(self, session_s: float) -> None:
        self._limit = max(0.5, session_s - 0.5)
        self._last = time.monotonic()
        self._gap = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="csf-pulse", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._end.wait(_BEAT_S):
            self._note()

    def _note(self) -> None:
        now = time.monotonic()
        if now - self._last > self._limit:
            self._gap = True
        self._last = now

    def stopped(self) -> bool:
        """Return whether the process stood still for a session since the last ``forgive``."""
        self._note()
        return self._gap

    def forgive(self) -> None:
        """Forget gaps: the broker has just assigned partitions to this worker."""
        self._last = time.monotonic()
        self._gap = False

    def close(self) -> None:
        """End the thread."""
        self._end.set()
