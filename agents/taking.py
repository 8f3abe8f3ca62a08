"""Taking batches: the loop that every agent of ours is, and the engines that it holds by partition."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from agents.context import Context
from agents.tables import StaleAssignment, StateTable
from agents.transport import Batch
from pipeline.errors import CsfError

_log = logging.getLogger(__name__)

#: Changed cells of all partitions that wait at most, about 1 kB each: a history, which changes ever other ones, is flushed
#: as it comes.
MOST_CELLS = 100_000
#: What waits is flushed within this, seconds, when the partitions are given away; else it is read again.
_FINISH_S = 2.0

At = TypeVar("At", bound=Hashable)
E = TypeVar("E")


class BatchAgent(ABC):
    """Takes the batches of its topics, one after the other; what it cannot handle ends the process, it is never skipped."""

    #: what it does, as logs and reasons for an end say it
    name: str

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self, stream: Any) -> None:
        """Take batches for ever."""
        async for event in stream.noack().events():
            await self._safely(event, self._take(event))
            await self._safely(event, self._taken(stream.channel.queue))

    async def _safely(self, event: Any, work: Awaitable[None]) -> None:
        """Do work on a batch; what fails for another reason than a lost partition ends the process."""
        try:
            await work
        except StaleAssignment as e:
            _log.info("batch dropped, it will be read again: %s", e)
        except CsfError as e:
            await self._ctx.halt(str(e))
        except Exception as e:
            _log.exception("%s failed", self.name)
            await self._ctx.halt(f"{self.name} cannot handle {event.message.topic}/{event.message.partition}: {e!r}")

    async def _take(self, event: Any) -> None:
        """Lead one batch through, once the state of its partition is there, if that is still this worker's."""
        await self._ctx.table.ready.wait()
        if self._ctx.owns(event.message):
            await self._batch(event, event.message.value, self._ctx.table.epoch)

    async def _taken(self, queue: asyncio.Queue[Any]) -> None:  # noqa: B027 # most have nothing to do then
        """Do what is to be done once a batch was taken; the queue holds those that wait."""

    @abstractmethod
    async def _batch(self, event: Any, batch: Batch, epoch: int) -> None:
        """Lead a batch through, in the epoch in which it was taken."""

    def _still_ours(self, epoch: int) -> None:
        """Raise StaleAssignment where the partitions of an epoch may be another worker's by now."""
        if epoch != self._ctx.table.epoch or self._ctx.pulse.stopped():
            raise StaleAssignment("this worker's partitions may have been given away")

    async def _follows(self, batch: Batch, position: int) -> None:
        """End the process where messages between the state and a batch did not arrive: they would be lost."""
        if batch.previous is not None and batch.previous > position:
            await self._ctx.halt(
                f"{batch.topic}/{batch.partition}: what lies after offset {position} did not arrive; starting again"
            )


@dataclass
class Unflushed:
    """What an engine folded since its last flush.

    Attributes:
        at: topic and partition.
        epoch: in which it was taken.
        event: the newest batch of it: acknowledging it acknowledges all.
        cells: returns how many cells it changed.
        since: when the first of it was folded, monotonic seconds.
        letters: dead letters of events that the engine failed on.
        folding_s: how long folding it took.
    """

    at: tuple[str, int]
    epoch: int
    event: Any
    cells: Callable[[], int]
    since: float
    letters: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    folding_s: float = 0.0


class GatheringAgent(BatchAgent):
    """Flushes what several batches of a partition changed at once, while more of them wait.

    A flush costs by the cells it touches, not by the events that touched them. So while there is more to fold, what was
    folded waits a while; once there is not, it is flushed at once. Offsets are acknowledged after the flush, as ever.

    Attributes:
        live_s, behind_s: how long it waits at most, seconds: of a worker that keeps up, and of one that is behind, whose
            values are older than that anyway.
    """

    live_s, behind_s = 0.25, 4.0

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        #: held while messages are folded and flushed
        self._lock = asyncio.Lock()
        self._unflushed: dict[tuple[str, int], Unflushed] = {}

    async def _take(self, event: Any) -> None:
        await self._ctx.table.ready.wait()
        async with self._lock:
            await super()._take(event)

    def _folded(
        self, event: Any, epoch: int, cells: Callable[[], int], seconds: float,
        letters: Iterable[tuple[bytes, bytes | None]] = (),
    ) -> None:  # fmt: skip
        """Note that a batch was folded, to be flushed."""
        message = event.message
        at = (message.topic, message.partition)
        waiting = self._unflushed.get(at)
        if waiting is None or waiting.epoch != epoch:
            waiting = self._unflushed[at] = Unflushed(at, epoch, event, cells, time.monotonic())
        waiting.event = event
        waiting.letters += letters
        waiting.folding_s += seconds

    async def _taken(self, queue: asyncio.Queue[Any]) -> None:
        await asyncio.sleep(0)  # who waited for room in the queue fills it
        async with self._lock:
            if queue.empty():
                await self._flush_all()
                return
            most_s = self.behind_s if self._ctx.backlog else self.live_s
            cells = sum(waiting.cells() for waiting in self._unflushed.values())
            for at, waiting in list(self._unflushed.items()):
                if cells > MOST_CELLS or time.monotonic() - waiting.since > most_s:
                    cells -= waiting.cells()
                    await self._flush_of(at)

    async def _flush_all(self) -> None:
        for at in list(self._unflushed):
            await self._flush_of(at)

    async def _flush_of(self, at: tuple[str, int]) -> None:
        """Flush what waits of a partition, if anything does; what was taken in an earlier epoch is read again."""
        waiting = self._unflushed.pop(at, None)
        if waiting is not None and waiting.epoch == self._ctx.table.epoch:
            await self._flush(waiting)

    @abstractmethod
    async def _flush(self, waiting: Unflushed) -> None:
        """Make durable what was folded, and let it be acknowledged."""

    async def finish(self) -> None:
        """Flush what waits: the partitions are about to be given away."""

        async def flush() -> None:
            with suppress(CsfError):  # the next owner reads it again
                async with self._lock:
                    await self._flush_all()

        if self._unflushed and not self._ctx.ended.is_set():
            await asyncio.wait({asyncio.create_task(flush())}, timeout=_FINISH_S)


class Held(Generic[At, E]):
    """Engines, each held for as long as the state of its partition stays in memory."""

    def __init__(self, table: StateTable) -> None:
        self._table = table
        #: with the epoch since which the state has been in memory
        self._engines: dict[At, tuple[int, int, E]] = {}
        self._epoch = -1

    def renew(self) -> bool:
        """Forget the engines of partitions that were given away; return whether there was an assignment since."""
        table = self._table
        if self._epoch == table.epoch:
            return False
        self._engines = {at: held for at, held in self._engines.items() if held[1] == table.since(held[0])}
        self._epoch = table.epoch
        return True

    def get(self, at: At, partition: int, make: Callable[[], E]) -> E:
        """Return the engine there is, or one made from what the last recovery found."""
        self.renew()
        held = self._engines.get(at)
        if held is None:
            held = self._engines[at] = partition, self._table.since(partition), make()
        return held[2]

    def all(self) -> list[E]:
        """Return all that are held."""
        return [engine for _, _, engine in self._engines.values()]
