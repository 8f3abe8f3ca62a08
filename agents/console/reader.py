"""Reading the KPI store from the event loop: a few threads, a store each, and answers that are shared for a moment."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pipeline.stores.port import KpiStore

T = TypeVar("T")

_THREADS = 2
#: Answers kept at most; what is too old goes first.
_MOST_ANSWERS = 512


class StoreReader:
    """Runs synchronous reads in threads. Equal questions asked within ``ttl_s`` share one answer, or one failure.

    Args:
        store_factory: opens a store for reading; called at the first read of each of the few threads.
        clock: monotonic seconds.
    """

    def __init__(self, store_factory: Callable[[], KpiStore], clock: Callable[[], float] = time.monotonic) -> None:
        self._factory = store_factory
        self._clock = clock
        self._local = threading.local()
        self._opening = threading.Lock()
        self._stores: list[KpiStore] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="console")
        self._answers: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}
        #: answers given while newer ones are being read
        self._before: dict[Hashable, Any] = {}

    def _store(self) -> KpiStore:
        store: KpiStore | None = getattr(self._local, "store", None)
        if store is None:
            with self._opening:
                store = self._factory()
                self._stores.append(store)
            self._local.store = store
        return store

    async def read(self, question: Callable[[KpiStore], T]) -> T:
        """Return what ``question`` reads from a store, in a thread.

        Raises:
            StoreUnavailable, StoreRejected: as the store says.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: question(self._store()))

    async def shared(
        self, key: Hashable, ttl_s: float, question: Callable[[KpiStore], T], *, patient: bool = False
    ) -> T:
        """Return the answer to ``question``, at most ``ttl_s`` old; ``key`` says which questions are equal.

        Args:
            key: equal for equal questions.
            ttl_s: seconds.
            question: asked of a store, in a thread.
            patient: an older answer will do while a newer one is read: for what takes long and changes slowly.
        """
        now = self._clock()
        held = self._answers.get(key)
        if held is None or held[0] <= now:
            if patient and held is not None and _succeeded(held[1]):
                self._before[key] = held[1].result()
            task = asyncio.ensure_future(self.read(question))
            # a failure that nobody waits for any more (all viewers left) is no news
            task.add_done_callback(lambda t: t.cancelled() or t.exception())
            task.add_done_callback(lambda _: self._before.pop(key, None))
            self._forget_old(now)
            held = self._answers[key] = (now + ttl_s, task)
        if patient and key in self._before and not held[1].done():
            older: T = self._before[key]
            return older
        # one viewer that leaves does not end the read the others wait for
        answer: T = await asyncio.shield(held[1])
        return answer

    def _forget_old(self, now: float) -> None:
        if len(self._answers) < _MOST_ANSWERS:
            return
        for key, (until, task) in list(self._answers.items()):
            if until <= now and task.done():
                del self._answers[key]
        while len(self._answers) >= _MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]

    async def close(self) -> None:
        """Wait for running reads and close the stores."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        for store in self._stores:
            await asyncio.to_thread(store.close)
        self._stores = []


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
