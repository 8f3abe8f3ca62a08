"""A connection whose server neither answers nor goes: after a while it is cut, so that reading ends with an error."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


@contextmanager
def cut_loose(connection: Connection, after_s: float) -> Iterator[None]:
    """Cut a connection of PostgreSQL if what is done with it lasts longer; a statement's own limit comes first."""
    held = getattr(getattr(connection.connection, "driver_connection", None), "pgconn", None)
    if held is None:
        yield
        return
    ours = os.dup(held.socket)  # of our own: the driver may close its one, and its number be another's by then

    def cut() -> None:
        with socket.socket(fileno=os.dup(ours)) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(after_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        os.close(ours)
