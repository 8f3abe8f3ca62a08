"""From a configuration to a connector that runs, whatever kind of declaration it names: an API's or a database's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from connectors.engine.config import Connector, Entry, prepare
from connectors.engine.load import shipped
from connectors.sql.load import load_sql, prepare_sql, shipped_sql
from pipeline.catalogue.reading import read_yaml
from pipeline.errors import CatalogueError

_FILE = "connector.yaml"


def prepare_any(entry: Entry, path: Path) -> Connector:
    """Return a connector ready to run.

    Args:
        entry: its configuration; ``connector`` is a shipped one, a declaration's file, or a folder with connector.yaml.
        path: the configuration's file, for messages and relative paths.

    Raises:
        ConfigError: the declaration, an option, a secret or a stream is wrong.
    """
    own = declaration_file(entry.connector, path.parent)
    if own is not None and kind_of(own) == "sql":
        return prepare_sql(entry, load_sql(own), path)
    if own is not None and entry.connector not in shipped():
        entry = msgspec.structs.replace(entry, connector=str(own.absolute()))
    return prepare(entry, path)


def declaration_file(name: str, beside: Path) -> Path | None:
    """Return the file of a declaration: a shipped one, a file, or connector.yaml of a folder; None where there is none."""
    known = {**shipped(), **shipped_sql()}.get(name)
    if known is not None:
        return known
    for path in (beside / name, beside / name / _FILE):
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # what can be no path at all
            return None
    return None


def kind_of(path: Path) -> str:
    """Return which kind of declaration a file holds, "" where it says none."""
    try:
        document = read_yaml(path)
    except CatalogueError:
        return ""  # told by who reads it next
    return str(document.get("kind", "")) if isinstance(document, dict) else ""
