"""Values of a row: compiled once a mapping, applied once a row."""

from __future__ import annotations

import math
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
#: rows of a second file by the key of the row they belong to, and the column that holds that key
Lookups = Mapping[str, tuple[str, dict[str, list[Row]]]]

_TRUE = frozenset({"true", "1", "yes", "y", "on", "t"})
_FALSE = frozenset({"false", "0", "no", "n", "off", "f"})
_CACHE = 200_000
PLACE = re.compile(r"\{([^{}]+)\}")


class BadValue(CsfError):
    """A row holds what its mapping cannot read.

    Attributes:
        column: where.
        value: what it holds, shortened.
    """

    def __init__(self, column: str, value: object, wanted: str) -> None:
        self.column, self.value = column, "" if value is None else str(value)[:80]
        super().__init__(f"{column} is {'missing' if value is None else repr(self.value)}; {wanted}")


def cleaner(missing: frozenset[str]) -> Callable[[Any], Any]:
    """Return what strips a text, and makes None of one that means "no value"."""

    def clean(raw: Any) -> Any:
        if isinstance(raw, str):
            raw = raw.strip()
            return None if raw in missing else raw
        return raw

    return clean


def compile_value(
    value: str | Value, mapping: FileMapping, variables: Mapping[str, str], lookups: Lookups | None = None
) -> Read:
    """Return what reads a value from a row; None where it is missing.

    Raises:
        MappingError: it reads a variable that was not given.
    """
    spec = Value(column=value) if isinstance(value, str) else value
    if spec.lookup is not None and spec.take is not None:
        return _looked_up(spec.lookup, spec.take, mapping, variables, lookups or {})
    if spec.plus is not None:
        return _moved(spec, spec.plus, mapping, variables)
    origin, label = _origin(spec, mapping, variables)
    steps: list[Callable[[Any], Any]] = []
    if spec.pattern is not None:
        steps.append(_matching(re.compile(spec.pattern)))
    if spec.map is not None:
        steps.append(_mapped(spec, label))
    if spec.kind != "text":
        steps.append(_converted(spec, label, mapping))
    elif spec.const is msgspec.UNSET and spec.equal is None and spec.map is None:
        steps.append(_text)
    default = None if spec.default is msgspec.UNSET else spec.default
    if not steps:
        return origin
    if len(steps) == 1 and default is None:
        only = steps[0]

        def read_one(row: Row) -> Any:
            found = origin(row)
            return None if found is None else only(found)

        return read_one

    def read(row: Row) -> Any:
        found = origin(row)
        for step in steps:
            if found is None:
                return default
            found = step(found)
        return default if found is None else found

    return read


def _looked_up(
    name: str, take: str | Value, mapping: FileMapping, variables: Mapping[str, str], lookups: Lookups
) -> Read:
    """Return what lists a value of the rows of a second file that belong to a row."""
    match, table = lookups[name]
    one = compile_value(take, mapping, variables)

    def read(row: Row) -> list[Any]:
        found = (one(other) for other in table.get(str(row[match]).strip(), ()))
        return [each for each in found if each is not None]

    return read


def _moved(spec: Value, plus: str | Value, mapping: FileMapping, variables: Mapping[str, str]) -> Read:
    """Return what reads a time that lies so many seconds of the row after another."""
    seconds = Value(column=plus) if isinstance(plus, str) else plus
    begin = compile_value(msgspec.structs.replace(spec, plus=None), mapping, variables)
    length = compile_value(msgspec.structs.replace(seconds, kind="float"), mapping, variables)

    def read(row: Row) -> Any:
        at, after = begin(row), length(row)
        if at is None or after is None:
            return None
        try:
            return at + timedelta(seconds=after)
        except OverflowError:
            raise BadValue("plus", after, "it leads beyond all years") from None

    return read


def _text(raw: Any) -> Any:
    """Return a text; objects and lists of JSON stay what they are, for fields that want them."""
    return raw if isinstance(raw, str | list | dict) else as_text(raw)


