"""Append what one partition delivered to rotating files, so that a crash at any instruction loses no whole block."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from pipeline.archive import blocks
from pipeline.archive.errors import ArchiveError, explain
from pipeline.archive.files import Removed, checksum_path, enforce_retention, file_path, list_files

_LOG = logging.getLogger(__name__)
#: Uncompressed bytes gathered into one block: large enough to compress, small enough to hold.
_BLOCK_BYTES = 1 << 20


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ArchiveWriter:
    """The archive of one partition of one topic.

    Args:
        directory: of the archive, made if missing. It belongs to one Kafka cluster: offsets are identity.
        topic, partition: what is archived; a lock keeps a second writer out.
        max_bytes: a file is closed when it has grown to this.
        max_age_s: ... or is this old.
        max_total_bytes, keep_s: the archive's retention, applied to all its closed files whenever one is closed.
        clock: epoch seconds now.

    Attributes:
        last_offset: highest offset archived or pending, -1 for none.
        skipped: records that were there already.
        repaired_bytes: what a crash had left of an unfinished block, cut off at opening.
        removed: what the retention removed so far.

    Raises:
        ArchiveError: the directory cannot be used, or another process writes this partition.
    """

    def __init__(
        self,
        directory: str | Path,
        topic: str,
        partition: int,
        *,
        max_bytes: int = 64 * 2**20,
        max_age_s: float = 3600.0,
        max_total_bytes: int | None = 10 * 2**30,
        keep_s: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = Path(directory)
        self._topic = topic
        self._partition = partition
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._max_total_bytes = max_total_bytes
        self._keep_s = keep_s
        self._clock = clock
        self._pending: list[blocks.StoredRecord] = []
        self._pending_bytes = 0
        self._written_offset = -1
        self._file: BinaryIO | None = None
        self._path = file_path(self._directory, topic, partition, 0)
        self._size = 0
        self._created_ms = 0
        self._hash = hashlib.sha256()
        self.last_offset = -1
        self.skipped = 0
        self.repaired_bytes = 0
        self.removed = Removed(0, 0)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
        except OSError as error:
            raise explain(self._directory, error) from error
        try:
            self._reopen()
        except OSError as error:
            self._lock.close()
            raise explain(self._path, error) from error

    def _take_lock(self) -> BinaryIO:
        lock = (self._directory / f".{self._topic}-{self._partition:05d}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise ArchiveError(
                f"another process archives {self._topic} partition {self._partition} in {self._directory};"
                " end it, or give this one a directory of its own"
            ) from error
        except BaseException:
            lock.close()
            raise
        return lock

    # -- opening after a crash -----------------------------------------------------------------------------

    def _reopen(self) -> None:
        """Find the last offset archived, cut a torn tail off, and go on in the last file if it is still open."""
        files = [f for f in list_files(self._directory, [self._topic]) if f.partition == self._partition]
        for file in reversed(files):
            self._path = file.path
            with file.path.open("r+b") as opened:
                created, sound = self._examine(opened, file.size, closed=file.closed)
            if created is None:
                # Not even the file's first bytes reached the disk: it holds nothing.
                self._note_repair(file.path, file.size, 0)
                file.path.unlink()
                continue
            # All that lies before a file's first offset was archived before the file was made.
            self._written_offset = max(self._written_offset, file.first_offset - 1)
            # A file with damage inside stays as it is, for the reader to name; what comes goes into a new one.
            if sound and not file.closed:
                self._continue(file.path, created)
            break
        self.last_offset = self._written_offset

    def _examine(self, opened: BinaryIO, size: int, *, closed: bool) -> tuple[int | None, bool]:
        created = blocks.created_ms(opened.read(blocks.FILE_HEADER_BYTES))
        if created is None:
            return None, False
        whole: list[tuple[blocks.Block, bool]] = []
        sound = True
        for part in blocks.scan(opened, size):
            if isinstance(part, blocks.Block):
                whole.append((part, closed or blocks.read_payload(opened, part) is not None))
            elif not part.torn:
                sound = False
        # A header may reach the disk before its payload does: such blocks at the end are unfinished too.
        while sound and whole and not whole[-1][1]:
            whole.pop()
        good = [block for block, is_good in whole if is_good]
        sound = sound and len(good) == len(whole)
        self._written_offset = max([self._written_offset, *(block.last_offset for block in good)])
        end = whole[-1][0].end if whole else blocks.FILE_HEADER_BYTES
        if not closed and sound and end < size:
            self._note_repair(Path(opened.name), size, end)
            opened.truncate(end)
            os.fsync(opened.fileno())
        return created, sound

    def _note_repair(self, path: Path, size: int, end: int) -> None:
        self.repaired_bytes += size - end
        _LOG.warning("archive file %s ended in an unfinished block: %d bytes cut off at byte %d", path, size - end, end)

    def _continue(self, path: Path, created: int) -> None:
        with path.open("rb") as written:
            self._hash = hashlib.file_digest(written, "sha256")
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._created_ms = created

    # -- appending -----------------------------------------------------------------------------------------

    def append(self, offset: int, arrival_ms: int, value: bytes, *, batch: bool = False) -> bool:
        """Take one record; it is on the disk after ``flush``.

        Args:
            offset: of the record; one at or below ``last_offset`` is there already.
            arrival_ms: the broker's append time.
            value: the message's bytes.
            batch: the value is a CloudEvents batch.

        Returns:
            False when the record was there already.

        Raises:
            ArchiveFull: the disk is full; ``lost`` says how many records are not archived.
        """
        if offset <= self.last_offset:
            self.skipped += 1
            return False
        self._pending.append((offset, arrival_ms, blocks.FLAG_BATCH if batch else 0, value))
        self._pending_bytes += len(value)
        self.last_offset = offset
        if self._pending_bytes >= _BLOCK_BYTES:
            self._write_pending()
        return True

    def append_many(self, records: Iterable[tuple[int, int, bytes]]) -> int:
        """Take (offset, arrival, value) records; a batch is known by its first byte. Returns how many are new."""
        return sum(
            self.append(offset, arrival_ms, value, batch=value[:1] == b"[") for offset, arrival_ms, value in records
        )

    def flush(self) -> None:
        """Put everything on the disk; call it before the source is acknowledged.

        Raises:
            ArchiveFull: the disk is full; ``lost`` says how many records are not archived.
        """
        self._write_pending()
        if self._file is not None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise explain(self._path, error) from error
            if self._due():
                self._close_file()

    def _due(self) -> bool:
        age_s = self._clock() - self._created_ms / 1000
        return self._size >= self._max_bytes or (age_s >= self._max_age_s and self._size > blocks.FILE_HEADER_BYTES)

    def _write_pending(self) -> None:
        if not self._pending:
            return
        block = blocks.encode_block(self._pending)
        count = len(self._pending)
        last = self._pending[-1][0]
        first = self._pending[0][0]
        self._pending, self._pending_bytes = [], 0
        try:
            if self._file is None:
                self._new_file(first)
            self._write(block)
        except OSError as error:
            # What was not written is not claimed, so that a source that delivers again is archived then.
            self.last_offset = self._written_offset
            self._cut_back()
            raise explain(self._path, error, lost=count) from error
        self._written_offset = last
        if self._size >= self._max_bytes:
            self.flush()

    def _new_file(self, first_offset: int) -> None:
        self._path = file_path(self._directory, self._topic, self._partition, first_offset)
        self._created_ms = int(self._clock() * 1000)
        self._hash = hashlib.sha256()
        self._size = 0
        self._file = self._path.open("xb", buffering=0)
        self._write(blocks.file_header(self._created_ms))
        _sync_directory(self._directory)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._hash.update(data)
        self._size += len(data)

    def _cut_back(self) -> None:
        """Remove what a failed write left behind."""
        if self._file is None:
            return
        try:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            if self._size < blocks.FILE_HEADER_BYTES:
                self._file.close()
                self._file = None
                self._path.unlink()
        except OSError as error:
            # The next opening repairs it; until then nothing more is written to this file.
            _LOG.warning("archive file %s could not be cut back after a failed write: %s", self._path, error)
            if self._file is not None:
                self._file.close()
                self._file = None

    def _close_file(self) -> None:
        """Close the file for good: checksum beside it, then the retention."""
        if self._file is None:
            return
        try:
            self._file.close()
            self._file = None
            target = checksum_path(self._path)
            temporary = target.with_name(target.name + ".tmp")
            with temporary.open("w", encoding="utf-8") as checksum:
                checksum.write(f"{self._hash.hexdigest()}  {self._path.name}\n")
                checksum.flush()
                os.fsync(checksum.fileno())
            temporary.replace(target)
            _sync_directory(self._directory)
        except OSError as error:
            raise explain(self._path, error) from error
        gone = enforce_retention(
            self._directory, max_total_bytes=self._max_total_bytes, max_age_s=self._keep_s, clock=self._clock
        )
        if gone.files:
            self.removed = Removed(self.removed.files + gone.files, self.removed.size + gone.size)
            _LOG.info("archive retention removed %d files, %d bytes", gone.files, gone.size)

    def close(self) -> None:
        """Flush and let go; the file stays open for the next writer to go on with. Safe to call twice."""
        try:
            self.flush()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._lock.close()
