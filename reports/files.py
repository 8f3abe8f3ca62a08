"""Files that are there whole or not at all, also after a crash."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def _written(path: Path, data: bytes) -> Iterator[str]:
    """Yield the name of a file beside ``path`` that holds the data, on the disk; it is gone afterwards."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        yield name
    finally:
        Path(name).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def create_file(path: Path, data: bytes) -> bool:
    """Write a file that nobody is to change; return False, and do nothing, where there is one already.

    Raises:
        OSError: it cannot be written.
    """
    with _written(path, data) as name:
        Path(name).chmod(0o440)
        try:
            os.link(name, path)
        except FileExistsError:
            return False
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in place of the one there is.

    Raises:
        OSError: it cannot be written.
    """
    with _written(path, data) as name:
        Path(name).replace(path)