def as_text(raw: Any) -> str:
    """Return a value as its file writes it: JSON says true, not True."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw)


def _origin(spec: Value, mapping: FileMapping, variables: Mapping[str, str]) -> tuple[Read, str]:
    clean = cleaner(frozenset(mapping.missing) | frozenset(spec.missing))
    if spec.const is not msgspec.UNSET:
        const = spec.const
        return (lambda _row: const), "const"
    if spec.var is not None:
        fixed = _variable(spec.var, mapping, variables)
        return (lambda _row: fixed), spec.var
    if spec.equal is not None:
        a, b = spec.equal
        return (lambda row: 1 if clean(row.get(a)) == clean(row.get(b)) else 0), f"{a}, {b}"
    if spec.template is not None:
        return _template(spec.template, clean, mapping, variables)
    if isinstance(spec.column, str):
        name = spec.column
        return (lambda row: clean(row[name])), name
    columns = spec.column or []
    return (lambda row: next((v for c in columns if (v := clean(row.get(c))) is not None), None)), ", ".join(columns)


def _variable(name: str, mapping: FileMapping, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise MappingError(f"mapping {mapping.name} needs '{name}'; say --set {name}=...")
    return variables[name]


def _template(
    template: str, clean: Callable[[Any], Any], mapping: FileMapping, variables: Mapping[str, str]
) -> tuple[Read, str]:
    """Fill {column} from the row and {var:name} from the run; what is filled in is text, whatever braces it holds."""
    parts: list[str | None] = []  # text, and None where a column's value goes
    names: list[str] = []
    at = 0
    for found in PLACE.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        name = found.group(1)
        if name.startswith("var:"):
            parts.append(_variable(name[4:], mapping, variables))
        else:
            parts.append(None)
            names.append(name)
    parts.append(template[at:])

    def filled(row: Row) -> Any:
        values = [clean(row[name]) for name in names]
        if any(value is None for value in values):
            return None
        given = iter(values)
        return "".join(as_text(next(given)) if part is None else part for part in parts)

    return filled, ", ".join(names)


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
        key = as_text(text)
        if key in table:
            return table[key]
        if other is not msgspec.UNSET:
            return other
        raise BadValue(label, text, f"the mapping knows: {', '.join(table)}")

    return look_up


def _converted(spec: Value, label: str, mapping: FileMapping) -> Callable[[Any], Any]:
    match spec.kind:
        case "int":
            plain = _plain_number(spec, mapping)
            return lambda raw: _whole(plain(raw), label, spec.scale)
        case "float":
            plain = _plain_number(spec, mapping)
            return lambda raw: _number(plain(raw), label, spec.scale)
        case "bool":
            return lambda raw: _boolean(raw, label)
    return time_reader(spec.format or mapping.time_format, spec.zone or mapping.zone, spec.add_seconds, label)


def _plain_number(spec: Value, mapping: FileMapping) -> Callable[[Any], Any]:
    """Return what writes a number as 1234.5, whatever marks it was written with."""
    decimal = spec.decimal or mapping.decimal
    thousands = mapping.thousands if spec.thousands is None else spec.thousands
    if decimal == "." and not thousands:
        return lambda raw: raw
    groups = (
        re.compile(rf"[+-]?\d{{1,3}}({re.escape(thousands)}\d{{3}})*({re.escape(decimal)}\d*)?") if thousands else None
    )

    def plain(raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        if groups is not None and groups.fullmatch(raw):
            raw = raw.replace(thousands, "")
        return raw.replace(".", "x").replace(",", ".") if decimal == "," else raw  # a stray point is no number

    return plain


def _number(raw: Any, label: str, scale: float) -> float:
    try:
        number = float(raw) * scale
    except (ValueError, TypeError, OverflowError):
        comma = " (a mapping reads a decimal comma by `decimal: ','`)" if isinstance(raw, str) and "," in raw else ""
        raise BadValue(label, raw, f"it must be a number, like 12.5{comma}") from None
    if not math.isfinite(number):
        raise BadValue(label, raw, "it must be a finite number")
    return number


def _whole(raw: Any, label: str, scale: float) -> int:
    if scale == 1 and isinstance(raw, str):
        try:
            return int(raw)
        except ValueError:
            pass
    number = _number(raw, label, scale)
    if number != int(number):
        raise BadValue(label, raw, "it must be a whole number")
    return int(number)


def _boolean(raw: Any, label: str) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadValue(label, raw, "it must be true or false")


def time_reader(form: str | list[str], zone: str, add_seconds: float, label: str) -> Callable[[Any], datetime]:
    """Return what reads a time of one of some formats, in UTC; equal texts are read once."""
    forms = [form] if isinstance(form, str) else form
    allowed = " or ".join(forms)
    tz = UTC if zone == "UTC" else ZoneInfo(zone)
    moved = timedelta(seconds=add_seconds)
    seen: dict[Any, datetime] = {}

    def read(raw: Any) -> datetime:
        if isinstance(raw, list | dict):
            raise BadValue(label, raw, f"it must be a time of the format {allowed}")
        known = seen.get(raw)
        if known is None:
            try:
                known = _first_fit(raw, forms)
                known = (known if known.tzinfo is not None else known.replace(tzinfo=tz)).astimezone(UTC) + moved
            except (ValueError, OverflowError, OSError):
                raise BadValue(label, raw, f"it must be a time of the format {allowed}") from None
            if len(seen) >= _CACHE:
                seen.clear()
            seen[raw] = known
        return known

    return read


def _first_fit(raw: Any, forms: list[str]) -> datetime:
    for form in forms[:-1]:
        try:
            return _parse(raw, form)
        except (ValueError, OverflowError, OSError):
            continue
    return _parse(raw, forms[-1])


def _parse(raw: Any, form: str) -> datetime:
    if form == "epoch_s":
        return datetime.fromtimestamp(float(raw), UTC)
    if form == "epoch_ms":
        return datetime.fromtimestamp(float(raw) / 1000, UTC)
    if form == "epoch_us":
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(raw))
    text = str(raw)
    return datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007 - zone follows
