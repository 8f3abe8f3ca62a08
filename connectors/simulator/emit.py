"""From facts to the bytes of CloudEvents, quickly.

The data structs are those of the families, written without the fields that only repeat a default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from zlib import crc32

import msgspec

from connectors.simulator.organisation import SOURCE_OF
from pipeline.events import families as f

#: One event on its way: (time in epoch seconds, stream, number in the stream's day, family, key, JSON bytes).
#: The first three order all events of the world, and no two are the same.
Item = tuple[int, int, int, str, str, bytes]

#: Keys of a family: what must stay in order (a visitor, a check, an incident) always has the same one.
KEYS = 24


class UptimeChecked(f.UptimeChecked, omit_defaults=True):
    """As in the family."""


class MaintenanceScheduled(f.MaintenanceScheduled, omit_defaults=True):
    """As in the family."""


class IncidentUpdated(f.IncidentUpdated, omit_defaults=True):
    """As in the family."""


class SecurityIncidentUpdated(f.SecurityIncidentUpdated, omit_defaults=True):
    """As in the family."""


class VulnerabilityUpdated(f.VulnerabilityUpdated, omit_defaults=True):
    """As in the family."""


class PageViewed(f.PageViewed, omit_defaults=True):
    """As in the family."""


class SessionEnded(f.SessionEnded, omit_defaults=True):
    """As in the family."""


class TaskFinished(f.TaskFinished, omit_defaults=True):
    """As in the family."""


class RequestMeasured(f.RequestMeasured, omit_defaults=True):
    """As in the family."""


class SurveyAnswered(f.SurveyAnswered, omit_defaults=True):
    """As in the family."""


class ChangeUpdated(f.ChangeUpdated, omit_defaults=True):
    """As in the family."""


class FeatureUpdated(f.FeatureUpdated, omit_defaults=True):
    """As in the family."""


class ScalingCompleted(f.ScalingCompleted, omit_defaults=True):
    """As in the family."""


class DecisionEvaluated(f.DecisionEvaluated, omit_defaults=True):
    """As in the family."""


class RecordSynced(f.RecordSynced, omit_defaults=True):
    """As in the family."""


class SourcePolled(f.SourcePolled, omit_defaults=True):
    """As in the family."""


class MonthClosed(f.MonthClosed, omit_defaults=True):
    """As in the family."""


class KpiReported(f.KpiReported, omit_defaults=True):
    """As in the family."""


class _Event(msgspec.Struct, omit_defaults=True):
    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    subject: str
    data: msgspec.Struct
    sequence: int | None = None


_encode: Callable[[_Event], bytes] = msgspec.json.Encoder().encode
_from_epoch = datetime.fromtimestamp


def at(seconds: float) -> datetime:
    """Return an instant of the world as a datetime."""
    return _from_epoch(seconds, UTC)


def at_or_none(seconds: int | None) -> datetime | None:
    """Return an instant as a datetime, None where there is none."""
    return None if seconds is None else _from_epoch(seconds, UTC)


class Emitter:
    """Makes the items of one stream of one event type.

    Args:
        seed: seed of the world, part of every id.
        stream: number of the stream: decides the order of events of the same second.
        kind: event type.
    """

    def __init__(self, seed: int, stream: int, kind: str, source: str | None = None) -> None:
        self._prefix = f"sim-{seed}-{kind}-"
        self._stream = stream
        self._kind = kind
        self._family = f.TYPES[kind][0]
        self._source = source or SOURCE_OF[kind]

    def __call__(
        self,
        when: int,
        n: int,
        ident: str,
        subject: str,
        data: msgspec.Struct,
        key: str,
        sequence: int | None = None,
    ) -> Item:
        """Return one event; ``n`` is its number among the stream's of that day, ``ident`` makes its id."""
        event = _Event(
            "1.0", self._prefix + ident, self._source, self._kind, _from_epoch(when, UTC), subject, data, sequence
        )
        bucket = _BUCKETS[crc32(key.encode()) % KEYS]
        return when, self._stream, n, self._family, bucket, _encode(event)


_BUCKETS = tuple(f"k{i}" for i in range(KEYS))


def in_order(items: Iterable[Item]) -> list[Item]:
    """Return a day's items as they happen."""
    return sorted(items, key=_order)


def _order(item: Item) -> tuple[int, int, int]:
    return item[:3]
