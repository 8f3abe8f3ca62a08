"""The boards as files: made from the catalogue, the same catalogue gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from dashboards.boards import BOARDS
from dashboards.model import Board, to_json
from pipeline.catalogue.model import Catalogue

#: where the boards of the built-in catalogue are kept
GENERATED = Path(__file__).parent / "generated"


def boards(catalogue: Catalogue) -> dict[str, Board]:
    """Return every board, by the name of its file without ending."""
    return {name: make(catalogue) for name, make in BOARDS.items()}


def board_files(catalogue: Catalogue) -> dict[str, str]:
    """Return what every file holds, by file name."""
    return {f"{name}.json": to_json(board) for name, board in boards(catalogue).items()}


def stale(files: dict[str, str], directory: Path) -> list[Path]:
    """Return the files of a directory that are not as they would be written."""
    paths = {directory / name: text for name, text in files.items()}
    return [path for path, text in paths.items() if not path.is_file() or path.read_text("utf-8") != text]


def strangers(files: dict[str, str], directory: Path) -> list[Path]:
    """Return JSON files in a directory that are no board of ours; they are never touched."""
    return [path for path in sorted(directory.glob("*.json")) if path.name not in files]
