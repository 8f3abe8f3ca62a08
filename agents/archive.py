"""The event archive of a worker: one writer a source partition it owns."""

from __future__ import annotations

import threading
from pathlib import Path

from pipeline.archive import ArchiveWriter


class Archive:
    """Keeps raw events beyond Kafka's retention. Methods may be called from any thread.

    Args:
        directory: where the files go; it belongs to one Kafka cluster.
        max_bytes: oldest closed files are removed above this; None: kept.
    """

    def __init__(self, directory: Path, max_bytes: int | None) -> None:
        self._directory, self._max_bytes = directory, max_bytes
        self._writers: dict[tuple[str, int], ArchiveWriter] = {}
        self._lock = threading.Lock()

    def append(self, topic: str, partition: int, records: list[tuple[int, int, bytes]]) -> None:
        """Put records (offset, arrival in epoch ms, value) on the disk; what is there already is skipped.

        Raises:
            ArchiveError: the directory cannot be written, the disk is full, or another process writes there.
        """
        with self._lock:
            writer = self._writers.get((topic, partition))
            if writer is None:
                writer = ArchiveWriter(self._directory, topic, partition, max_total_bytes=self._max_bytes)
                self._writers[(topic, partition)] = writer
            writer.append_many((offset, arrival, value or b"") for offset, arrival, value in records)
            writer.flush()

    def release(self) -> None:
        """Finish the files of all partitions: another worker may own them next."""
        with self._lock:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()
