"""Reading files: CSV, JSON Lines and JSON, gzipped or not, down to the columns a mapping reads."""

from __future__ import annotations

import codecs
import csv
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from connectors.files import open_unpacked
from connectors.mapping.fields import field_at, picked
from connectors.mapping.load import columns_of
from connectors.mapping.model import Mapping
from connectors.mapping.values import Row
from pipeline.errors import MappingError

#: Longest CSV field that is read, characters; what is made of it may still be refused as too large.
_LONGEST_FIELD = 32 * 1024 * 1024
#: Rows of JSON Lines that are looked at to say that a column is nowhere.
_LOOKED_AT = 1000
#: What is kept of a refused row, bytes.
KEPT = 65_536
#: What is shown of a file's columns, characters.
_SHOWN = 2000
_json = msgspec.json.Decoder()


@dataclass
class BadRow:
    """A row that could not be mapped.

    Attributes:
        row: its number in the file; the first record is 1.
        column: the column it failed at ("" where the whole row is unreadable).
        value: what the column holds, shortened.
        detail: what was wrong.
        raw: the columns that the mapping reads, as JSON, shortened.
    """

    row: int
    column: str
    value: str
    detail: str
    raw: bytes


@dataclass(frozen=True)
class _Columns:
    """The columns a mapping needs, and those it can do without."""

    needed: list[str]
    optional: list[str]

    @property
    def all(self) -> list[str]:
        return self.needed + self.optional


class _Undecoded:
    """How often bytes were met that are no text in the encoding that they are read by; each becomes U+FFFD."""

    met = 0


def _undecoded(error: UnicodeError) -> tuple[str | bytes, int]:
    _Undecoded.met += 1
    return codecs.replace_errors(error)


codecs.register_error("csf-undecoded", _undecoded)
OnBad = Callable[[BadRow], None]


