"""From a file to events: rows read in bounded memory (unless they must be sorted), mapped, and accounted for."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from connectors.files import open_unpacked
from connectors.mapping.load import columns_of
from connectors.mapping.model import Event, Mapping, Value
from connectors.mapping.values import BadValue, Read, compile_value
from pipeline.engine.services import service_id
from pipeline.errors import MappingError
from pipeline.events.families import TYPES, event_topic

_encode = msgspec.json.Encoder().encode
#: Rows that are sorted are held in memory: more than this are refused.
MAX_SORTED_ROWS = 5_000_000


@dataclass
class MappedEvent:
    """One event made from a row, ready to be sent."""

    topic: str
    key: str
    raw: bytes
    type: str
    time: datetime
    service: str


@dataclass
class BadRow:
    """A row that could not be mapped: where, and why."""

    row: int
    column: str
    detail: str
    raw: bytes


@dataclass
class Summary:
    """What became of a file."""

    fingerprint: str = ""
    rows: int = 0
    events: int = 0
    skipped: int = 0
    bad: int = 0
    by_type: dict[str, int] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    services: set[str] = field(default_factory=set)

    def count(self, event: MappedEvent) -> None:
        """Count one event."""
        self.events += 1
        self.by_type[event.type] = self.by_type.get(event.type, 0) + 1
        self.first = event.time if self.first is None else min(self.first, event.time)
        self.last = event.time if self.last is None else max(self.last, event.time)
        self.services.add(event.service)


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's (unpacked) content: its identity."""
    digest = sha256()
    with open_unpacked(path) as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def rows_of(path: Path, mapping: Mapping) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file.

    Raises:
        MappingError: the file is not of the mapping's format, or lacks a column.
    """
    try:
        with open_unpacked(path) as f:
            match mapping.format:
                case "csv":
                    lines = (line.decode(mapping.encoding, errors="replace") for line in f)
                    reader = csv.DictReader(lines, delimiter=mapping.delimiter)
                    reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
                    _has_columns(set(reader.fieldnames), mapping, path)
                    yield from reader
                case "jsonl":
                    for number, line in enumerate(f, start=1):
                        if line.strip():
                            yield _object(line, f"{path}: line {number}")
                case "json":
                    yield from _records(json.loads(f.read()), mapping, path)
    except OSError as e:
        raise MappingError(f"{path}: cannot be read: {e.strerror or e}") from None
    except (EOFError, json.JSONDecodeError, csv.Error) as e:
        raise MappingError(f"{path}: is no {mapping.format} file: {e}") from None


def _has_columns(found: set[str], mapping: Mapping, path: Path) -> None:
    lacking = sorted(columns_of(mapping) - found)
    if lacking:
        raise MappingError(
            f"{path}: lacks {', '.join(lacking)}, which mapping {mapping.name} reads; its columns are: {', '.join(sorted(found))}"
        )


def _object(line: bytes, where: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise MappingError(f"{where}: is no JSON object")
    return row


def _records(document: Any, mapping: Mapping, path: Path) -> Iterator[dict[str, Any]]:
    for name in (mapping.records or "").split("."):
        if name:
            if not isinstance(document, dict) or name not in document:
                raise MappingError(
                    f"{path}: has no '{mapping.records}', where mapping {mapping.name} looks for records"
                )
            document = document[name]
    if not isinstance(document, list) or not all(isinstance(r, dict) for r in document):
        raise MappingError(f"{path}: '{mapping.records or 'the document'}' is no array of objects")
    if document:
        _has_columns(set(document[0]), mapping, path)
    yield from document


@dataclass
class _Compiled:
    event: Event
    topic: str
    time: Read
    service: Read
    data: list[tuple[str, Read]]
    key: list[str]
    counts: Callable[[dict[str, Any]], bool]


def map_file(
    path: Path,
    mapping: Mapping,
    variables: dict[str, str] | None = None,
    on_bad: Callable[[BadRow], None] = lambda _bad: None,
    summary: Summary | None = None,
    service: str | None = None,
) -> Iterator[MappedEvent]:
    """Yield the events of a file; ids follow from its content and row, so importing it again changes nothing.

    Args:
        path: the file, maybe gzipped.
        mapping: how to read it.
        variables: values of --set.
        on_bad: told of every row that cannot be mapped.
        summary: filled while events are yielded.
        service: overrides the mapping's service.

    Raises:
        MappingError: the file does not fit the mapping; nothing was yielded.
    """
    summary = summary if summary is not None else Summary()
    if not path.is_file():
        raise MappingError(f"{path}: there is no such file")
    summary.fingerprint = fingerprint(path)
    stem = path.name.split(".")[0]
    known = {
        "stem": stem,
        "file": path.name,
        **{k: v for k, v in mapping.vars.items() if v is not None},
        **(variables or {}),
    }
    compiled = [_compile(event, mapping, known, service) for event in mapping.events]
    source = f"import/{mapping.name}"
    rows: Any = enumerate(rows_of(path, mapping), start=1)
    if mapping.order_by:
        rows = _sorted(rows, mapping, known)
    rows = _firsts(rows, compiled, mapping, known)
    for number, row in rows:
        summary.rows += 1
        made = False
        for index, c in enumerate(compiled):
            try:
                if not c.counts(row):
                    continue
                event = _make(c, row, f"{summary.fingerprint[:16]}-{number}-{index}", source, mapping.team)
            except BadValue as e:
                summary.bad += 1
                on_bad(BadRow(number, e.column, str(e), _encode({k: str(v) for k, v in row.items() if k})[:65_536]))
                made = True
                continue
            made = True
            summary.count(event)
            yield event
        summary.skipped += not made


def _compile(event: Event, mapping: Mapping, known: dict[str, str], service: str | None) -> _Compiled:
    missing = frozenset(mapping.missing)
    conditions = event.when

    def counts(row: dict[str, Any]) -> bool:
        for c in conditions:
            raw = row.get(c.column)
            text = None if raw is None else str(raw).strip()
            absent = text is None or text in missing
            if c.among is not None:
                if absent or text not in c.among:
                    return False
            elif c.not_among is not None:
                if text in c.not_among:
                    return False
            elif absent is c.present:
                return False
        return True

    wanted = event.service if event.service is not None else mapping.service
    return _Compiled(
        event,
        event_topic(TYPES[event.type][0]),
        _as_time(event.time, mapping, known),
        (lambda _row: service) if service else compile_value(wanted, mapping, known),
        [(name, compile_value(value, mapping, known)) for name, value in event.data.items()],
        event.key,
        counts,
    )


def _as_time(value: Any, mapping: Mapping, known: dict[str, str]) -> Read:
    spec = Value(column=value, kind="time") if isinstance(value, str) else msgspec.structs.replace(value, kind="time")
    return compile_value(spec, mapping, known)


def _iso(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


def _make(c: _Compiled, row: dict[str, Any], ident: str, source: str, team: str | None) -> MappedEvent:
    at = c.time(row)
    if at is None:
        raise BadValue("time", None, "an event needs a time")
    subject = c.service(row)
    if subject is None:
        raise BadValue("service", None, "an event needs a service")
    data = {}
    for name, read in c.data:
        found = read(row)
        if found is not None:
            data[name] = _iso(found)
        elif name == "up":
            data[name] = None  # "unknown from here on" is said, not left out
    key = "|".join([str(subject), *(str(row.get(k)) for k in c.key)])
    event: dict[str, Any] = {
        "specversion": "1.0", "id": ident, "source": source, "type": c.event.type, "time": _iso(at),
        "subject": str(subject), "data": data,
    }  # fmt: skip
    if team:
        event["csfteam"] = team
    if c.event.sequence is not None:
        try:
            event["sequence"] = int(row[c.event.sequence])
        except (ValueError, TypeError):
            raise BadValue(c.event.sequence, row[c.event.sequence], "it must be a whole number") from None
    service = service_id(str(subject)) or str(subject)
    return MappedEvent(c.topic, key, _encode(event), c.event.type, at, service)


def _sorted(
    rows: Iterator[tuple[int, dict[str, Any]]], mapping: Mapping, known: dict[str, str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    readers = [_as_time(column, mapping, known) for column in mapping.order_by]
    earliest = datetime.min.replace(tzinfo=UTC)

    def order(item: tuple[int, dict[str, Any]]) -> list[Any]:
        try:
            return [r(item[1]) or earliest for r in readers] + [item[0]]
        except BadValue:
            return [earliest] * len(readers) + [item[0]]

    held = []
    for item in rows:
        held.append(item)
        if len(held) > MAX_SORTED_ROWS:
            raise MappingError(
                f"more than {MAX_SORTED_ROWS:,} rows cannot be sorted: split the file, or leave out order_by"
            )
    held.sort(key=order)
    yield from held


def _firsts(
    rows: Iterator[tuple[int, dict[str, Any]]], compiled: list[_Compiled], mapping: Mapping, known: dict[str, str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Find, for events of which only the first row counts, which row that is."""
    wanted = [c for c in compiled if c.event.first_by is not None]
    if not wanted:
        yield from rows
        return
    held = list(rows)
    for c in wanted:
        first_by = c.event.first_by
        assert first_by is not None
        read = _as_time(first_by.order, mapping, known)
        best: dict[tuple[Any, ...], tuple[Any, int]] = {}
        for number, row in held:
            key = tuple(row.get(k) for k in first_by.key)
            rank = (read(row), number)
            if key not in best or rank < best[key]:
                best[key] = rank
        chosen = {number for _, number in best.values()}
        numbers = {id(row): number for number, row in held}
        before = c.counts
        c.counts = lambda row, before=before, chosen=chosen, numbers=numbers: (  # type: ignore[misc] # binds this turn's
            numbers[id(row)] in chosen and before(row)
        )
    yield from held
