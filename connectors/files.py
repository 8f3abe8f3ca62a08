"""Files as they come: plain, or packed with gzip."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, cast


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacked if its first bytes say gzip."""
    with path.open("rb") as f:
        packed = f.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path, "rb")) if packed else path.open("rb")