def fingerprint(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file's unpacked content, which is its identity, and how many lines it has.

    Raises:
        MappingError: it cannot be read to its end.
    """
    digest, lines = sha256(), 0
    try:
        if not path.is_file():
            raise MappingError(
                f"{path}: is a folder, not a file" if path.is_dir() else f"{path}: there is no such file"
            )
        with open_unpacked(path) as f:
            while block := f.read(1 << 20):
                digest.update(block)
                lines += block.count(b"\n")
    except OSError as e:
        raise MappingError(f"{path}: cannot be read: {e.strerror or e}") from None
    except (EOFError, zlib.error) as e:
        raise MappingError(f"{path}: is a damaged gzip file ({e}); copy it again") from None
    return digest.hexdigest(), lines


def rows_of(
    path: Path, mapping: Mapping, on_bad: OnBad, wanted: tuple[set[str], set[str]] | None = None
) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a file with their numbers, each with the columns the mapping reads; None where one is absent.

    Args:
        path: the file.
        mapping: its format.
        on_bad: told of every row that is none.
        wanted: columns that are needed, and those that are read where they are there; default: what the mapping reads.

    Raises:
        MappingError: the file is not of the mapping's format, or lacks a column.
    """
    needed, optional = wanted or columns_of(mapping)
    columns = _Columns(sorted(needed), sorted(optional))
    try:
        with open_unpacked(path) as f:
            if mapping.format == "csv":
                raw = cast("io.BufferedReader", f)
                with io.TextIOWrapper(raw, mapping.encoding, errors="csf-undecoded", newline="") as lines:
                    yield from _csv_rows(lines, path, mapping, columns, on_bad)
            elif mapping.format == "jsonl":
                yield from _json_lines(f, path, mapping, columns, on_bad)
            else:
                yield from _json_records(f, path, mapping, columns, on_bad)
    except OSError as e:
        raise MappingError(f"{path}: cannot be read: {e.strerror or e}") from None
    except LookupError as e:
        raise MappingError(f"mapping {mapping.name}: encoding: {e}; use for example utf-8 or latin-1") from None


def _csv_rows(
    lines: IO[str], path: Path, mapping: Mapping, columns: _Columns, on_bad: OnBad
) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(_LONGEST_FIELD)
    met = _Undecoded.met
    for _ in islice(lines, mapping.skip_lines):
        pass
    first = next(lines, "") if mapping.delimiter == "auto" else ""
    reader = csv.reader(chain([first] if first else [], lines), delimiter=_delimiter(mapping.delimiter, first))
    try:
        header = mapping.columns or [name.strip() for name in next(reader, [])]
    except csv.Error as e:
        raise MappingError(f"{path}: is no CSV file: {e}") from None
    _has_columns(dict.fromkeys(header), columns, mapping, path, _hint(header))
    places = [(name, header.index(name)) for name in columns.all if name in header]
    wanted, number = len(header), 0
    kept: dict[str, str] = {}
    keep = kept.setdefault
    while True:
        number += 1
        try:
            cells = next(reader, None)
        except csv.Error as e:
            on_bad(BadRow(number, "", "", f"row {number} is no CSV: {e}", b""))
            continue
        if cells is None:
            return
        if len(cells) != wanted:
            if cells:
                detail = f"row {number} has {len(cells)} columns, the header {wanted}"
                on_bad(BadRow(number, "", "", detail, ",".join(cells).encode(errors="replace")[:KEPT]))
            continue
        if len(kept) > 500_000:  # sharing equal texts keeps sorted files small; a file of unequal ones gains nothing
            kept.clear()
        row: Row = {name: keep(cells[i], cells[i]) for name, i in places}
        if _Undecoded.met != met and (odd := next((name for name in row if "\ufffd" in str(row[name])), None)):
            detail = f"row {number}: {odd} is no text in {mapping.encoding.removesuffix('-sig')}; name the file's encoding in the mapping (cp1252)"
            on_bad(BadRow(number, odd, str(row[odd])[:80], detail, ",".join(cells).encode()[:KEPT]))
            continue
        yield number, row


def _hint(header: list[str]) -> str:
    """Return what to do about a line of names that does not look like one."""
    if "\ufffd" in "".join(header) or "\0" in "".join(header):
        return "; the file is no text in this encoding: name its own in the mapping, for example encoding: utf-16"
    other = next((d for d in ";\t|" if len(header) == 1 and d in header[0]), None)
    word = "tab" if other == "\t" else f"'{other}'"
    return f"; they look as if {word} were between them: say delimiter: {word} in the mapping" if other else ""


def _delimiter(said: str, first: str) -> str:
    """Return the character between columns; ``auto``: the one that the first line has most of."""
    if said == "auto":
        return max(",;\t", key=first.count)
    return "\t" if said == "tab" else said


def _has_columns(found: dict[str, None], columns: _Columns, mapping: Mapping, path: Path, hint: str = "") -> None:
    lacking = [name for name in columns.needed if name not in found]
    if lacking:
        shown = ", ".join(found)[:_SHOWN] or "none"
        raise MappingError(
            f"{path}: lacks {', '.join(lacking)}, which mapping {mapping.name} reads; its columns are: {shown}{hint}"
        )


def _json_lines(
    f: IO[bytes], path: Path, mapping: Mapping, columns: _Columns, on_bad: OnBad
) -> Iterator[tuple[int, Row]]:
    first: list[tuple[int, Row]] = []
    found: dict[str, None] = {}
    checked = False
    for number, line in enumerate(f, start=1):
        if not line.strip():
            continue
        record = _object(line.decode("utf-8-sig", errors="replace"), number, on_bad)
        if record is None:
            continue
        row = picked(record, columns.all)
        if checked:
            yield number, row
            continue
        first.append((number, row))
        found.update(dict.fromkeys(record))
        found.update({name: None for name, value in row.items() if value is not None})
        if len(first) >= _LOOKED_AT:
            _has_columns(found, columns, mapping, path)
            checked = True
            yield from first
    if not checked:
        _has_columns(found, columns, mapping, path)
        yield from first


def _object(text: str, number: int, on_bad: OnBad) -> dict[str, Any] | None:
    try:
        record = _json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        on_bad(BadRow(number, "", text[:80], f"row {number} is no JSON: {e}", text[:KEPT].encode(errors="replace")))
        return None
    if not isinstance(record, dict):
        on_bad(BadRow(number, "", text[:80], f"row {number} is no JSON object", text[:KEPT].encode(errors="replace")))
        return None
    return record


def _json_records(
    f: IO[bytes], path: Path, mapping: Mapping, columns: _Columns, on_bad: OnBad
) -> Iterator[tuple[int, Row]]:
    try:
        document = _json.decode(f.read().decode("utf-8-sig", errors="replace"))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise MappingError(f"{path}: is no JSON file: {e}") from None
    for name in filter(None, (mapping.records or "").split(".")):
        if not isinstance(document, dict) or name not in document:
            there = ", ".join(document) if isinstance(document, dict) else f"a {type(document).__name__}"
            raise MappingError(
                f"{path}: has no '{mapping.records}', where mapping {mapping.name} looks for records; it has: {there}"
            )
        document = document[name]
    if not isinstance(document, list):
        raise MappingError(f"{path}: '{mapping.records or 'the document'}' is no array of objects")
    found: dict[str, None] = {}
    for record in document[:_LOOKED_AT]:
        if isinstance(record, dict):
            found.update(dict.fromkeys(record))
            found.update({name: None for name in columns.all if field_at(record, name) is not None})
    _has_columns(found, columns, mapping, path)
    for number, record in enumerate(document, start=1):
        if isinstance(record, dict):
            yield number, picked(record, columns.all)
        else:
            on_bad(BadRow(number, "", str(record)[:80], f"record {number} is no JSON object", b""))
