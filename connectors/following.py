"""Following a text file that grows and is rotated: every complete line once, with a place to go on from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Annotated

import msgspec

from pipeline.errors import ConfigError

#: Lines handed over at once, and the wait at the end of the file, seconds.
_LINES, _IDLE_S = 5000, 0.5
#: A longer line is cut here, bytes: memory stays bounded whatever is written.
LONGEST_LINE = 1_048_576
#: Rotated files that are packed cannot be gone on with.
_PACKED = (".gz", ".bz2", ".xz", ".zst")


class Place(msgspec.Struct, frozen=True):
    """Where following stands.

    Attributes:
        inode: the file's identity; it stays when the file is renamed.
        offset: bytes of it that were handed over.
        polled: until when everything was delivered, epoch seconds; None before the first time.
    """

    inode: int = 0
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    polled: float | None = None


@dataclass
class Chunk:
    """Lines, the place behind them, and whether they end where the file ends now."""

    lines: list[tuple[int, bytes]]
    place: Place
    at_end: bool


def place_from(cursor: object) -> Place:
    """Return the place a cursor holds, the beginning where there is none.

    Raises:
        ConfigError: it holds something else.
    """
    try:
        return Place() if cursor is None else msgspec.convert(cursor, Place)
    except msgspec.ValidationError as e:
        raise ConfigError(f"the cursor of this log is no place ({e}); follow it under another --name") from None


def follow(path: Path, place: Place, stop: Event) -> Iterator[Chunk]:
    """Yield the lines of a log as it grows, until stopped; at its end an empty chunk now and then.

    A renamed log is read to its end before the next is begun, also one renamed while nobody followed; a truncated
    one is read from its start; a line without its end waits for it while the log is written to.

    Raises:
        ConfigError: the log cannot be read.
    """
    file: IO[bytes] | None = None
    try:
        while not stop.is_set():
            if file is None:
                file, place = _open(path, place)
                if file is None:
                    stop.wait(_IDLE_S)
                    continue
            rotated = _rotated(path, place, file)  # asked before reading: what was written until then is read below
            lines = _read(file, last=rotated)
            place = msgspec.structs.replace(place, offset=file.tell())
            full = len(lines) >= _LINES
            yield Chunk(lines, place, at_end=not full and not rotated)
            if full:
                continue
            if rotated:
                place = _next(path, place, file)
                file.close()
                file = None
            else:
                stop.wait(_IDLE_S)
    finally:
        if file is not None:
            file.close()


def _read(file: IO[bytes], *, last: bool) -> list[tuple[int, bytes]]:
    """Read complete lines, at the end of a file that is not written to any more also an incomplete one."""
    lines: list[tuple[int, bytes]] = []
    at = file.tell()
    while len(lines) < _LINES:
        line = file.readline(LONGEST_LINE)
        if not line:
            break
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE and not last:
            file.seek(at)
            break
        lines.append((at, line))
        at += len(line)
    return lines


def _siblings(path: Path) -> list[tuple[Path, os.stat_result]]:
    """Return the log and what it was renamed to (``access.log.1``, ``access.log-20261124``), the oldest first."""
    found = []
    for each in path.parent.glob(path.name + "*"):
        if each.suffix not in _PACKED and each.is_file():
            try:
                found.append((each, each.stat()))
            except OSError:
                continue
    return sorted(found, key=lambda f: f[1].st_mtime_ns)


def _open(path: Path, place: Place) -> tuple[IO[bytes] | None, Place]:
    """Open the file of a place, under whatever name it has now; the log from its start where it is gone."""
    wanted = path
    if place.inode:
        wanted = next((p for p, status in _siblings(path) if status.st_ino == place.inode), path)
    try:
        file = wanted.open("rb")
    except FileNotFoundError:
        return None, place
    except OSError as e:
        raise ConfigError(f"{wanted}: cannot be read: {e.strerror}") from None
    status = os.fstat(file.fileno())
    if status.st_ino != place.inode or status.st_size < place.offset:
        place = msgspec.structs.replace(place, inode=status.st_ino, offset=0)
    file.seek(place.offset)
    return file, place


def _rotated(path: Path, place: Place, file: IO[bytes]) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False  # renamed, its successor not made yet
    return status.st_ino != place.inode or status.st_size < file.tell()


def _next(path: Path, place: Place, file: IO[bytes]) -> Place:
    """Return the start of the file that was begun after this one."""
    done = os.fstat(file.fileno())
    for _, status in _siblings(path):
        if status.st_ino != done.st_ino and status.st_mtime_ns >= done.st_mtime_ns:
            return msgspec.structs.replace(place, inode=status.st_ino, offset=0)
    return msgspec.structs.replace(place, inode=0, offset=0)
