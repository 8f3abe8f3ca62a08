"""Places in texts that are filled: ``{name}`` for every request, ``{option:name}`` once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigError

#: A place: a name, maybe with a kind before it; braces of other languages (queries) hold other characters.
_PLACE = re.compile(r"\{((?:[a-z]+:)?[A-Za-z_][\w.]*)\}")
_OPTION = "option:"


def places(value: Any) -> set[str]:
    """Return the names of all places in a text, or in the texts of a list or object."""
    if isinstance(value, str):
        return set(_PLACE.findall(value))
    if isinstance(value, dict):
        return set().union(*(places(each) for each in value.values()), *(places(key) for key in value))
    if isinstance(value, list):
        return set().union(*(places(each) for each in value))
    return set()


def filled(value: Any, given: Mapping[str, Any], where: str) -> Any:
    """Return a text, list or object with every place filled; a text that is nothing but a place becomes its value.

    Raises:
        ConfigError: a place has no value.
    """
    return _replaced(value, lambda name: _found(name, given, where))


def with_options(value: Any, options: Mapping[str, str | list[str]], where: str) -> Any:
    """Return a document with the places ``{option:name}`` filled, all others left."""

    def option(name: str) -> Any:
        if not name.startswith(_OPTION):
            return None
        if (option := name.removeprefix(_OPTION)) not in options:
            raise ConfigError(f"{where}: there is nothing for {{{name}}}; options: {', '.join(options) or 'none'}")
        return options[option]

    return _replaced(value, option)


def _found(name: str, given: Mapping[str, Any], where: str) -> Any:
    if name not in given:
        raise ConfigError(f"{where}: there is nothing for {{{name}}}; there is: {', '.join(given) or 'nothing'}")
    return given[name]


def _replaced(value: Any, find: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        whole = _PLACE.fullmatch(value)
        if whole and (said := find(whole[1])) is not None:
            return said
        return _PLACE.sub(lambda found: found[0] if (said := find(found[1])) is None else str(said), value)
    if isinstance(value, dict):
        return {key: _replaced(each, find) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, find) for each in value]
    return value


def time_text(at: datetime, form: str, zone: str) -> str:
    """Return a time as a request writes it: iso, epoch_s, epoch_ms, or by strftime's form in a zone.

    Raises:
        ConfigError: there is no such zone.
    """
    if form == "epoch_s":
        return str(int(at.timestamp()))
    if form == "epoch_ms":
        return str(int(at.timestamp() * 1000))
    if form == "iso":
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        return at.astimezone(ZoneInfo(zone)).strftime(form)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"'{zone[:80]}' is no time zone; requests cannot be written in it") from None
