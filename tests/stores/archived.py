"""Archives for tests: records that tell their offset, and what an archive gives back."""

import hashlib
from pathlib import Path

from pipeline.archive import ArchiveReader, ArchiveWriter

TOPIC = "csf.events.usage"


def value(offset: int, size: int = 40) -> bytes:
    """Return bytes that hardly compress and tell their offset."""
    text = hashlib.sha256(str(offset).encode()).digest()
    return (b"%d:" % offset + text * (size // 32 + 1))[:size]


def fill(writer: ArchiveWriter, first: int, last: int, size: int = 40, *, step: int = 10) -> None:
    """Append offsets first..last, one flush a step."""
    for offset in range(first, last + 1):
        writer.append(offset, 1_000 * offset, value(offset, size))
        if offset % step == 0:
            writer.flush()
    writer.flush()


def offsets(directory: Path, **options) -> list[int]:
    return [record.offset for record in ArchiveReader(directory).records(**options)]


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.arc"))
