"""A lasting name for an instance of a connector: whoever follows a killed process in its data directory has its name.

Kafka knows an instance by such a name (``group.instance.id``) and gives the next process that bears it the streams of the
one before at once; without it the brokers miss a killed process only after its session, and until then nobody reads its streams.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO
from uuid import uuid4

#: Instances of one connector on one data directory that have names.
_MOST = 64


class Seat:
    """A seat that a process holds as long as it lives; the kernel takes it back, however that ends.

    Attributes:
        name: what the seat is called, never the same in two data directories.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.name = file.read().strip()
        if not self.name:
            self.name = uuid4().hex
            file.write(self.name)
            file.flush()

    def leave(self) -> None:
        """Let another process have it."""
        self._file.close()


def seat_in(folder: Path) -> Seat | None:
    """Return a free seat of a folder; None where it cannot be written, or has none: then Kafka knows no name.

    Args:
        folder: that of one connector in the data directory.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(_MOST):
            file = (folder / f"seat-{number}").open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            file.seek(0)
            return Seat(file)
    except OSError:
        return None
    return None
