"""The copies of the state on this machine, kept up with what is flushed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.changelog import PartitionLog, Record, is_present
from agents.checkpoint import Checkpoint, Gathered


class Copies:
    """What the copies lack of the changelog, by partition, until it is written to them."""

    def __init__(self) -> None:
        #: the file they are in, None where none are made
        self.file: Checkpoint | None = None
        self._gathered: dict[int, Gathered] = {}
        #: held while they are written
        self.writing = asyncio.Lock()

    def load(self, partition: int, left: int | None) -> PartitionLog | None:
        """Return what the copy of a partition says, None where there is none of use.

        Args:
            partition: of the changelog.
            left: where its log ended when this worker gave it away: a copy that ends there needs no chunks, which are in memory.
        """
        if self.file is None:
            return None
        log = self.file.load(partition, bare=True)
        if log is not None and left != log.last_offset + 1:
            log = self.file.load(partition)
        return log

    def whole(self, partition: int) -> PartitionLog | None:
        """Return what the copy of a partition says, with its chunks."""
        return self.file.load(partition) if self.file is not None else None

    def distrust(self, partition: int) -> None:
        """Remove the copy of a partition: it may not be what the changelog says."""
        if self.file is not None:
            self.file.forget(partition)

    def follow(self, partition: int, log: PartitionLog) -> None:
        """Note what the copy of a partition lacks of the log that was read."""
        gathered = self._gathered[partition] = Gathered(
            last=log.last_record, offset=log.last_offset, generation=log.generation,
            anew=log.copied_to is None, after=-1 if log.copied_to is None else log.copied_to,
        )  # fmt: skip
        for topic, state in log.topics.items() if self.file is not None else ():
            prefix = b"k|" + topic.encode() + b"|"
            names = state.held.keys() if gathered.anew else state.changed
            gathered.chunks |= {prefix + name: state.held.get(name) for name in names}
            gathered.sources[topic] = (state.position, state.flush, state.version)

    def note(
        self, partition: int, records: list[Record], standing: dict[str, tuple[int, int, int]], *, offset: int, generation: int
    ) -> None:  # fmt: skip
        """Note what a claim or a whole flush wrote.

        Args:
            partition: of the changelog.
            records: that were written, the last one being the claim or commit.
            standing: topic → (position, flush, version) since then.
            offset: of the last record.
            generation: of the flushes.
        """
        if self.file is None:
            return
        gathered = self._gathered.setdefault(partition, Gathered())
        gathered.chunks.update(
            (key, value if value is not None and is_present(value) else None) for key, value in records[:-1]
        )
        gathered.sources |= standing
        gathered.last, gathered.offset, gathered.generation = records[-1], offset, generation

    def forget(self, partition: int) -> None:
        """Forget what the copy of a partition lacks: it is another worker's."""
        self._gathered.pop(partition, None)

    async def write(self, owed: Callable[[int], dict[str, list[bytes]]]) -> None:
        """Bring the copies up to what was noted; the caller holds ``writing``.

        Args:
            owed: returns the chunks of a partition that must be written to its log again, by topic.
        """
        for partition in list(self._gathered):
            gathered = self._gathered.get(partition)
            if self.file is None or gathered is None or gathered.last is None:
                continue
            self._gathered[partition] = Gathered(after=gathered.offset)
            await asyncio.to_thread(self.file.save, partition, gathered, owed(partition))
