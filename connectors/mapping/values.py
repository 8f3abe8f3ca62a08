"""Values of a row: compiled once a mapping, applied once a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.mapping.model import Mapping as FileMapping
from connectors.mapping.model import Value
from pipeline.errors import CsfError, MappingError

Row = Mapping[str, Any]
Read = Callable[[Row], Any]

_TRUE = frozenset({"true", "1", "yes", "y", "on", "t"})
_FALSE = frozenset({"false", "0", "no", "n", "off", "f"})
_CACHE = 200_000


class BadValue(CsfError):
    """A row holds what its mapping cannot read.

    Attributes:
        column: where.
        value: what it holds.
    """

    def __init__(self, column: str, value: object, wanted: str) -> None:
        super().__init__(f"{column} is {str(value)[:80]!r}; {wanted}")
        self.column, self.value = column, value


def compile_value(value: str | Value, mapping: FileMapping, variables: dict[str, str]) -> Read:
    """Return what reads a value from a row; None where it is missing.

    Raises:
        MappingError: it reads a variable that was not given.
    """
    spec = Value(column=value) if isinstance(value, str) else value
    origin, label = _origin(spec, mapping, variables)
    steps: list[Callable[[Any], Any]] = []
    if spec.pattern is not None:
        steps.append(_matching(re.compile(spec.pattern)))
    if spec.map is not None:
        steps.append(_mapped(spec, label))
    if spec.kind != "text":
        steps.append(_converted(spec, label, mapping))
    default = None if spec.default is msgspec.UNSET else spec.default

    def read(row: Row) -> Any:
        found = origin(row)
        for step in steps:
            if found is None:
                return default
            found = step(found)
        return default if found is None else found

    return read


def _origin(spec: Value, mapping: FileMapping, variables: dict[str, str]) -> tuple[Read, str]:
    missing = frozenset(mapping.missing)

    def clean(raw: Any) -> Any:
        if isinstance(raw, str):
            raw = raw.strip()
            return None if raw in missing else raw
        return raw

    if spec.const is not msgspec.UNSET:
        return (lambda _row: spec.const), "const"
    if spec.var is not None:
        if spec.var not in variables:
            raise MappingError(f"mapping {mapping.name}: it needs '{spec.var}': give --set {spec.var}=...")
        return (lambda _row: variables[spec.var or ""]), spec.var
    if spec.equal is not None:
        a, b = spec.equal
        return (lambda row: 1 if clean(row.get(a)) == clean(row.get(b)) else 0), f"{a}, {b}"
    if spec.template is not None:
        names = re.findall(r"\{([^{}]+)\}", spec.template)
        template = spec.template

        def filled(row: Row) -> Any:
            text = template
            for name in names:
                part = clean(row.get(name))
                if part is None:
                    return None
                text = text.replace("{" + name + "}", str(part))
            return text

        return filled, ", ".join(names)
    columns = [spec.column] if isinstance(spec.column, str) else spec.column or []
    if len(columns) == 1:
        name = columns[0]
        return (lambda row: clean(row.get(name))), name
    return (lambda row: next((v for c in columns if (v := clean(row.get(c))) is not None), None)), ", ".join(columns)


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], Any]:
    def match(text: Any) -> Any:
        found = pattern.search(str(text))
        if found is None:
            return None
        return found.group(1) if pattern.groups else found.group()

    return match


def _mapped(spec: Value, label: str) -> Callable[[Any], Any]:
    table, other = spec.map or {}, spec.other

    def look_up(text: Any) -> Any:
        key = str(text)
        if key in table:
            return table[key]
        if other is not msgspec.UNSET:
            return other
        raise BadValue(label, text, f"the mapping knows: {', '.join(table)}")

    return look_up


def _converted(spec: Value, label: str, mapping: FileMapping) -> Callable[[Any], Any]:
    match spec.kind:
        case "int":
            return lambda raw: _number(raw, label, spec.scale, whole=True)
        case "float":
            return lambda raw: _number(raw, label, spec.scale, whole=False)
        case "bool":
            return lambda raw: _boolean(raw, label)
    return time_reader(spec.format or mapping.time_format, spec.zone or mapping.zone, spec.add_seconds, label)


def _number(raw: Any, label: str, scale: float, *, whole: bool) -> int | float:
    try:
        number = float(str(raw).replace(",", "")) if not isinstance(raw, int | float) else raw
    except ValueError:
        raise BadValue(label, raw, "it must be a number") from None
    scaled = number * scale if scale != 1 else number
    return int(scaled) if whole else float(scaled)


def _boolean(raw: Any, label: str) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadValue(label, raw, "it must be true or false")


def time_reader(form: str, zone: str, add_seconds: float, label: str) -> Callable[[Any], datetime]:
    """Return what reads a time of one format; equal texts are read once."""
    tz = UTC if zone == "UTC" else ZoneInfo(zone)
    moved = timedelta(seconds=add_seconds)
    seen: dict[Any, datetime] = {}

    def read(raw: Any) -> datetime:
        known = seen.get(raw)
        if known is None:
            try:
                known = _parse(raw, form).astimezone(UTC) if _aware(raw, form) else _naive(raw, form, tz)
                known += moved
            except (ValueError, OverflowError, OSError):
                raise BadValue(label, raw, f"it must be a time of the format {form}") from None
            if len(seen) >= _CACHE:
                seen.clear()
            seen[raw] = known
        return known

    return read


def _parse(raw: Any, form: str) -> datetime:
    if form == "epoch_s":
        return datetime.fromtimestamp(float(raw), UTC)
    if form == "epoch_ms":
        return datetime.fromtimestamp(float(raw) / 1000, UTC)
    text = str(raw)
    return datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007 - zone follows


def _aware(raw: Any, form: str) -> bool:
    return _parse(raw, form).tzinfo is not None


def _naive(raw: Any, form: str, tz: Any) -> datetime:
    return _parse(raw, form).replace(tzinfo=tz).astimezone(UTC)
