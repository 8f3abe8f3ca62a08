"""YAML files to typed entries: every mistake in shape told as one sentence with file, key and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from pipeline.catalogue import alerts, model
from pipeline.catalogue.expressions import suggest
from pipeline.errors import CatalogueError
from pipeline.wording import plainly

T = TypeVar("T", bound=msgspec.Struct)

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")
_MERGE = "tag:yaml.org,2002:merge"
_MISSING = re.compile(r"missing required field `(?P<key>[^`]+)`")

#: The kinds of measures by name.
MEASURES: dict[str, type[model.Measure]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(model.AnyMeasure)
}
#: The kinds of alert rules by name.
RULES: dict[str, type[alerts.AnyRule]] = {str(kind.__struct_config__.tag): kind for kind in get_args(alerts.AnyRule)}


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice (the first would be lost silently) and half a character."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Return a scalar's text; raises ConstructorError where an escape writes half of a surrogate pair."""
        text = super().construct_scalar(node)
        if isinstance(text, str) and _HALF.search(text):
            raise yaml.constructor.ConstructorError(
                None, None, "a text holds half of a surrogate pair, which is no character", node.start_mark
            )
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; raises ConstructorError at a second use of a key."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:  # "<<": what stands beside it overrides what it brings
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is given twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> object:
    """Return what a YAML file holds (None for an empty one); raises CatalogueError naming file and line."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError:
        raise CatalogueError(f"{path}: is no UTF-8 text; save the file as UTF-8") from None
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise CatalogueError(f"{path}:{line} {getattr(error, 'problem', None) or error}; mend the YAML") from None
    except RecursionError:
        raise CatalogueError(f"{path}: is nested too deeply to be read; mend the YAML") from None
    except ValueError as error:
        raise CatalogueError(f"{path}: cannot be read as YAML: {error}") from None


def entries(data: object, where: str, what: str) -> list[dict[str, Any]]:
    """Return the entries of a file that holds a list of mappings; nothing for an empty file."""
    if data is None:
        return []
    if not isinstance(data, list):
        raise CatalogueError(f"{where}: expected a list of {what}s (lines that begin with '- '), got {_name(data)}")
    for i, entry in enumerate(data, 1):
        if not isinstance(entry, dict):
            raise CatalogueError(f"{where}: {what} {i}: expected a mapping with keys, got {_name(entry)}")
    return data


def _name(value: object) -> str:
    names = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return names.get(type(value), repr(value))


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the type hints of a struct by the keys that a file uses."""
    hints = get_type_hints(kind)
    return {key: hints[name] for name, key in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)}


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """Return the one struct among the alternatives of a type hint."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    found = [_struct_in(part) for part in get_args(hint)] if get_origin(hint) in {Union, UnionType} else []
    known = [kind for kind in found if kind is not None]
    return known[0] if len(known) == 1 else None


def _kind_of(value: object, kinds: Mapping[str, type[T]], where: str, what: str) -> type[T]:
    """Return the struct that the key ``kind`` names."""
    allowed = ", ".join(kinds)
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise CatalogueError(f"{where}: needs a mapping with the key 'kind'; allowed kinds: {allowed}")
    if kind not in kinds:
        raise CatalogueError(f"{where}.kind: unknown {what} {kind!r}{suggest(kind, kinds)}; allowed: {allowed}")
    return kinds[kind]


def rule_kind(entry: dict[str, Any], where: str) -> type[alerts.AnyRule]:
    """Return the kind of an alert rule; raises CatalogueError naming the allowed ones."""
    return _kind_of(entry, RULES, where, "rule")


def _check_keys(entry: dict[str, Any], kind: type[msgspec.Struct], where: str, path: str = "") -> None:
    """Raise where an entry, or one inside it, has a key that is not known."""
    hints = _hints(kind)
    allowed = {*hints, "kind"} if issubclass(kind, model.Measure | alerts.Rule) else set(hints)
    for key, value in entry.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in allowed:
            raise CatalogueError(
                f"{where}: unknown key '{here}'{suggest(str(key), allowed)}; allowed: {', '.join(sorted(allowed))}"
            )
        if key == "measure" and kind is model.Kpi:
            _check_keys(value, _kind_of(value, MEASURES, f"{where}: measure", "measure"), where, here)
            continue
        inner = _struct_in(hints.get(key))
        if inner is not None and isinstance(value, dict):
            _check_keys(value, inner, where, here)


def _hint_at(kind: type[msgspec.Struct], path: str, entry: dict[str, Any]) -> Any:
    """Return the type hint at a path such as ``measure.per``, or None."""
    hint: Any = kind
    for step in filter(None, re.split(r"[.\[]", path)):
        if hint == model.AnyMeasure:
            hint = MEASURES[entry["measure"]["kind"]]
        struct = _struct_in(hint)
        if struct is None:
            return None
        hint = _hints(struct).get(step)
    return hint


def _sentence(error: msgspec.ValidationError, kind: type[msgspec.Struct], entry: dict[str, Any]) -> str:
    found = _WHERE.match(str(error))
    what, path = (found["what"], (found["path"] or "").lstrip(".")) if found else (str(error), "")
    missing = _MISSING.search(what)
    if missing:
        return f"the key '{path}.{missing['key']}' is missing".replace("'.", "'")
    at = f"{path}: " if path else ""
    hint = _hint_at(kind, path, entry)
    words = [v for part in (hint, *get_args(hint)) if get_origin(part) is Literal for v in get_args(part)]
    allowed = f"; allowed: {', '.join(map(str, words))}" if words else ""
    return at + plainly(what) + allowed


def typed(entry: dict[str, Any], kind: type[T], where: str) -> T:
    """Return an entry as its type; raises CatalogueError naming key, what was wrong and what is allowed."""
    _check_keys(entry, kind, where)
    try:
        return msgspec.convert(entry, type=kind)
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{where}: {_sentence(error, kind, entry)}") from None


def unique(ids: Iterable[str], where: str, what: str) -> None:
    """Raise where an id is given twice."""
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise CatalogueError(f"{where}: the {what} '{each}' is there twice; remove or rename one")
        seen.add(each)


def reference(name: str, known: Collection[str], where: str, what: str) -> None:
    """Raise where a name is none of those known."""
    if name not in known:
        raise CatalogueError(
            f"{where}: unknown {what} {name!r}{suggest(name, known)}; allowed: {', '.join(sorted(known)) or 'none'}"
        )
