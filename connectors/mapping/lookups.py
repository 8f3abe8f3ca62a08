"""Second files of a mapping: found beside the imported one, read whole, by the key of the row they belong to."""

from __future__ import annotations

from pathlib import Path

import msgspec

from connectors.mapping.conditions import condition
from connectors.mapping.files import OnBad, fingerprint, rows_of
from connectors.mapping.load import columns_taken
from connectors.mapping.model import Lookup, Mapping
from connectors.mapping.values import Lookups, Row
from pipeline.errors import MappingError

#: Rows of a second file are held in memory: more than this are refused.
MAX_ROWS = 2_000_000


def read_lookups(path: Path, mapping: Mapping, variables: dict[str, str], on_bad: OnBad) -> tuple[Lookups, list[str]]:
    """Return the rows of a mapping's second files, and what each file is (its fingerprint).

    Raises:
        MappingError: one is not there, or does not fit.
    """
    found: dict[str, tuple[str, dict[str, list[Row]]]] = {}
    prints: list[str] = []
    for name, lookup in mapping.lookups.items():
        beside = _beside(path, name, lookup, mapping, variables)
        prints.append(fingerprint(beside)[0])
        found[name] = (lookup.match, _table(beside, name, lookup, mapping, on_bad))
    return found, prints


def _beside(path: Path, name: str, lookup: Lookup, mapping: Mapping, variables: dict[str, str]) -> Path:
    if name in variables:
        given = Path(variables[name])
        if not given.is_file():
            raise MappingError(f"--set {name}={given}: there is no such file")
        return given
    try:
        matching = sorted(p for p in path.parent.glob(lookup.file) if p.is_file() and p != path)
    except (OSError, ValueError, NotImplementedError) as e:  # too long, empty, absolute
        raise MappingError(
            f"mapping {mapping.name}: lookups.{name}.file: '{lookup.file[:80]}' is no file name, with * for what varies: {e}"[
                :400
            ]
        ) from None
    if len(matching) != 1:
        what = ", ".join(p.name for p in matching) or "nothing"
        raise MappingError(
            f"mapping {mapping.name} needs one file {lookup.file} beside {path}, there is {what}; say --set {name}=PATH"
        )
    return matching[0]


def _table(path: Path, name: str, lookup: Lookup, mapping: Mapping, on_bad: OnBad) -> dict[str, list[Row]]:
    form = msgspec.structs.replace(
        mapping, format=lookup.format, delimiter=lookup.delimiter, records=lookup.records, columns=[], skip_lines=0
    )
    needed, optional = columns_taken(mapping, name)
    needed |= {lookup.key, *(w.column for w in lookup.when)}
    holds = condition(lookup.when, mapping)
    table: dict[str, list[Row]] = {}
    for count, (_, row) in enumerate(rows_of(path, form, on_bad, (needed, optional - needed))):
        if count >= MAX_ROWS:
            raise MappingError(f"{path}: has more than {MAX_ROWS:,} rows, too many to look up in: split both files")
        if holds(row) and row[lookup.key] is not None:
            table.setdefault(str(row[lookup.key]).strip(), []).append(row)
    return table
