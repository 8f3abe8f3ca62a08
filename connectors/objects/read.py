"""Reading the files of a place: new ones, and those that changed, each row delivered before its cursor moves."""

from __future__ import annotations

import tempfile
import threading
import zlib
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import msgspec

from connectors.engine.outgoing import Sink
from connectors.engine.stats import Stats
from connectors.mapping.events import MappedEvent
from connectors.mapping.files import BadRow
from connectors.objects.forms import Form
from connectors.objects.places import LARGEST, MOST_FILES, FilePlace, Item, ItemGone
from connectors.spans import CONTROL, told
from pipeline.errors import ConfigError, MappingError, SourceRefused
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled

#: Rows that are delivered together; the cursor moves after each of them.
_ROWS = 2000
#: What the files of a place are called as a stream.
STREAM = "files"


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a file was read.

    Attributes:
        mark: what it was when it was read.
        rows: the number of its last row that was delivered.
        digest: of all rows up to that one: whether a file that changed has grown or is another.
        done: all of it was delivered.
    """

    mark: str
    rows: int = 0
    digest: str = ""
    done: bool = False


class Sharing(Protocol):
    """Which part of the work is this instance's: ``connectors.engine.share.Share``."""

    def held(self) -> Hashable:
        """Return what this instance holds, to be compared: once it changed, another one may have read what is ours."""

    def ours(self, number: int) -> bool:
        """Return whether the work of a number is this instance's."""

    def beat(self, wait_s: float) -> None:
        """Stay a member, and learn what is ours."""


class FilesReader:
    """Reads one place.

    Args:
        place: where files lie.
        form: what they hold.
        source: what events name as their source.
        sink: takes the events.
        stats: counts.
        kept: cursors of earlier runs.
        stop: set to end.
        complain: takes one sentence.
        clock: the time.
        share: which files this instance reads, by their names; None: all. What it holds when the reader is made counts: cursors of
            files that come to it later were written by another instance, and are read by the next reader.
    """

    def __init__(
        self, place: FilePlace, form: Form, source: str, sink: Sink, stats: Stats, kept: dict[str, dict[str, Any]], stop: threading.Event,
        complain: Callable[[str], None], clock: Callable[[], datetime] = lambda: datetime.now(UTC), share: Sharing | None = None,
    ) -> None:  # fmt: skip
        self._share, self.held = share, share.held() if share is not None else None
        self._place, self._form, self._source, self._sink, self._stats = place, form, source, sink, stats
        self._stop, self._complain, self._clock = stop, complain, clock
        prefix = f"{source}|"
        self._progress = {
            key.removeprefix(prefix): _progress(key, value) for key, value in kept.items() if key.startswith(prefix)
        }
        #: marks of the last look: a file that did not change since is not being written
        self._seen: dict[str, str] = {}
        #: files that could not be read, by their mark: told once
        self._refused: dict[str, str] = {}

    def poll(self) -> None:
        """Read what is new, to the end.

        Raises:
            CsfError: the place does not answer or refuses, or the brokers do not take events.
        """
        items = sorted(self._listed(), key=lambda item: (item.modified, item.name))
        for item in items:
            known = self._progress.get(item.name)
            if (known is not None and known.done and known.mark == item.mark) or self._refused.get(
                item.name
            ) == item.mark:
                continue
            if self._stop.is_set() or self._moved():
                return
            if self.ours(item):
                self._read(item)
        self._seen = {item.name: item.mark for item in items}
        now = self._clock()
        self._stats.succeeded(STREAM, now.timestamp(), now.timestamp(), 0)

    def _moved(self) -> bool:
        """Return whether what this instance holds has changed: another reader goes on, with cursors read anew."""
        return self._share is not None and self._share.held() != self.held

    def _listed(self) -> list[Item]:
        found = []
        for item in self._place.items():
            found.append(item)
            if len(found) > MOST_FILES:
                raise SourceRefused(
                    f"{self._source}: more than {MOST_FILES:,} files; name fewer by pattern, or move old ones away"
                )
        return found

    def _read(self, item: Item) -> None:
        """Read one file; one that is none of the form is told and left until it changes."""
        if item.size > LARGEST:
            self._leave(item, f"has more than {LARGEST >> 30} GiB; split it")
            return
        with tempfile.TemporaryDirectory(prefix="csf-files-") as folder:
            copy = Path(folder) / Path(item.name).name
            try:
                self._place.fetch(item, copy)
                self._stats.request("ok")
                whole = not self._place.grows or self._seen.get(item.name) == item.mark
                if not whole and (not self._form.by_lines or _packed(copy)):
                    return  # it may be being written: read when it has not changed between two looks
                _Pass(self, item, copy, whole=whole or not _cut(copy)).run()
            except ItemGone:
                self._stats.request("gone")
            except (MappingError, EOFError, zlib.error) as e:
                self._stats.request("failed")
                self._leave(item, str(e).replace(str(copy), item.name))

    def _leave(self, item: Item, why: str) -> None:
        self._refused[item.name] = item.mark
        self._stats.failed(STREAM, f"{item.name}: {why}")
        self._complain(f"{self._source}: {item.name}: {why}; it is read when it changes")

    # -- for one pass over one file ------------------------------------------------------------------------------------

    def ours(self, item: Item) -> bool:
        """Return whether this instance reads a file."""
        return self._share is None or self._share.ours(zlib.crc32(item.name.encode()))

    def progress_of(self, item: Item) -> Progress:
        """Return how far a file was read."""
        return self._progress.get(item.name, Progress(mark=item.mark))

    def lines_of(self, path: Path, item: Item, on_bad: Callable[[BadRow], None]) -> Any:
        """Return the rows of a file."""
        return self._form.lines(path, item.name, on_bad)

    def send(self, event: MappedEvent) -> None:
        """Hand an event over."""
        self._sink.add(event.topic, event.key, event.raw, self._source)

    def bury(self, item: Item, bad: BadRow) -> None:
        """Hand over what is no event."""
        self._stats.refused(STREAM)
        self._sink.bury(
            "", self._form.reason, f"{item.name}: {bad.detail}", bad.raw, source=self._source, file=item.name, row=bad.row,
            column=bad.column, value=bad.value,
        )  # fmt: skip

    def keep(self, item: Item, progress: Progress, sent: list[MappedEvent]) -> None:
        """Return once the brokers hold what was handed over, and then where the file stands."""
        if sent:
            self._sink.send(CONTROL, self._polled(sent), key=self._source)
        self._sink.flush()
        for event in sent:
            self._stats.events(STREAM, event.type, 1)
        self._sink.keep(f"{self._source}|{item.name}", msgspec.to_builtins(progress))
        self._sink.flush()
        self._progress[item.name] = progress
        if self._share is not None:
            self._share.beat(0)

    def _polled(self, sent: list[MappedEvent]) -> OutEvent:
        """Return the word that the file told everything from the first to the last of these events."""
        now = self._clock()
        first, last = min(e.time for e in sent), max(e.time for e in sent) + timedelta(seconds=1)
        data = SourcePolled(
            source=self._source, from_=first, to=max(first, min(last, now)), types=self._form.types,
            services=sorted({e.service for e in sent}),
        )  # fmt: skip
        return told(self._source, data, now)


