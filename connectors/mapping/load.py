"""Loading mappings, with messages that name file, key and what is allowed."""

from __future__ import annotations

import codecs
import difflib
import re
import warnings
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.mapping.model import Event, First, FromFile, Lookup, Mapping, Polled, Value, When
from connectors.mapping.values import PLACE
from pipeline.catalogue.reading import read_yaml
from pipeline.errors import CatalogueError, MappingError
from pipeline.events.families import TYPES
from pipeline.wording import plainly, words_at

_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]+)`")
_MISSING = re.compile(r"missing required field `(?P<key>[^`]+)`")
_MOST_SECONDS, _MOST_SCALE = 100 * 366 * 86_400.0, 1e12
_FOLDER = Path(__file__).resolve().parent.parent / "mappings"


def shipped() -> dict[str, Path]:
    """Return the mappings that come with the program: name → file."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def load_mapping(name: str) -> Mapping:
    """Return a mapping by name or path, checked.

    Raises:
        MappingError: there is none, or it is wrong; the message names file, key and what is allowed.
    """
    path = shipped().get(name) or Path(name)
    if not path.is_file():
        known = ", ".join(shipped())
        if "/" in name or name.endswith((".yaml", ".yml")):
            raise MappingError(f"{name}: there is no such file; shipped mappings: {known}")
        close = difflib.get_close_matches(name, shipped(), 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise MappingError(f"there is no mapping '{name}'{hint} (shipped: {known}; or name a .yaml file)")
    try:
        document = read_yaml(path)
    except CatalogueError as e:
        raise MappingError(str(e)) from None
    return read_mapping(document, str(path))


def read_mapping(document: object, where: str) -> Mapping:
    """Return a mapping from what YAML holds, checked.

    Raises:
        MappingError: it is wrong; the message names ``where``, key and what is allowed.
    """
    if not isinstance(document, dict):
        raise MappingError(f"{where}: is no mapping; it must have the keys name, service and events")
    try:
        mapping = msgspec.convert(document, Mapping)
    except msgspec.ValidationError as e:
        raise MappingError(f"{where}: {_sentence(e, document)}") from None
    _check(mapping, where)
    return mapping


def _sentence(error: msgspec.ValidationError, document: dict[str, Any]) -> str:
    """Return what msgspec found in words of the file: the key, what is wrong, what is allowed."""
    what, _, where = str(error).partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    allowed = ""
    if found := _UNKNOWN.search(what):
        kinds = (Value, When, First, Event, Mapping, FromFile, Lookup, Polled)
        steps = [step for step in re.split(r"[.\[\]]+", where) if step and step != "..."]
        kind = next((k for k in kinds if _holds_at(k, steps)), Value)
        names = [f.encode_name for f in msgspec.structs.fields(kind)]
        close = difflib.get_close_matches(found["key"], names, 1)
        where = _field(where, found["key"], document)
        what = f"unknown key '{found['key']}'" + (f"; did you mean '{close[0]}'?" if close else "")
        allowed = f"; allowed: {', '.join(names)}"
    elif found := _MISSING.search(what):
        what = f"the key '{found['key']}' is missing"
    else:
        allowed = words_at(Mapping, where)
    return f"{where + ': ' if where else ''}{plainly(what)}{allowed}"


def _field(where: str, key: str, document: dict[str, Any]) -> str:
    """Return the path with the name of the field in place of ``data[...]``."""
    if found := re.match(r"events\[(\d+)\]\.data\[\.\.\.\]$", where):
        data = document["events"][int(found.group(1))]["data"]
        name = next((n for n, value in data.items() if isinstance(value, dict) and key in value), "...")
        return where.replace("data[...]", f"data.{name}")
    return where


def _holds_at(kind: type[msgspec.Struct], steps: list[str]) -> bool:
    """Return whether a path of keys leads to this kind of object."""
    last = steps[-1] if steps else ""
    before = steps[-2] if len(steps) > 1 else ""
    return {
        Mapping: not steps,
        Event: last.isdigit() and before == "events",
        When: last.isdigit() and before == "when",
        First: last == "first_by",
        FromFile: before == "vars" or last == "vars",
        Lookup: before == "lookups" or last == "lookups",
        Polled: last == "polled",
        Value: False,
    }[kind]


def _check(mapping: Mapping, where: str) -> None:
    _check_zone(mapping.zone, f"{where}: zone")
    _check_delimiter(mapping.delimiter, f"{where}: delimiter")
    if mapping.skip_lines < 0 or mapping.skip_rows < 0:
        raise MappingError(f"{where}: skip_lines and skip_rows must be 0 or more")
    if mapping.thousands and mapping.thousands == mapping.decimal:
        raise MappingError(f"{where}: thousands and decimal are the same mark '{mapping.decimal}'")
    for name, lookup in mapping.lookups.items():
        _check_delimiter(lookup.delimiter, f"{where}: lookups.{name}.delimiter")
        _check_conditions(lookup.when, f"{where}: lookups.{name}")
    _check_polled(mapping, where)
    try:
        codecs.lookup(mapping.encoding)
    except LookupError:
        raise MappingError(f"{where}: encoding: there is no '{mapping.encoding}'; use utf-8 or latin-1") from None
    if not mapping.events:
        raise MappingError(f"{where}: events: name at least one event")
    for name, default in mapping.vars.items():
        if isinstance(default, FromFile):
            _check_pattern(default.file, f"{where}: vars.{name}.file", groups=1)
    for i, event in enumerate(mapping.events):
        _check_event(event, mapping, f"{where}: events[{i}]")
    _check_value(mapping.service, mapping, f"{where}: service")


def _check_event(event: Event, mapping: Mapping, at: str) -> None:
    if event.type not in TYPES:
        close = difflib.get_close_matches(event.type, TYPES, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise MappingError(f"{at}.type: there is no event type '{event.type}'{hint}; allowed: {', '.join(TYPES)}")
    fields = {f.encode_name: f for f in msgspec.structs.fields(TYPES[event.type][1])}
    for name in event.data:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, 1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise MappingError(f"{at}.data: {event.type} has no field '{name}'{hint}; allowed: {', '.join(fields)}")
    lacking = [n for n, f in fields.items() if f.required and n not in event.data]
    if lacking:
        raise MappingError(f"{at}.data: {event.type} needs {', '.join(lacking)}")
    values: dict[str, str | Value | None] = {f"data.{name}": value for name, value in event.data.items()}
    values |= {"time": event.time, "service": event.service}
    if event.first_by:
        values["first_by.order"] = event.first_by.order
    for name, value in values.items():
        if value is not None:
            _check_value(value, mapping, f"{at}.{name}")
    _check_conditions(event.when, at)


def _check_conditions(when: list[When], at: str) -> None:
    for j, condition in enumerate(when):
        if sum(each is not None for each in (condition.among, condition.not_among, condition.matches)) > 1:
            raise MappingError(f"{at}.when[{j}]: name one of in, not_in and matches")
        if condition.matches is not None:
            _check_pattern(condition.matches, f"{at}.when[{j}].matches")


def _check_delimiter(delimiter: str, where: str) -> None:
    if len(delimiter) != 1 and delimiter not in {"tab", "auto"}:
        raise MappingError(f"{where}: '{delimiter}' must be one character, like ',' or ';', or tab, or auto")


def _check_polled(mapping: Mapping, where: str) -> None:
    if mapping.polled is None:
        return
    for name in mapping.polled.types:
        if name not in TYPES:
            raise MappingError(f"{where}: polled.types: there is no event type '{name}'; allowed: {', '.join(TYPES)}")
    for key, value in (("from", mapping.polled.from_), ("to", mapping.polled.to)):
        if isinstance(value, str) or (value is not None and value.column is not None):
            raise MappingError(f"{where}: polled.{key}: is of the whole file: name a const, a template or a var")
        if value is not None:
            _check_value(value, mapping, f"{where}: polled.{key}")


def _check_value(value: str | Value, mapping: Mapping, where: str) -> None:
    if isinstance(value, str):
        return
    given: dict[str, Any] = {
        "column": value.column, "const": None if value.const is msgspec.UNSET else value, "template": value.template,
        "var": value.var, "equal": value.equal, "lookup": value.lookup,
    }  # fmt: skip
    origins = [name for name, what in given.items() if what is not None]
    if len(origins) != 1:
        named = ", ".join(origins) or "none"
        raise MappingError(
            f"{where}: name exactly one of column, const, template, var, equal, lookup; it names {named}"
        )
    if value.lookup is not None and value.lookup not in mapping.lookups:
        raise MappingError(
            f"{where}: there is no lookup '{value.lookup}'; lookups: {', '.join(mapping.lookups) or 'none'}"
        )
    if (value.lookup is None) != (value.take is None):
        raise MappingError(f"{where}: lookup and take belong together: take says what is wanted of each row found")
    if isinstance(value.take, Value):
        _check_value(value.take, mapping, f"{where}.take")
    _check_marks(value, where)
    if value.plus is not None:
        if value.kind != "time" and not where.endswith(".time"):  # an event's time is one without saying so
            raise MappingError(f"{where}: plus is of times; say as: time")
        _check_value(value.plus, mapping, f"{where}.plus")
    if value.pattern is not None:
        _check_pattern(value.pattern, f"{where}.pattern")
    if value.zone is not None:
        _check_zone(value.zone, f"{where}.zone")
    names = [value.var] if value.var else [n[4:] for n in PLACE.findall(value.template or "") if n.startswith("var:")]
    known = ["stem", "file", *mapping.vars]
    for name in names:
        if name not in known:
            raise MappingError(f"{where}: there is no variable '{name}'; allowed: {', '.join(known)} (see vars)")
    if value.other is not msgspec.UNSET and value.map is None:
        raise MappingError(f"{where}: else says what map does not name; there is no map")


def _check_marks(value: Value, where: str) -> None:
    if not abs(value.add_seconds) <= _MOST_SECONDS:
        raise MappingError(f"{where}: add_seconds is {value.add_seconds:g}; it must be within a hundred years")
    if not 0 < abs(value.scale) <= _MOST_SCALE:
        raise MappingError(f"{where}: scale is {value.scale:g}; it must be a number other than 0, within 1e12")
    if value.thousands and value.thousands == (value.decimal or "."):
        raise MappingError(f"{where}: thousands and decimal are the same mark '{value.thousands}'")
    if value.format is not None and value.kind not in {"time", "text"}:
        raise MappingError(f"{where}: format is of times; say as: time")


def _check_pattern(pattern: str, where: str, groups: int = 0) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as e:
        raise MappingError(f"{where}: is no regular expression: {e}") from None
    except FutureWarning as e:  # what a mapping makes of a file must not depend on the interpreter
        raise MappingError(
            f"{where}: another version of Python may read this regular expression in another way ({str(e).lower()}): "
            "put a \\ before what stands for itself"
        ) from None
    if compiled.groups < groups:
        raise MappingError(f"{where}: put the part that is wanted in (parentheses)")


def _check_zone(zone: str, where: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise MappingError(f"{where}: '{zone}' is no time zone; use one like Europe/Zurich or UTC") from None


def columns_of(mapping: Mapping) -> tuple[set[str], set[str]]:
    """Return the columns a mapping needs, and those it reads where they are there (alternatives)."""
    found: set[str] = set(mapping.order_by) | {lookup.match for lookup in mapping.lookups.values()}
    optional: set[str] = set()

    def note(value: str | Value | None) -> None:
        _note(value, found, optional)

    note(mapping.service)
    for event in mapping.events:
        note(event.time)
        note(event.service)
        for value in event.data.values():
            note(value)
        found.update(event.key)
        found.update(w.column for w in event.when)
        if event.sequence:
            note(event.sequence)
        if event.first_by:
            found.update(event.first_by.key)
            note(event.first_by.order)
    return found, optional - found


def columns_taken(mapping: Mapping, lookup: str) -> tuple[set[str], set[str]]:
    """Return the columns that a mapping takes from the rows of a second file: needed, and alternatives."""
    found: set[str] = set()
    optional: set[str] = set()
    for event in mapping.events:
        for value in event.data.values():
            if isinstance(value, Value) and value.lookup == lookup:
                _note(value.take, found, optional)
    return found, optional - found


def _note(value: str | Value | None, found: set[str], optional: set[str]) -> None:
    """Add the columns a value reads."""
    if isinstance(value, str):
        found.add(value)
    elif value is not None:
        if isinstance(value.column, str):
            found.add(value.column)
        else:
            optional.update(value.column or ())
        if value.template is not None:
            found.update(name for name in PLACE.findall(value.template) if not name.startswith("var:"))
        found.update(value.equal or ())
        _note(value.plus, found, optional)
