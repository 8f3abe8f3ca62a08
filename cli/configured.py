"""The connectors that are configured here, for a worker's console: read again when their file has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.sources import StreamState


class Configured:
    """Gives the streams of a file of connectors, read again when the file has changed."""

    def __init__(self, path: Path, read: Callable[[Path], list[StreamState]] | None = None) -> None:
        self._path, self._read = path, read or _read
        self._mark: tuple[int, int] | None = None
        self._found: list[StreamState] = []

    def __call__(self) -> list[StreamState]:
        """Return them; blocks for some tenths of a second where the file has changed."""
        try:
            status = self._path.stat()
            mark = (status.st_mtime_ns, status.st_size)
        except OSError:
            mark = None
        if mark != self._mark:
            self._found = [] if mark is None else self._read(self._path)
            self._mark = mark
        return self._found


def _read(path: Path) -> list[StreamState]:
    from connectors.configured import configured_streams  # noqa: PLC0415 - a worker without connectors does without

    return configured_streams(path)
