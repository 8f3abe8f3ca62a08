"""What a reader asks: an HTTP source, or anything else that answers like one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from connectors.engine.client import Answer, Call


class Peer(Protocol):
    """A source that is asked, call by call."""

    def address(self, path: str) -> str:
        """Return a path as an address of the source."""

    def ask(self, call: Call, cut_off: Callable[[int, str], bool] = ...) -> Answer:
        """Return the answer to a call.

        Raises:
            ServiceUnavailable: the source does not answer, again and again.
            SourceRefused: it refuses.
        """

    def rest(self, seconds: float) -> None:
        """Wait, as long as nothing ends the connector."""

    def close(self) -> None:
        """Release the connections."""
