"""Loading mappings, with messages that name file, key and what is allowed."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import yaml

from connectors.mapping.model import Mapping, Value
from pipeline.errors import MappingError
from pipeline.events.families import TYPES

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
    try:
        text = path.read_text()
    except OSError as e:
        known = ", ".join(shipped())
        if "/" in name or name.endswith((".yaml", ".yml")):
            raise MappingError(f"{name}: cannot be read: {e.strerror}") from None
        close = difflib.get_close_matches(name, shipped(), 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise MappingError(f"there is no mapping '{name}'{hint} (shipped: {known}; or name a .yaml file)") from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise MappingError(f"{path}: is no YAML: {' '.join(str(e).split())[:200]}") from None
    try:
        mapping = msgspec.convert(document, Mapping)
    except msgspec.ValidationError as e:
        raise MappingError(f"{path}: {e}") from None
    _check(mapping, str(path))
    return mapping


def _check(mapping: Mapping, where: str) -> None:
    for zone in {mapping.zone}:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise MappingError(f"{where}: zone: '{zone}' is no time zone, like Europe/Zurich or UTC") from None
    if not mapping.events:
        raise MappingError(f"{where}: events: name at least one event")
    for i, event in enumerate(mapping.events):
        at = f"{where}: events[{i}]"
        if event.type not in TYPES:
            close = difflib.get_close_matches(event.type, TYPES, 1)
            hint = f"; did you mean '{close[0]}'?" if close else f"; allowed: {', '.join(TYPES)}"
            raise MappingError(f"{at}.type: there is no event type '{event.type}'{hint}")
        struct = TYPES[event.type][1]
        fields = {f.encode_name: f for f in msgspec.structs.fields(struct)}
        for name in event.data:
            if name not in fields:
                close = difflib.get_close_matches(name, fields, 1)
                hint = f"; did you mean '{close[0]}'?" if close else f"; allowed: {', '.join(fields)}"
                raise MappingError(f"{at}.data: {event.type} has no field '{name}'{hint}")
        lacking = [n for n, f in fields.items() if f.required and n not in event.data]
        if lacking:
            raise MappingError(f"{at}.data: {event.type} needs {', '.join(lacking)}")
        for name, value in {"time": event.time, **event.data}.items():
            _check_value(value, f"{at}.{name}")
    _check_value(mapping.service, f"{where}: service")


def _check_value(value: str | Value, where: str) -> None:
    if isinstance(value, str):
        return
    origins = [
        n
        for n, given in (
            ("column", value.column is not None),
            ("const", value.const is not msgspec.UNSET),
            ("template", value.template is not None),
            ("var", value.var is not None),
            ("equal", value.equal is not None),
        )
        if given
    ]
    if len(origins) != 1:
        raise MappingError(
            f"{where}: name exactly one of column, const, template, var, equal; it names {origins or 'none'}"
        )
    if value.pattern is not None:
        try:
            re.compile(value.pattern)
        except re.error as e:
            raise MappingError(f"{where}.pattern: is no regular expression: {e}") from None


def columns_of(mapping: Mapping) -> set[str]:
    """Return every column a mapping reads without an alternative."""
    found: set[str] = set(mapping.order_by)

    def note(value: str | Value | None) -> None:
        if isinstance(value, str):
            found.add(value)
        elif value is not None:
            if isinstance(value.column, str):
                found.add(value.column)
            if value.template is not None:
                found.update(re.findall(r"\{([^{}]+)\}", value.template))
            found.update(value.equal or ())

    note(mapping.service)
    for event in mapping.events:
        note(event.time)
        note(event.service)
        for value in event.data.values():
            note(value)
        found.update(event.key)
        found.update(w.column for w in event.when)
        if event.sequence:
            found.add(event.sequence)
        if event.first_by:
            found.update(event.first_by.key)
            note(event.first_by.order)
    return found
