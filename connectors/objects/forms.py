"""From a file to rows and from rows to events: by a mapping of file imports, or an access log.

A row's events have ids that follow from the file's name, the row's number and what it says: a file that grew tells its
first rows again as the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import msgspec

from connectors.access_log import LogMapper, parse_line
from connectors.engine.config import Entry
from connectors.files import open_unpacked
from connectors.following import LONGEST_LINE
from connectors.mapping.events import MappedEvent, compile_event, fact_of, written
from connectors.mapping.files import KEPT, BadRow, rows_of
from connectors.mapping.model import Mapping
from connectors.mapping.run import variables_for
from connectors.mapping.values import BadValue, Row
from pipeline.errors import ConfigError

_encode = msgspec.json.Encoder(order="deterministic").encode
OnBad = Callable[[BadRow], None]


@dataclass(frozen=True)
class Line:
    """One row of a file: its number, what it says (as a digest takes it), and what makes its events."""

    number: int
    content: bytes
    events: Callable[[OnBad], Iterator[MappedEvent]]


class Form(Protocol):
    """How files are read.

    Attributes:
        types: event types that they hold.
        reason: of dead letters.
        by_lines: a file that still grows can be read up to its last whole line.
    """

    types: list[str]
    reason: str
    by_lines: bool

    def lines(self, path: Path, name: str, on_bad: OnBad) -> Iterator[Line]:
        """Yield the rows of a file; ``on_bad`` is told of those that are none.

        Raises:
            MappingError: the file is not of this form.
        """


class MappedFiles:
    """Files of a mapping: CSV, JSON Lines, JSON.

    Raises:
        ConfigError: the mapping needs a whole file at once, which a file that still grows is not.
    """

    reason = "unmappable-row"

    def __init__(self, mapping: Mapping, entry: Entry, source: str, variables: dict[str, str]) -> None:
        whole = [k for k in ("order_by", "lookups", "polled", "skip_rows") if getattr(mapping, k)]
        whole += ["first_by"] if any(e.first_by for e in mapping.events) else []
        if whole:
            raise ConfigError(f"mapping {mapping.name}: {whole[0]} needs a whole file; use csf import")
        self._mapping, self._entry, self._source, self._variables = mapping, entry, source, variables
        self._team = entry.team or mapping.team
        self.types = sorted({e.type for e in mapping.events})
        self.by_lines = mapping.format == "jsonl"  # a cell of CSV may hold the end of a line

    def lines(self, path: Path, name: str, on_bad: OnBad) -> Iterator[Line]:
        """Yield its rows; see ``Form``."""
        known = variables_for(Path(name), self._mapping, self._variables)
        compiled = [compile_event(event, self._mapping, known) for event in self._mapping.events]

        def events(number: int, row: Row, content: bytes) -> Callable[[OnBad], Iterator[MappedEvent]]:
            def make(refuse: OnBad) -> Iterator[MappedEvent]:
                ident = sha256(_encode([self._source, name, number]) + content).hexdigest()[:32]
                for index, c in enumerate(compiled):
                    if not c.counts(row):
                        continue
                    try:
                        fact = fact_of(c, row)
                        fact.subject = (
                            self._entry.services.get(fact.subject) or self._entry.other_service or fact.subject
                        )
                        yield written(fact, f"{ident}-{index}", self._source, self._team)
                    except BadValue as e:
                        refuse(BadRow(number, e.column, e.value, f"row {number}: {e}", content[:KEPT]))
                        return

            return make

        for number, row in rows_of(path, self._mapping, on_bad):
            content = _encode({k: _said(v) for k, v in row.items()})
            yield Line(number, content, events(number, row, content))


def _said(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | type(None)) else str(value)


class AccessLogs:
    """Access logs of the combined format."""

    reason = "malformed-log-line"
    by_lines = True

    def __init__(self, mapper: LogMapper, source: str) -> None:
        self._mapper, self._source = mapper, source
        self.types = ["page.viewed", "request.measured"]

    def lines(self, path: Path, name: str, on_bad: OnBad) -> Iterator[Line]:
        """Yield its lines; see ``Form``."""
        with open_unpacked(path) as f:
            for number, raw in enumerate(iter(lambda: f.readline(LONGEST_LINE), b""), start=1):
                yield Line(number, raw, self._events(number, raw, name))

    def _events(self, number: int, raw: bytes, name: str) -> Callable[[OnBad], Iterator[MappedEvent]]:
        def make(refuse: OnBad) -> Iterator[MappedEvent]:
            hit = parse_line(raw.decode(errors="replace").rstrip("\n"))
            if hit is None:
                told = raw[:80].decode(errors="replace")
                refuse(BadRow(number, "", told, f"line {number} is not of the combined format", raw[:KEPT]))
                return
            ident = sha256(_encode([self._source, name, number]) + raw).hexdigest()[:32]
            yield from self._mapper.events(hit, ident, self._source)

        return make
