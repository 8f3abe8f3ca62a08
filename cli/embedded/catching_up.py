"""When everything that was in Kafka at one moment is in the store, whatever comes meanwhile."""

from __future__ import annotations

from typing import Any

from pipeline.topics import PARTIALS


class CatchingUp:
    """Fed with a worker's progress, one report after the other.

    Ingest acknowledges an event after its partials are written, rollup a partial after its values are: so the
    events of the moment of the first report are done when ingest has passed them and then rollup what it said.
    """

    def __init__(self) -> None:
        self._events: dict[str, int] | None = None
        self._partials: dict[str, int] | None = None

    def done(self, said: dict[str, Any]) -> bool:
        """Take a report of ``/api/v1/progress?fresh=1``; return whether it is so."""
        if not said["recovered"]:
            return False
        at, ends = said["positions"], said["ends"]
        if self._events is None:
            self._events = {place: end for place, end in ends.items() if not _is_partial(place)}
        if self._partials is None:
            if not _passed(at, self._events):
                return False
            self._partials = {place: end for place, end in ends.items() if _is_partial(place)}
        return _passed(at, self._partials)


def _is_partial(place: str) -> bool:
    return place.startswith(f"{PARTIALS}/")


def _passed(at: dict[str, int], ends: dict[str, int]) -> bool:
    return all(at.get(place, 0) >= end for place, end in ends.items())
