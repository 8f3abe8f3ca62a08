"""Finding and reading declarations, every mistake in one sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from collections.abc import Mapping as Named
from functools import cache
from importlib import import_module
from os.path import isfile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.engine.declaration import Declaration, Keyset, Opaque, Snapshot, Stream, Window
from connectors.engine.declared_requests import OnePage, Request, named
from connectors.engine.reading import converted
from connectors.engine.texts import places, with_options
from connectors.mapping.load import read_mapping
from connectors.mapping.model import Mapping
from pipeline.catalogue.reading import read_yaml, unique
from pipeline.engine.plan import ENTITY_TYPES
from pipeline.errors import ConfigError

#: Makes of all records of a window those that events are made of.
Shape = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
_FOLDER = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
#: what describes a file in a mapping, and has no meaning for records of a source
_OF_FILES = (
    "name", "description", "source", "format", "delimiter", "encoding", "records", "columns", "skip_lines", "skip_rows",
    "order_by", "lookups", "polled", "vars",
)  # fmt: skip
#: Event types of which a later one replaces an earlier one: what is read twice adds nothing up.
REPLACING_TYPES = ENTITY_TYPES | {"kpi.reported"}
_PER_WINDOW = {"since", "until", "length"}
_PER_KEYSET = {"time", "id", "until", "size"}


def shipped() -> dict[str, Path]:
    """Return the declarations that come with the program: name → file."""
    return {path.parent.name: path for path in sorted(_FOLDER.glob("*/connector.yaml"))}


def load_declaration(name: str, beside: Path | None = None) -> Declaration:
    """Return a declaration by the name of a shipped one, or by the path of its file.

    Args:
        name: which.
        beside: the folder that a relative path is taken from.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    path = shipped().get(name)
    if path is None:
        path = (beside or Path()) / name
        if not isfile(path):  # also false for what can be no path at all
            close = difflib.get_close_matches(name, shipped(), 1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(
                f"there is no connector '{name}'{hint} (there are: {', '.join(shipped())}; or name a .yaml file)"
            )
        return _read(path)
    return _of_program(path)


@cache
def _of_program(path: Path) -> Declaration:
    """Return a shipped declaration: its file is as constant as the program."""
    return _read(path)


def _read(path: Path) -> Declaration:
    declaration = converted(read_yaml(path), Declaration, str(path))
    check_declaration(declaration, str(path))
    return declaration


def check_declaration(declaration: Declaration, where: str) -> None:
    """Let pass a declaration that is right in itself.

    Raises:
        ConfigError: naming ``where``, stream and key.
    """
    if not _NAME.fullmatch(declaration.name):
        raise ConfigError(f"{where}: name: '{declaration.name}' must be of a-z, 0-9 and '-'")
    if not declaration.streams or not declaration.auth:
        raise ConfigError(
            f"{where}: name at least one of streams and one way in under auth (kind: none, where nothing is asked)"
        )
    unique((s.name for s in declaration.streams), where, "stream")
    # options that stand for themselves show whether the declaration is whole without any configuration
    shown: dict[str, str | list[str]] = {n: ["x"] if o.many else "x" for n, o in declaration.options.items()}
    shown["poll_s"] = "x"
    with_options([declaration.base], shown, f"{where}: base")
    for stream in declaration.streams:
        _check_stream(stream, declaration, shown, f"{where}: stream {stream.name}")


def _check_stream(stream: Stream, declaration: Declaration, shown: Named[str, str | list[str]], where: str) -> None:
    for variable, option in stream.each.items():
        if option not in declaration.options or not declaration.options[option].many:
            raise ConfigError(f"{where}: each.{variable}: '{option}' is no option that holds many values")
    if not stream.id:
        raise ConfigError(f"{where}: id: name the columns that name a record")
    known = {*stream.each, *declaration.ask}
    with_options({**msgspec.to_builtins(stream), "mapping": {}}, shown, where)
    match stream.cursor:
        case Window():
            known |= _PER_WINDOW | {f"{end}_{form}" for end in ("since", "until") for form in stream.cursor.forms}
            check_zone(stream.cursor.zone, f"{where}: cursor.zone")
            if not 0 < stream.cursor.narrowest_s <= stream.cursor.step_s:
                raise ConfigError(f"{where}: cursor: narrowest_s must be greater than 0 and at most step_s")
            if stream.cursor.tells_by is not None and stream.shape is None:
                raise ConfigError(f"{where}: cursor: tells_by is a column of what shape makes; there is no shape")
        case Keyset():
            known |= _PER_KEYSET
            check_zone(stream.cursor.zone, f"{where}: cursor.zone")
        case Opaque():
            _check_opaque(stream, stream.cursor, known, where)
        case Snapshot():
            pass
    _check_requests(stream, known, where)
    shape_of(declaration.name, stream.shape, where)
    mapping = mapping_of(stream, shown, where)
    entities = {e.type in REPLACING_TYPES for e in mapping.events}
    if len(entities) > 1:
        raise ConfigError(f"{where}: mapping: entities and other events need streams of their own")
    if entities == {False} and not (stream.version or stream.id):
        raise ConfigError(f"{where}: version: events that add up need an identity")


def shape_of(connector: str, module: str | None, where: str) -> Shape | None:
    """Return the code by which a connector makes records of its own of those it reads; None where it has none.

    Raises:
        ConfigError: there is none of that name in the folder of a shipped connector.
    """
    if module is None:
        return None
    declared = shipped().get(connector)
    modules = () if declared is None else {path.stem for path in declared.parent.glob("[!_]*.py")}
    shape: Shape | None = None
    if module in modules:
        shape = getattr(import_module(f"connectors.{connector}.{module}"), "shaped", None)
    if shape is None:
        raise ConfigError(
            f"{where}: shape: there is no connectors/{connector}/{module}.py; only shipped connectors have code"
        )
    return shape


def _check_opaque(stream: Stream, cursor: Opaque, known: set[str], where: str) -> None:
    """Let pass a stream that is read by the source's own cursor."""
    check_zone(cursor.zone, f"{where}: cursor.zone")
    if not isinstance(stream.paginator, OnePage) or stream.parents is not None or stream.job is not None:
        raise ConfigError(f"{where}: cursor: an opaque cursor pages by itself: leave paginator, parents and job out")
    first = msgspec.structs.replace(stream.request, query=dict(cursor.begin))
    _check_places(first, {*known, "since"}, ("option:",), f"{where}: cursor.begin")


def _check_requests(stream: Stream, known: set[str], where: str) -> None:
    """Let pass requests in which every place has something to fill it."""
    whole = set(known)
    of: tuple[str, ...] = ("option:",)
    if stream.parents is not None:
        if isinstance(stream.cursor, Keyset):
            raise ConfigError(f"{where}: parents: each would need a place of its own in a keyset; use a window")
        _check_places(stream.parents.request, known - _PER_WINDOW, of, f"{where}: parents")
        of = ("option:", "parent:")
    if stream.job is not None:
        _check_places(stream.job.start, known, of, f"{where}: job.start")
        for part in ("status", "end"):
            if (asked := getattr(stream.job, part)) is not None:
                _check_places(asked, {*known, "job"}, of, f"{where}: job.{part}")
        if stream.job.status is not None and not stream.job.done:
            raise ConfigError(f"{where}: job.done: says how an answer to status tells that the export is there")
        whole |= {"job", *stream.job.give}
    _check_places(stream.request, whole, of, f"{where}: request")
    for name, also in stream.also.items():
        _check_places(also.request, known, ("option:", "record:"), f"{where}: also.{name}")
    if stream.unfinished is not None:
        _check_places(
            stream.unfinished.request, known - _PER_WINDOW - _PER_KEYSET, ("option:", "record:"), f"{where}: unfinished"
        )


def _check_places(request: Request, known: set[str], of: tuple[str, ...], where: str) -> None:
    if request.method == "DELETE" and not where.endswith(": job.end"):
        raise ConfigError(
            f"{where}: method: a connector deletes nothing but what it made itself: only job.end may say DELETE"
        )
    strange = sorted(n for n in named(request) if not n.startswith(of) and n not in known)
    if strange:
        raise ConfigError(f"{where}: there is nothing for {{{strange[0]}}}; there is: {', '.join(sorted(known))}")


def check_zone(zone: str, where: str) -> None:
    """Let pass a time zone, or a place that will be filled by one.

    Raises:
        ConfigError: there is no such zone.
    """
    if places(zone):
        return
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"{where}: '{zone}' is no time zone; use one like Europe/Zurich or UTC") from None


