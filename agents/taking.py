"""Taking batches: the loop that every agent of ours is, and the engines that it holds by partition."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from agents.context import Context
from agents.tables import StaleAssignment, StateTable
from agents.transport import Batch
from pipeline.errors import CsfError

_log = logging.getLogger(__name__)

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
            message = event.message
            try:
                await self._take(event)
            except StaleAssignment as e:
                _log.info("batch dropped, it will be read again: %s", e)
            except CsfError as e:
                await self._ctx.halt(str(e))
            except Exception as e:
                _log.exception("%s failed", self.name)
                await self._ctx.halt(f"{self.name} cannot handle {message.topic}/{message.partition}: {e!r}")

    async def _take(self, event: Any) -> None:
        """Lead one batch through, once the state of its partition is there, if that is still this worker's."""
        await self._ctx.table.ready.wait()
        if self._ctx.owns(event.message):
            await self._batch(event, event.message.value, self._ctx.table.epoch)

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
