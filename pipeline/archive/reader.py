"""Read the archive: records in offset order a partition, every checksum verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.archive import blocks
from pipeline.archive.errors import ArchiveDamaged, ArchiveError, explain
from pipeline.archive.files import ArchiveFile, checksum_path, list_files


class ArchivedRecord(NamedTuple):
    """One message as Kafka delivered it.

    Attributes:
        arrival_ms: the broker's append time, epoch milliseconds.
        value: the message's bytes.
    """

    topic: str
    partition: int
    offset: int
    arrival_ms: int
    value: bytes


class Summary(NamedTuple):
    """What one file holds; offsets and arrivals are None for a file without records."""

    path: Path
    topic: str
    partition: int
    records: int
    first_offset: int | None
    last_offset: int | None
    first_arrival_ms: int | None
    last_arrival_ms: int | None
    size: int
    closed: bool
    damaged: bool


class ArchiveReader:
    """An archive directory, which may be written at the same time.

    Args:
        directory: of the archive; one that does not exist holds nothing.
        on_damage: called with each damage, after which reading goes on behind it; without it damage is raised.
    """

    def __init__(self, directory: str | Path, on_damage: Callable[[ArchiveDamaged], None] | None = None) -> None:
        self._directory = Path(directory)
        self._on_damage = on_damage

    def records(
        self,
        topics: Iterable[str] | None = None,
        time_from_ms: int | None = None,
        time_to_ms: int | None = None,
    ) -> Iterator[ArchivedRecord]:
        """Yield records with ``time_from_ms <= arrival < time_to_ms``: by topic, partition, offset.

        Raises:
            ArchiveDamaged: bytes are not those that were written (without ``on_damage``).
            ArchiveError: a file cannot be read.
        """
        for (topic, partition), files in groupby(
            list_files(self._directory, topics), key=lambda f: (f.topic, f.partition)
        ):
            last = -1
            of_partition = list(files)
            for file in of_partition:
                growing = file is of_partition[-1] and not file.closed
                for offset, arrival, _, value in self._file_records(file, time_from_ms, time_to_ms, growing=growing):
                    if offset > last:
                        last = offset
                        yield ArchivedRecord(topic, partition, offset, arrival, value)

    def _file_records(
        self, file: ArchiveFile, time_from: int | None, time_to: int | None, *, growing: bool
    ) -> Iterator[blocks.StoredRecord]:
        try:
            with file.path.open("rb") as opened:
                for block in self._blocks(file, opened, growing=growing):
                    if (time_from is not None and block.last_arrival < time_from) or (
                        time_to is not None and block.first_arrival >= time_to
                    ):
                        continue
                    records = blocks.read_payload(opened, block)
                    if records is None:
                        self._damage(
                            file.path,
                            block.position,
                            f"wrong checksum of the block with offsets {block.first_offset} to {block.last_offset}",
                        )
                        continue
                    for record in records:
                        if (time_from is None or record[1] >= time_from) and (time_to is None or record[1] < time_to):
                            yield record
        except FileNotFoundError:
            return  # the retention removed it meanwhile
        except OSError as error:
            raise explain(file.path, error) from error

    def _blocks(self, file: ArchiveFile, opened: BinaryIO, *, growing: bool) -> Iterator[blocks.Block]:
        if blocks.created_ms(opened.read(blocks.FILE_HEADER_BYTES)) is None:
            if not growing:
                self._damage(file.path, 0, "it does not begin like an archive file")
            return
        for part in blocks.scan(opened, file.size):
            if isinstance(part, blocks.Block):
                yield part
            elif not (part.torn and growing):
                # In a file that is still written an unfinished last block is only not there yet.
                self._damage(file.path, part.position, part.what)

    def _damage(self, path: Path, position: int, what: str) -> None:
        damaged = ArchiveDamaged(path, position, what)
        if self._on_damage is None:
            raise damaged
        self._on_damage(damaged)

    def summary(self) -> list[Summary]:
        """Return what each file holds, by its block headers (payloads are not read)."""
        return [self._summary(file) for file in list_files(self._directory)]

    def _summary(self, file: ArchiveFile) -> Summary:
        found: list[blocks.Block] = []
        damaged = False
        try:
            with file.path.open("rb") as opened:
                damaged = blocks.created_ms(opened.read(blocks.FILE_HEADER_BYTES)) is None and file.closed
                for part in () if damaged else blocks.scan(opened, file.size):
                    if isinstance(part, blocks.Block):
                        found.append(part)
                    elif file.closed or not part.torn:
                        damaged = True
        except OSError as error:
            raise explain(file.path, error) from error
        return Summary(
            file.path,
            file.topic,
            file.partition,
            sum(block.records for block in found),
            found[0].first_offset if found else None,
            found[-1].last_offset if found else None,
            min((block.first_arrival for block in found), default=None),
            max((block.last_arrival for block in found), default=None),
            file.size,
            file.closed,
            damaged,
        )

    def verify(self) -> int:
        """Compare every closed file with its checksum; return how many were compared.

        Raises:
            ArchiveDamaged: a file is not what was closed (without ``on_damage``).
            ArchiveError: a file or checksum cannot be read.
        """
        compared = 0
        for file in list_files(self._directory):
            if not file.closed:
                continue
            try:
                expected = checksum_path(file.path).read_text(encoding="utf-8").split()
                with file.path.open("rb") as opened:
                    actual = hashlib.file_digest(opened, "sha256").hexdigest()
            except UnicodeDecodeError as error:
                raise ArchiveError(
                    f"{checksum_path(file.path)} is no checksum file; restore it from a backup"
                ) from error
            except OSError as error:
                raise explain(file.path, error) from error
            compared += 1
            if not expected or expected[0] != actual:
                self._damage(file.path, 0, "its SHA-256 is not the one beside it")
        return compared