def mapping_of(
    stream: Stream, options: Named[str, str | list[str]], where: str, values: Named[str, dict[str, Any]] | None = None
) -> Mapping:
    """Return the mapping of a stream, options filled in.

    Args:
        stream: whose.
        options: of the configuration.
        where: how messages name it.
        values: field → further values of its ``map``: what an organisation added to the vendor's.

    Raises:
        ConfigError: it is wrong.
    """
    of_files = [key for key in _OF_FILES if key in stream.mapping]
    if of_files:
        raise ConfigError(f"{where}: mapping: '{of_files[0]}' describes a file; a stream has none")
    document = with_options(stream.mapping, options, f"{where}: mapping")
    for field, more in (values or {}).items():
        _add_values(document, field, more, where)
    document |= {"name": stream.name, "format": "json", "vars": dict.fromkeys(stream.each, "")}
    return read_mapping(document, f"{where}: mapping")


def _add_values(document: dict[str, Any], field: str, more: dict[str, Any], where: str) -> None:
    found = False
    for event in document.get("events", ()):
        value = event.get("data", {}).get(field)
        if isinstance(value, dict) and isinstance(value.get("map"), dict):
            value["map"] = {**value["map"], **more}
            found = True
    if not found:
        raise ConfigError(f"{where}: values: no field '{field}' has a map that more could be added to")
