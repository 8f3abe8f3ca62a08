"""From YAML to typed structs, every mistake told in one sentence: where, what, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from pipeline.errors import ConfigError
from pipeline.wording import plainly, words_at

T = TypeVar("T", bound=msgspec.Struct)
_MISSING = re.compile(r"missing required field `([^`]+)`")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" where a known word is close, and all that are allowed."""
    names = list(known)
    close = difflib.get_close_matches(word, names, 1)
    return (f"; did you mean '{close[0]}'?" if close else "") + f"; allowed: {', '.join(names) or 'none'}"


def converted(document: object, kind: type[T], where: str) -> T:
    """Return a document of YAML as its struct.

    Raises:
        ConfigError: naming ``where``, the key, what is wrong and what is allowed.
    """
    if not isinstance(document, dict):
        keys = ", ".join(f.encode_name for f in msgspec.structs.fields(kind) if f.required)
        raise ConfigError(f"{where}: must have the keys {keys}")
    _check(document, kind, where, "")
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as e:
        what, _, path = str(e).partition(" - at `$")
        at = path.rstrip("`").lstrip(".")
        if found := _MISSING.search(what):
            what = f"the key '{found[1]}' is missing"
        raise ConfigError(f"{where}: {at + ': ' if at else ''}{plainly(what)}{words_at(kind, at)}") from None


def _check(value: Any, hint: Any, where: str, path: str) -> None:
    """Raise at the first key that no struct has."""
    origin, parts = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if isinstance(value, dict):
            _check_keys(value, hint, where, path)
    elif origin in {Union, UnionType}:
        chosen = _alternative(value, parts, where, path)
        if chosen is not None:
            _check(value, chosen, where, path)
    elif origin is list and isinstance(value, list):
        for i, each in enumerate(value):
            _check(each, parts[0], where, f"{path}[{i}]")
    elif origin is dict and isinstance(value, dict):
        for key, each in value.items():
            _check(each, parts[1], where, f"{path}.{key}")


@cache
def _named(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the type hints of a struct by the keys that a file uses."""
    hints = get_type_hints(kind)
    return {f.encode_name: hints[f.name] for f in msgspec.structs.fields(kind)}


def _check_keys(value: dict[Any, Any], kind: type[msgspec.Struct], where: str, path: str) -> None:
    named = _named(kind)
    tag = kind.__struct_config__.tag_field
    for key, each in value.items():
        if key == tag:
            continue
        if key not in named:
            at = f"{path}.{key}".lstrip(".")
            raise ConfigError(f"{where}: unknown key '{at}'{suggestion(str(key), named)}")
        _check(each, named[key], where, f"{path}.{key}")


def _alternative(value: Any, parts: tuple[Any, ...], where: str, path: str) -> Any:
    """Return the struct of a union that a value is meant to be; None where it is none of its structs."""
    structs = [p for p in parts if isinstance(p, type) and issubclass(p, msgspec.Struct)]
    if not isinstance(value, dict) or not structs:
        return None
    if len(structs) == 1 and structs[0].__struct_config__.tag_field is None:
        return structs[0]
    by_tag = {str(s.__struct_config__.tag): s for s in structs}
    said = str(value.get("kind"))
    if said not in by_tag:
        raise ConfigError(f"{where}: {path.lstrip('.')}.kind: there is no kind '{said}'{suggestion(said, by_tag)}")
    return by_tag[said]
