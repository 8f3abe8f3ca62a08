"""Following a text file that grows and is rotated: every complete line once, with a place to go on from."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import IO, Annotated

import msgspec

from pipeline.errors import ConfigError

#: Lines handed over at once, and the wait at the end of the file, seconds.
_LINES, _IDLE_S = 5000, 0.5
#: A renamed log is left once so many looks in a row found nothing new, or at once where nothing was written to it for so
#: many seconds: servers go on in it until their last worker has opened the new one.
_LOOKS, _OLD_S = 4, 60.0
#: What rotation puts behind a log's name; others that begin alike are logs of their own.
_ROTATED = re.compile(r"[-._]?\d[\w.:-]*|[-._]?(?:old|bak|prev)|~")
#: A longer line is cut here, bytes: memory stays bounded whatever is written.
LONGEST_LINE = 1_048_576
#: Rotated files that are packed cannot be gone on with.
_PACKED = (".gz", ".bz2", ".xz", ".zst")


class Place(msgspec.Struct, frozen=True):
    """Where following stands.

    Attributes:
        inode: the file's identity; it stays when the file is renamed.
        offset: bytes of it that were handed over.
        last: length of the last line before it, bytes.
        mark: digest of that line: the number of a file that was removed goes to a new one.
        polled: until when everything was delivered, epoch seconds; None before the first time.
    """

    inode: int = 0
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    last: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_LINE)] = 0
    mark: str = ""
    polled: float | None = None


@dataclass
class Chunk:
    """What was read at one look.

    Attributes:
        lines: each with the byte it begins at.
        place: behind them.
        at_end: whether they end where the log ends now.
        gap: why lines before these were not read, where they went while nobody followed.
    """

    lines: list[tuple[int, bytes]]
    place: Place
    at_end: bool
    gap: str | None = None


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

    A renamed log is read until nothing is written to it any more before the next is begun, also one renamed while
    nobody followed; a truncated one is read from its start; a line without its end waits for it while the log is
    written to.

    Raises:
        ConfigError: the log cannot be read.
    """
    file: IO[bytes] | None = None
    gap: str | None = None
    quiet = 0
    try:
        while not stop.is_set():
            if file is None:
                file, place, gap = _open(path, place)
                if file is None:
                    stop.wait(_IDLE_S)
                    continue
            # asked before reading: what was written until then is read below
            cut, renamed = _state(path, place, file)
            done = cut or (renamed and (quiet >= _LOOKS or _is_old(file)))
            lines = _read(file, last=False)
            leaving = done and not lines  # what brings lines is still written to
            if leaving:
                lines = _read(file, last=True)
            if lines:
                last = lines[-1][1]
                place = msgspec.structs.replace(place, offset=file.tell(), last=len(last), mark=_mark(last))
            full = len(lines) >= _LINES
            yield Chunk(lines, place, at_end=not full and not cut and not renamed, gap=gap)
            gap = None
            quiet = quiet + 1 if renamed and not lines else 0
            if full:
                continue
            if leaving:
                # the copy of a log that was cut holds what was read, and may be as young as the log
                place = _start(place, None) if cut else _next(path, place, file)
                file.close()
                file, quiet = None, 0
            elif not done:
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


def _open(path: Path, place: Place) -> tuple[IO[bytes] | None, Place, str | None]:
    """Open the file of a place, under whatever name it has now; the log from its start where it is gone, and say so."""
    wanted = path
    if place.inode:
        wanted = next((p for p, status in _siblings(path) if status.st_ino == place.inode), path)
    try:
        file = wanted.open("rb")
    except FileNotFoundError:
        return None, place, None
    except OSError as e:
        raise ConfigError(f"{wanted}: cannot be read: {e.strerror}") from None
    status = os.fstat(file.fileno())
    gap = None
    if status.st_ino != place.inode:
        if place.inode:
            gap = f"{path}: the file that was read to byte {place.offset} is gone (packed, moved or removed)"
    elif status.st_size < place.offset:
        gap = f"{wanted}: was read to byte {place.offset} and has {status.st_size} bytes now"
    elif not _holds(file, place):
        gap = f"{wanted}: what was read to byte {place.offset} is no more in it"
    else:
        return file, place, None
    file.seek(0)
    return file, _start(place, status), gap


def _holds(file: IO[bytes], place: Place) -> bool:
    """Return whether the last line before a place is in the file, which then stands behind it."""
    file.seek(max(place.offset - place.last, 0))
    return _mark(file.read(place.last)) == place.mark or not place.mark


def _mark(line: bytes) -> str:
    return blake2b(line, digest_size=8).hexdigest()


def _start(place: Place, status: os.stat_result | None) -> Place:
    """Return the start of a file, of the log that there will be where it is None."""
    return Place(inode=status.st_ino if status else 0, polled=place.polled)


def _state(path: Path, place: Place, file: IO[bytes]) -> tuple[bool, bool]:
    """Return whether the log was cut, and whether it was renamed and has a successor."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False, False
    renamed = status.st_ino != place.inode
    return not renamed and status.st_size < file.tell(), renamed


def _is_old(file: IO[bytes]) -> bool:
    return time.time() - os.fstat(file.fileno()).st_mtime > _OLD_S


def _next(path: Path, place: Place, file: IO[bytes]) -> Place:
    """Return the start of the file that was begun after this one."""
    done = os.fstat(file.fileno())
    for each, status in _siblings(path):
        if each != path and not _ROTATED.fullmatch(each.name.removeprefix(path.name)):
            continue
        if status.st_ino != done.st_ino and status.st_mtime_ns >= done.st_mtime_ns:
            return _start(place, status)
    return _start(place, None)
