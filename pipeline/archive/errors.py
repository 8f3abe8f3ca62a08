"""Errors of the archive.

CsfError
└── ArchiveError        a directory or file of the archive cannot be used
    ├── ArchiveFull     its disk is full (or a quota or size limit is reached)
    └── ArchiveDamaged  bytes are not those that were written
"""

from __future__ import annotations

import errno
from pathlib import Path

from pipeline.errors import CsfError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class ArchiveError(CsfError):
    """A directory or file of the archive cannot be used; the message says which and what to do."""


class ArchiveFull(ArchiveError):
    """The archive's disk is full.

    Attributes:
        lost: records that were handed to the writer and are not archived.
    """

    def __init__(self, message: str, lost: int) -> None:
        super().__init__(message)
        self.lost = lost


class ArchiveDamaged(ArchiveError):
    """A block's bytes are not those that were written.

    Attributes:
        path: the file; position: the byte where the damage begins.
    """

    def __init__(self, path: Path, position: int, what: str) -> None:
        super().__init__(
            f"{path} is damaged at byte {position}: {what}; "
            "restore the file from a backup, or read on without the block"
        )
        self.path = path
        self.position = position


def explain(path: Path, error: OSError, lost: int = 0) -> ArchiveError:
    """Turn an error of the operating system into one sentence with path and cure."""
    if error.errno in _FULL:
        return ArchiveFull(
            f"the archive {path} cannot grow ({error.strerror}); free space on its disk or lower its size limit", lost
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return ArchiveError(f"the archive {path} cannot be used ({error.strerror}); give this user permission there")
    return ArchiveError(f"the archive {path} cannot be used ({error.strerror}); check the path and its disk")
