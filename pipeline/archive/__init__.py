"""The raw event archive: what Kafka delivered, byte for byte, in compressed, checksummed files.

It outlives Kafka's retention; ``csf replay`` folds it again. Like ``pipeline.stores`` this package does file I/O.
"""

from pipeline.archive.errors import ArchiveDamaged, ArchiveError, ArchiveFull
from pipeline.archive.files import ArchiveFile, Removed, enforce_retention, list_files
from pipeline.archive.reader import ArchivedRecord, ArchiveReader, Summary
from pipeline.archive.writer import ArchiveWriter

__all__ = [
    "ArchiveDamaged",
    "ArchiveError",
    "ArchiveFile",
    "ArchiveFull",
    "ArchiveReader",
    "ArchiveWriter",
    "ArchivedRecord",
    "Removed",
    "Summary",
    "enforce_retention",
    "list_files",
]
