"""The state table: a Faust table whose flushes are atomic a source partition, and fenced.

The working copy of the state lives in the engines; the table writes what changed to its changelog and, after a
rebalance, hands back what the changelog says. See ``agents.changelog`` for the rules.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import faust
from faust.stores.memory import Store as MemoryStore
from faust.types import TP
from yarl import URL

from agents import changelog
from agents.changelog import PartitionLog, Record, StateError
from agents.copies import Copies
from agents.fence import Pulse
from agents.flushing import Flushes
from agents.producing import kafka_producer, produce
from agents.topics import STATE_TABLE, changelog_topic
from pipeline.engine.state import STEPS, VERSION, Step
from pipeline.errors import CsfError

_log = logging.getLogger(__name__)


class StaleAssignment(CsfError):
    """The partition is another worker's now, or may be: what was folded is dropped and will be replayed."""


class ForkedState(CsfError):
    """Another worker wrote into a changelog partition that this one owns; the process must start again."""


class _Store(MemoryStore):  # type: ignore[misc]  # Faust is untyped for us
    """Reads the changelog for ``StateTable``; keeps nothing after recovery."""

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Apply batches of changelog records in offset order."""
        self.table.recover(batch)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Hand over to the table."""
        self.table.recovery_completed({tp.partition for tp in active_tps})
        await self.table.begin()

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the offset from which on the changelog is to be read: -1, its beginning, or where a copy stands.

        A worker that keeps a partition over a rebalance may have missed another owner in between, so what
        follows is always read.
        """
        return int(self.table.recovery_begins(tp.partition))


def restore(engine: Any, topic: str, partition: int, recovered: tuple[int, list[tuple[bytes, bytes]]]) -> None:
    """Give an engine the state of a source partition that recovery found.

    Raises:
        StateError: it is none that this version's engine writes.
    """
    collecting = gc.isenabled()
    gc.disable()  # millions of small objects are made and none is garbage: looking through them took a third of the time
    try:
        engine.restore(*recovered)
    except CsfError:
        raise
    except Exception as e:
        raise StateError(
            f"the state of {topic}/{partition} cannot be read ({type(e).__name__}: {e}); stop the workers and rebuild it "
            "from the archive: csf replay"
        ) from e
    finally:
        if collecting:
            gc.freeze()
            gc.enable()


class StateTable(faust.Table):  # type: ignore[misc]  # Faust is untyped for us
    """Durable state of source partitions: chunks, and the source position they stand at.

    Every (topic, partition) is flushed on its own; flushes into one changelog partition queue behind each other.
    """

    def __init__(
        self, app: Any, *, group: str, partitions: int, pulse: Pulse, timed: Callable[[float], None],
        version: int = VERSION, steps: Mapping[int, Step] = STEPS,
    ) -> None:  # fmt: skip
        super().__init__(
            app,
            name=STATE_TABLE,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            # batches of records, not records: two of them are enough (one is a special case in Faust)
            recovery_buffer_size=2,
        )
        #: grows with every rebalance; what was folded in an earlier one cannot be flushed
        self.epoch = 0
        #: set while the partitions are this worker's and their state is recovered and in the engines
        self.ready = asyncio.Event()
        #: what is done between recovery and ``ready``
        self.prepare: Callable[[], Awaitable[None]] | None = None
        #: grows with every batch recovered and every flush
        self.progress = 0
        #: the copies on this machine, if there are any
        self.copies = Copies()
        self._timed = timed
        self._version, self._steps = version, steps
        self.changelog_name = changelog_topic(group)
        self._pulse = pulse
        self._logs: dict[int, PartitionLog] = {}
        self._read_bytes = self._read_records = 0
        self._failed: StateError | None = None
        self._owned: set[int] = set()
        self._generation: dict[int, int] = {}
        self._claimed: set[int] = set()
        self._next: dict[int, int] = {}
        self._flushes: dict[tuple[str, int], Flushes] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        #: where the log of a partition ended when it was revoked: what is kept in memory holds if it ends there still
        self._left: dict[int, int] = {}
        #: partition → epoch since which its state has been in memory
        self._since: dict[int, int] = {}

    def _changelog_topic_name(self) -> str:
        return self.changelog_name

    def _new_store(self) -> _Store:
        return _Store(URL("memory://"), self.app, self, table_name=self.name, loop=self.loop)

    # --- losing and recovering partitions ---

    async def revoke(self) -> None:
        """Let no flush begin any more and wait for those that run: the next owner reads a settled log."""
        self.epoch += 1
        self.ready.clear()
        for lock in list(self._locks.values()):
            async with lock:
                pass
        await self.copy()
        self._left |= {partition: self._next[partition] for partition in self._owned}
        self._owned.clear()
        self._logs.clear()

    def recovery_begins(self, partition: int) -> int:
        """Return the last offset that need not be read, because a copy on this machine holds it; -1: none."""
        log = self.copies.load(partition, self._left.get(partition))
        if log is None:
            self._logs.pop(partition, None)
            return -1
        self._logs[partition] = log
        return log.last_offset

    def recover(self, batches: Iterable[Any]) -> None:
        """Take changelog batches; a bad record is kept for ``recovered`` (Faust swallows exceptions here)."""
        for event in batches:
            self.progress += 1
            message = event.message
            log = self._logs.setdefault(message.partition, PartitionLog())
            try:
                if log.bare and message.offset > log.last_offset:
                    log = self._logs[message.partition] = self._unbared(message.partition, log)
                for offset, key, value in message.value.records:
                    log.apply(offset, key, value)
                    self._read_bytes += len(value or b"")
                self._read_records += len(message.value.records)
            except StateError as e:
                self._failed = e
                self.copies.distrust(message.partition)

    def _unbared(self, partition: int, log: PartitionLog) -> PartitionLog:
        """Return a log with the chunks that were not needed while nobody else had written."""
        whole = self.copies.whole(partition)
        if whole is None or whole.last_offset != log.last_offset:
            raise StateError(f"the copy of the state of partition {partition} is gone; this worker must start again")
        return whole

    def distrust(self, why: str) -> None:
        """Let ``recovered`` fail: what was read of the changelog may have a hole."""
        self._failed = StateError(f"{why}; this worker ends to be started again")

    def recovery_completed(self, partitions: set[int]) -> None:
        """Take over the partitions: what their logs say is the state."""
        kept = set()
        self._claimed.clear()
        for partition in partitions:
            log = self._logs.pop(partition, None) or PartitionLog()
            ahead = any(flushes.ahead for flushes in self._of(partition).values())
            if log.on_hold:  # nothing is taken over, and no copy is made that would not know of the hold
                self._forget(partition)
                self._since[partition] = self.epoch + 1
                self._failed = StateError(
                    "csf replay is about to replace the state: this worker ends and goes on from the new one once that is "
                    "done; if no replay is running, it was broken off: run csf replay again"
                )
            elif self._left.get(partition) == log.last_offset + 1 and partition in self._since and not ahead:
                kept.add(partition)  # nobody wrote since it was revoked: what is in memory is the state
                if log.copied_to is None:  # the copy was of no use: it is made anew
                    log.finish()
                    self.copies.follow(partition, log)
            else:
                self._forget(partition)
                if log.bare:  # nobody wrote, but what is in memory went ahead of it
                    try:
                        log = self._unbared(partition, log)
                    except StateError as e:
                        self._failed = e
                self._take_over(partition, log)
            self._generation[partition] = log.generation + 1
            self._next[partition] = log.last_offset + 1
            self._locks.setdefault(partition, asyncio.Lock())
        for partition in self._since.keys() - partitions:
            self._forget(partition)
        self._left.clear()
        self._owned = partitions
        self.epoch += 1
        self._pulse.forgive()
        _log.info(
            "state recovered for partitions %s, kept for %s: %s changelog records, %.1f MB",
            sorted(partitions - kept), sorted(kept), self._read_records, self._read_bytes / 1e6,
        )  # fmt: skip
        self._read_bytes = self._read_records = 0

    async def begin(self) -> None:
        """Let the partitions be served once everything is prepared, unless they are given away meanwhile."""
        epoch = self.epoch
        if self.prepare is not None:
            await self.prepare()
        if epoch == self.epoch:
            self.ready.set()

    def _take_over(self, partition: int, log: PartitionLog) -> None:
        """Take the state of a partition from its log."""
        for topic, state in log.finish().items():
            self._flushes[(topic, partition)] = Flushes(topic, state)
        self.copies.follow(partition, log)
        self._since[partition] = self.epoch + 1

    def _forget(self, partition: int) -> None:
        """Forget what was in memory of a partition."""
        for topic in self._of(partition):
            del self._flushes[(topic, partition)]
        self._since.pop(partition, None)
        self.copies.forget(partition)

    def _of(self, partition: int) -> dict[str, Flushes]:
        """Return the flushes of all topics' partitions of a number."""
        return {topic: flushes for (topic, number), flushes in self._flushes.items() if number == partition}

    def _at(self, topic: str, partition: int) -> Flushes:
        """Return the flushes of a source partition, which may be new."""
        return self._flushes.setdefault((topic, partition), Flushes(topic))

    def since(self, partition: int) -> int:
        """Return the epoch since which a partition's state has been in memory; -1 where it is not this worker's.

        An engine that was restored in that epoch holds; one of before does not.
        """
        return self._since.get(partition, -1)

    def position(self, topic: str, partition: int) -> int:
        """Return the last offset of a source partition that durable state holds, -1 for none."""
        flushes = self._flushes.get((topic, partition))
        return -1 if flushes is None else flushes.position

    def ends_at(self, partition: int) -> int:
        """Return the offset behind the last changelog record of a partition that this worker has read or written."""
        return self._next[partition]

    def folding(self, topic: str, partition: int) -> None:
        """Note that an engine goes ahead of its flushed state, until ``flush`` is done."""
        self._at(topic, partition).ahead = True

    def nothing_to_flush(self, topic: str, partition: int) -> None:
        """Note that what an engine folded changed no state: read again it changes none either."""
        self._at(topic, partition).ahead = False

    async def copy(self) -> None:
        """Bring the copies on this machine up to what was flushed; of what was not read whole none is made."""
        async with self.copies.writing:
            if self._failed is None:
                await self.copies.write(self._owed)

    def _owed(self, partition: int) -> dict[str, list[bytes]]:
        """Return the chunks that must be written again, by topic."""
        return {topic: owed for topic, flushes in self._of(partition).items() if (owed := flushes.owed())}

    def recovered(self, topic: str, partition: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return position and chunks of a source partition, once a rebalance; -1 and nothing where it is new.

        Raises:
            StateError: the changelog is damaged.
            StateRefused: the state's format is newer than this program, or too old.
        """
        if self._failed is not None:
            raise self._failed
        self.progress += 1
        return self._at(topic, partition).recovered(version=self._version, steps=self._steps)

    # --- flushing ---

    async def flush(
        self, topic: str, partition: int, chunks: list[tuple[bytes, bytes | None]], position: int, epoch: int
    ) -> None:
        """Make changed chunks (None: gone) and the source position durable, all or nothing.

        Raises:
            StaleAssignment: the partition may be another worker's; nothing was written.
            ForkedState: another worker wrote into the changelog partition; end the process.
            ServiceUnavailable: the broker took the records not, or in part; end the process.
        """
        self._check(partition, epoch)
        async with self._locks[partition]:
            self._check(partition, epoch)
            started = time.monotonic()
            if partition not in self._claimed:
                claim = [changelog.claim_record(self._generation[partition])]
                await self._send(partition, claim)
                self._note(partition, claim, {})
                self._claimed.add(partition)
                self._check(partition, epoch)
            flushes = self._at(topic, partition)
            records = flushes.next(self._generation[partition], chunks, position, self._version)
            await self._send(partition, records)
            self._note(partition, records, {topic: (position, flushes.number, self._version)})
            flushes.ahead, flushes.position = False, position
            self.progress += 1
            self._timed(time.monotonic() - started)

    def _check(self, partition: int, epoch: int) -> None:
        if self._failed is not None:
            raise self._failed
        if epoch != self.epoch or partition not in self._owned:
            raise StaleAssignment(f"partition {partition} was revoked")
        if self._pulse.stopped():
            raise StaleAssignment(f"this process stood still; partition {partition} may have been given away")

    def _note(self, partition: int, records: list[Record], standing: dict[str, tuple[int, int, int]]) -> None:
        """Note for the copy what was written."""
        offset, generation = self._next[partition] - 1, self._generation[partition]
        self.copies.note(partition, records, standing, offset=offset, generation=generation)

    async def _send(self, partition: int, records: list[Record]) -> None:
        sent = await produce(kafka_producer(self.app), self.changelog_name, partition, records)
        for offset, count in sent:
            expected = self._next[partition]
            if offset != expected:
                self.copies.distrust(partition)
                raise ForkedState(
                    f"{self.changelog_name}, partition {partition}: records went to offset {offset} instead of "
                    f"{expected}, another worker writes there too, or csf replay; this one must recover its state again"
                )
            self._next[partition] = expected + count
