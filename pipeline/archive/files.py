"""Names of archive files, and how long they stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline.archive.errors import explain

_NAME = re.compile(r"(?P<topic>[A-Za-z0-9._-]+)-(?P<partition>\d{5,})-(?P<first>\d{20})\.arc")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class ArchiveFile(NamedTuple):
    """One file of the archive; files sort by topic, partition and first offset.

    Attributes:
        closed: it has its checksum beside it and does not change any more.
    """

    topic: str
    partition: int
    first_offset: int
    path: Path
    size: int
    modified_s: float
    closed: bool


class Removed(NamedTuple):
    """What the retention removed."""

    files: int
    size: int


def file_path(directory: Path, topic: str, partition: int, first_offset: int) -> Path:
    """Return the path of the file that begins with an offset.

    Raises:
        ValueError: the topic is no Kafka topic name.
    """
    if not _TOPIC.fullmatch(topic):
        raise ValueError(f"{topic!r} is no topic name")
    return directory / f"{topic}-{partition:05d}-{first_offset:020d}.arc"


def checksum_path(path: Path) -> Path:
    """Return the path of a file's checksum, which ``sha256sum -c`` reads."""
    return path.with_name(path.name + ".sha256")


def list_files(directory: Path, topics: Iterable[str] | None = None) -> list[ArchiveFile]:
    """Return the archive's files; a directory that does not exist holds none.

    Raises:
        ArchiveError: the directory cannot be read.
    """
    wanted = None if topics is None else set(topics)
    found: list[ArchiveFile] = []
    try:
        for path in directory.iterdir() if directory.exists() else ():
            name = _NAME.fullmatch(path.name)
            if name is None or (wanted is not None and name["topic"] not in wanted):
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # the retention of another process was quicker
            closed = checksum_path(path).exists()
            found.append(
                ArchiveFile(
                    name["topic"], int(name["partition"]), int(name["first"]), path, stat.st_size, stat.st_mtime, closed
                )
            )
    except OSError as error:
        raise explain(directory, error) from error
    return sorted(found)


def enforce_retention(
    directory: Path, *, max_total_bytes: int | None, max_age_s: float | None, clock: Callable[[], float]
) -> Removed:
    """Remove the oldest closed files until the archive is small and young enough; open files stay.

    Args:
        directory: of the archive.
        max_total_bytes: of all files together, None for no limit.
        max_age_s: a closed file's age since its last record was written, None for no limit.
        clock: epoch seconds now.

    Raises:
        ArchiveError: a file cannot be removed.
    """
    files = list_files(directory)
    total = sum(file.size for file in files)
    oldest = None if max_age_s is None else clock() - max_age_s
    removed = size = 0
    for file in sorted((f for f in files if f.closed), key=lambda f: (f.modified_s, f.first_offset)):
        too_big = max_total_bytes is not None and total > max_total_bytes
        too_old = oldest is not None and file.modified_s < oldest
        if not (too_big or too_old):
            break
        try:
            # The data first: a checksum without its file is seen as nothing, a file without its checksum as open.
            file.path.unlink(missing_ok=True)
            checksum_path(file.path).unlink(missing_ok=True)
        except OSError as error:
            raise explain(file.path, error) from error
        total -= file.size
        removed, size = removed + 1, size + file.size
    return Removed(removed, size)
