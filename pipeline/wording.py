"""What the checker of types (msgspec) says of a file's value, in words for people who write YAML."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

_TYPES = re.compile(r"`(?P<types>[a-z]+(?: \| [a-z]+)*)`")
_CALLED = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "a mapping with keys", "null": "nothing", "date": "a date",
}  # fmt: skip
#: What YAML takes for something else than text, such as yes, 08:00 or 2026-11-01.
_UNQUOTED = re.compile(r"Expected `str( \| null)?`, got `(bool|int|float|date|datetime)`")
_WORD = re.compile(r"Invalid enum value (?P<word>.*)")


def plainly(what: str) -> str:
    """Return a complaint without the names of types: ``Expected `int`, got `str``` is expected a whole number, got text."""
    word = _WORD.fullmatch(what)
    plain = f"{word['word']} is not allowed" if word else what
    if what.startswith("Expected "):
        plain = _TYPES.sub(_called, what) + ("; put it in quotes" if _UNQUOTED.match(what) else "")
    return f"{plain[:1].lower()}{plain[1:]}".replace("`", "'")


def _called(found: re.Match[str]) -> str:
    return " or ".join(_CALLED.get(each, each) for each in found["types"].split(" | "))


def words_at(kind: Any, path: str) -> str:
    """Return ``; allowed: ...`` where the value at a path such as ``streams[0].covers`` is one of a few words."""
    for step in filter(None, re.split(r"[.\[\]]+", path.replace("...", "0"))):
        structs = [p for p in (kind, *get_args(kind)) if isinstance(p, type) and issubclass(p, msgspec.Struct)]
        hints = [get_type_hints(s)[f.name] for s in structs for f in msgspec.structs.fields(s) if f.encode_name == step]
        if not hints and not get_args(kind):
            return ""
        kind = hints[0] if hints else get_args(kind)[-1]
    words = [str(w) for p in (kind, *get_args(kind)) if get_origin(p) is Literal for w in get_args(p)]
    return f"; allowed: {', '.join(words)}" if words else ""
