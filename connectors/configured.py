"""The streams that a configuration names, without reading a secret or asking a source: for those who look on."""

from __future__ import annotations

from pathlib import Path

from connectors.engine.config import Entry, load_entries, options_of, readings_of
from connectors.engine.load import load_declaration, shipped
from connectors.objects.load import NAME as FILES
from connectors.objects.read import STREAM
from connectors.opening import declaration_file, kind_of
from connectors.sql.load import load_sql, pulled
from pipeline.errors import CsfError
from pipeline.sources import StreamState


def configured_streams(path: Path) -> list[StreamState]:
    """Return the streams of a file of connectors, as states of which nothing is known yet; none where there is no file.

    What cannot be read is one stream without a name, whose error says so.
    """
    if not path.is_file():
        return []
    try:
        entries = load_entries(path)
    except CsfError as e:
        return [StreamState(source=path.name, stream="", failures=1, error=str(e))]
    found: list[StreamState] = []
    for entry in entries:
        try:
            found += _streams(entry, path)
        except CsfError as e:
            source = f"{Path(entry.connector).stem}/{entry.name}"
            found.append(StreamState(source=source, stream="", failures=1, error=str(e)))
    return found


def _streams(entry: Entry, path: Path) -> list[StreamState]:
    if entry.connector == FILES:
        return [StreamState(source=f"{FILES}/{entry.name}", stream=STREAM, title="Files", poll_s=entry.poll_s)]
    own = declaration_file(entry.connector, path.parent)
    if own is not None and kind_of(own) == "sql":
        declaration = pulled(load_sql(own))
    else:
        named = entry.connector if own is None or entry.connector in shipped() else str(own.absolute())
        declaration = load_declaration(named, path.parent)
    where = f"{path}: {entry.name}"
    poll_s = entry.poll_s or declaration.poll_s
    options = options_of(entry.options, declaration.options, where) | {"poll_s": f"{poll_s:g}"}
    return [
        StreamState(source=f"{declaration.name}/{entry.name}", stream=r.name, title=declaration.title, poll_s=poll_s)
        for r in readings_of(entry, declaration, options, where, path.parent)
    ]