class _Pass:
    """One pass over one file: rows that were delivered are passed over, the others sent."""

    def __init__(self, reader: FilesReader, item: Item, path: Path, *, whole: bool) -> None:
        self._reader, self._item, self._path, self._whole = reader, item, path, whole
        self._bad: list[BadRow] = []
        self._digest = blake2b(digest_size=16)

    def run(self) -> None:
        known = self._reader.progress_of(self._item)
        if known.rows and not self._still(known):
            known = Progress(mark=self._item.mark)  # another file under an old name
        self._digest = blake2b(digest_size=16)
        sent: list[MappedEvent] = []
        number = waiting = 0
        for line in self._reader.lines_of(self._path, self._item, self._bad.append):
            number = line.number
            self._digest.update(line.content)
            if number <= known.rows:
                self._bad.clear()
                continue
            for event in line.events(self._bad.append):
                self._reader.send(event)
                sent.append(event)
            self._tell_bad(known)
            waiting += 1
            if waiting >= _ROWS:
                self._reader.keep(self._item, self._at(number, done=False), sent)
                sent, waiting = [], 0
                if not self._reader.ours(self._item):
                    return  # another instance goes on from here
        self._tell_bad(known)
        self._reader.keep(self._item, self._at(max(number, known.rows), done=self._whole), sent)

    def _still(self, known: Progress) -> bool:
        """Return whether the rows that were delivered are still the first ones."""
        digest = blake2b(digest_size=16)
        for line in self._reader.lines_of(self._path, self._item, lambda _bad: None):
            if line.number > known.rows:
                break
            digest.update(line.content)
        return digest.hexdigest() == known.digest

    def _tell_bad(self, known: Progress) -> None:
        for bad in self._bad:
            if bad.row > known.rows:
                self._reader.bury(self._item, bad)
        self._bad.clear()

    def _at(self, rows: int, *, done: bool) -> Progress:
        return Progress(mark=self._item.mark, rows=rows, digest=self._digest.hexdigest(), done=done)


def _progress(cursor: str, value: object) -> Progress:
    try:
        return msgspec.convert(value, Progress)
    except msgspec.ValidationError as e:
        raise ConfigError(
            f"the cursor {cursor} is none of a file ({e}); run the connector under another name"
        ) from None


def _packed(path: Path) -> bool:
    with path.open("rb") as f:
        return f.read(2) == b"\x1f\x8b"


def _cut(path: Path) -> bool:
    """Cut off a last line that has not ended; return whether there was one."""
    with path.open("r+b") as f:
        end = f.seek(0, 2)
        at = end
        while at > 0:
            start = max(0, at - 65_536)
            f.seek(start)
            found = f.read(at - start).rfind(b"\n")
            if found >= 0:
                f.truncate(start + found + 1)
                return start + found + 1 < end
            at = start
        f.truncate(0)
        return end > 0
