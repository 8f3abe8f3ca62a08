"""From a file to events: rows read in bounded memory (unless they must be sorted), mapped, and accounted for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from connectors.mapping.events import Check, CompiledEvent, MappedEvent, as_time, compile_event, fact_of, written
from connectors.mapping.files import KEPT, BadRow, OnBad, fingerprint, rows_of
from connectors.mapping.lookups import read_lookups
from connectors.mapping.model import FromFile, Mapping, Polled
from connectors.mapping.values import BadValue, Row
from pipeline.engine.services import service_id
from pipeline.errors import MappingError
from pipeline.events.families import event_topic

CONTROL = event_topic("control")
_encode = msgspec.json.Encoder().encode
#: Rows that are sorted are held in memory: more than this are refused.
MAX_SORTED_ROWS = 5_000_000


@dataclass
class Summary:
    """What became of a file."""

    fingerprint: str = ""
    #: what its events name as their source: the system they come from, the same for every file of it
    source: str = ""
    #: the rules it was read by, as a hash of mapping and variables
    rules: str = ""
    #: event types it would hold, had there been any
    types: list[str] = field(default_factory=list)
    #: of when it says to be the whole truth; None: from its first to its last event
    polled_from: datetime | None = None
    polled_to: datetime | None = None
    #: lines of the file, about the number of rows
    lines: int = 0
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
        if event.topic != CONTROL:  # what is said of the pipeline itself is of no service
            self.services.add(event.service)


def variables_for(path: Path, mapping: Mapping, given: dict[str, str] | None) -> dict[str, str]:
    """Return the variables of a run: file name, the mapping's own, and what was given; the last word counts.

    Raises:
        MappingError: one was given that the mapping does not have.
    """
    known = {"stem": path.name.split(".")[0], "file": path.name}
    for name, default in mapping.vars.items():
        if isinstance(default, str):
            known[name] = default
        elif isinstance(default, FromFile) and (found := re.search(default.file, path.name)):
            known[name] = found.group(1)
    for name, value in (given or {}).items():
        if name not in known and name not in mapping.vars and name not in mapping.lookups:
            allowed = ", ".join({**known, **mapping.vars, **mapping.lookups})
            raise MappingError(f"--set {name}: mapping {mapping.name} has no such variable; it has: {allowed}")
        known[name] = value
    return known


def map_file(
    path: Path,
    mapping: Mapping,
    variables: dict[str, str] | None = None,
    on_bad: OnBad = lambda _bad: None,
    summary: Summary | None = None,
    service: str | None = None,
    check: Check = lambda _type, _data: None,
) -> Iterator[MappedEvent]:
    """Yield the events of a file; ids follow from its content, the rules and the row: again, it changes nothing.

    Args:
        path: the file, maybe gzipped.
        mapping: how to read it.
        variables: values of --set.
        on_bad: told of every row that cannot be mapped.
        summary: filled while events are yielded.
        service: overrides the mapping's service.
        check: told of every event's type and data; raises BadValue where a row is none after all.

    Raises:
        MappingError: the file does not fit the mapping; nothing was yielded.
    """
    summary = summary if summary is not None else Summary()
    summary.fingerprint, summary.lines = fingerprint(path)
    known = variables_for(path, mapping, variables)
    _describe(summary, mapping, known, service)

    def refuse(bad: BadRow) -> None:
        summary.bad += 1
        on_bad(bad)

    lookups, prints = read_lookups(path, mapping, known, refuse)
    compiled = [compile_event(event, mapping, known, lookups, service) for event in mapping.events]
    ident = sha256("|".join([summary.fingerprint, summary.rules, *prints]).encode()).hexdigest()[:16]
    source = summary.source

    def read() -> Iterator[tuple[int, Row]]:
        for numbered in rows_of(path, mapping, refuse):
            summary.rows += 1
            if summary.rows <= mapping.skip_rows:
                summary.skipped += 1
                continue
            yield numbered

    rows = _sorted(read(), mapping, known) if mapping.order_by else read()
    for number, row in _firsts(rows, compiled, mapping, known):
        said = False
        for index, c in enumerate(compiled):
            if not c.counts(row) or (c.chosen is not None and number not in c.chosen):
                continue
            said = True
            try:
                fact = fact_of(c, row, check)
                event = written(fact, f"{ident}-{number}-{index}", source, mapping.team)
            except BadValue as e:
                raw = _encode({k: str(v) for k, v in row.items()})[:KEPT]
                refuse(BadRow(number, e.column, e.value, f"row {number}: {e}", raw))
                break
            summary.count(event)
            yield event
        summary.skipped += not said


def _describe(summary: Summary, mapping: Mapping, known: dict[str, str], service: str | None) -> None:
    """Note whose word the file is, by which rules, of which types and times."""
    plain = msgspec.structs.replace(mapping, description="")
    rules = msgspec.json.encode([plain, {name: known.get(name) for name in sorted(mapping.vars)}, service])
    summary.rules = sha256(rules).hexdigest()[:16]
    summary.source = f"import/{mapping.source or mapping.name}"
    if service:  # the same numbers of another service are other incidents
        summary.source += f"/{service_id(service) or service}"
    polled = mapping.polled or Polled()
    summary.types = sorted(set(polled.types) or {event.type for event in mapping.events})
    try:
        if polled.from_ is not None:
            summary.polled_from = as_time(polled.from_, mapping, known)({})
        if polled.to is not None:
            summary.polled_to = as_time(polled.to, mapping, known)({})
    except BadValue as e:
        raise MappingError(f"mapping {mapping.name}: polled: {e}") from None


def _sorted(rows: Iterator[tuple[int, Row]], mapping: Mapping, known: dict[str, str]) -> Iterator[tuple[int, Row]]:
    """Sort rows by the times of columns; one whose time cannot be read comes first and is refused in its turn."""
    readers = [as_time(column, mapping, known) for column in mapping.order_by]
    earliest = datetime.min.replace(tzinfo=UTC)

    def order(item: tuple[int, Row]) -> tuple[Any, ...]:
        try:
            return (*(r(item[1]) or earliest for r in readers), item[0])
        except BadValue:
            return (*(earliest for _ in readers), item[0])

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
    rows: Iterator[tuple[int, Row]], compiled: list[CompiledEvent], mapping: Mapping, known: dict[str, str]
) -> Iterator[tuple[int, Row]]:
    """Find, for events of which only the first row of several counts, which row that is."""
    wanted = [c for c in compiled if c.event.first_by is not None]
    if not wanted:
        yield from rows
        return
    held = list(rows)
    for c in wanted:
        c.chosen = _chosen(held, c, mapping, known)
    yield from held


def _chosen(held: list[tuple[int, Row]], c: CompiledEvent, mapping: Mapping, known: dict[str, str]) -> set[int]:
    first_by = c.event.first_by
    if first_by is None:
        return set()
    read = as_time(first_by.order, mapping, known)
    best: dict[tuple[Any, ...], tuple[datetime, int]] = {}
    unreadable: set[int] = set()
    for number, row in held:
        if not c.counts(row):
            continue
        try:
            at = read(row)
        except BadValue:
            at = None
        if at is None:
            unreadable.add(number)  # chosen, so that it is refused with its reason
            continue
        # an object or a list of JSON is told by its text: only texts and numbers can be keys
        key = tuple(str(v) if isinstance(v := row[k], list | dict) else v for k in first_by.key)
        if key not in best or (at, number) < best[key]:
            best[key] = (at, number)
    return {number for _, number in best.values()} | unreadable
