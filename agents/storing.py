"""The KPI store as an agent uses it: in a thread of its own, so that a store that is slow holds up nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pipeline.stores.port import KpiStore

_CLOSE_S = 5.0


class StoreThread:
    """A store that is opened, used and closed by one thread only: SQLite asks for it."""

    def __init__(self, factory: Callable[[], KpiStore], name: str) -> None:
        self._factory = factory
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._store: KpiStore | None = None

    async def do(self, work: Callable[[KpiStore], None]) -> None:
        """Do something with the store, opened if it is not yet.

        Raises:
            StoreUnavailable: it is away.
            StoreRejected: it refuses what is written.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    def _do(self, work: Callable[[KpiStore], None]) -> None:
        if self._store is None:
            self._store = self._factory()
        work(self._store)

    async def close(self) -> None:
        """Close the store; one that hangs is left behind."""
        if self._store is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.do(lambda store: store.close()), _CLOSE_S)
        self._store = None
        self._thread.shutdown(wait=False)
