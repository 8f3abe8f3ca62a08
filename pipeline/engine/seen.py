"""Which events a partition has seen: an exact set of 128-bit ids over a bounded horizon of arrival and number.

Kept in segments ``x|hour|tier|number``, appended to and never rewritten; eight segments of a tier become one
of the next, so that the work a new id causes stays logarithmic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from xxhash import xxh3_128_digest as digest

#: An id is remembered for this long after the end of the arrival hour it came in, hours.
HORIZON_HOURS = 48
_FAN = 8
_SIZE = 16
_HOUR_MS = 3_600_000

Segment = tuple[int, int, int]  # (arrival hour, tier, number)


def event_key(source: str, event_id: str) -> bytes:
    """Return the 128-bit key of an event's identity: XXH3, a third of the cost of a cryptographic hash.

    Who can write events at all can repeat an id; to forge a collision would gain nothing more.
    """
    return digest(f"{source}\x00{event_id}".encode())


def event_keys(events: Iterable[Any]) -> list[bytes]:
    """Return the key of each event of many: ``event_key`` without a call an event."""
    return [digest(f"{event.source}\x00{event.id}".encode()) for event in events]


def _legacy_key(source: str, event_id: str) -> bytes:
    """Return the key that segments ``d|`` of earlier versions hold."""
    return blake2b(f"{source}\x00{event_id}".encode(), digest_size=_SIZE).digest()


def _name(segment: Segment) -> bytes:
    return "x|{}|{}|{}".format(*segment).encode()


class SeenIds:
    """The ids of one source partition."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: set[bytes] = set()
        self._segments: dict[Segment, list[bytes]] = {}
        self._fresh: dict[int, list[bytes]] = {}
        self._gone: list[Segment] = []
        self._trimmed: set[Segment] = set()
        self._number = 0
        self._hour = 0
        #: keys of earlier versions, forgotten like the others; empty 48 hours after the change
        self.legacy: set[bytes] = set()
        self._legacy: dict[Segment, list[bytes]] = {}
        self._gone_legacy: list[Segment] = []

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered segment."""
        kind, hour, tier, number = key.decode().split("|")
        ids = [value[i : i + _SIZE] for i in range(0, len(value), _SIZE)]
        if kind == "d":
            self._legacy[(int(hour), int(tier), int(number))] = ids
            self.legacy.update(ids)
            return
        self._segments[(int(hour), int(tier), int(number))] = ids
        self._ids.update(ids)
        self._number = max(self._number, int(number) + 1)

    def of_hour(self, clock_ms: int) -> tuple[set[bytes], list[bytes]]:
        """Return the keys seen, and the list that takes new ones of the clock's hour; whoever adds adds to both.

        Both hold until the clock's hour changes or ``chunks`` is called.
        """
        hour = clock_ms // _HOUR_MS
        if hour != self._hour:  # within a batch too: what is forgotten must not depend on how it was fetched
            self._hour = hour
            self.expire(clock_ms)
        return self._ids, self._fresh.setdefault(hour, [])

    def add(self, source: str, event_id: str, clock_ms: int) -> bool:
        """Remember an event; return whether it was new."""
        key = event_key(source, event_id)
        ids, fresh = self.of_hour(clock_ms)
        if key in ids or (self.legacy and _legacy_key(source, event_id) in self.legacy):
            return False
        ids.add(key)
        fresh.append(key)
        return True

    def forget(self, keys: list[bytes], clock_ms: int) -> None:
        """Forget ids that were the last to be noted: their events were not folded after all."""
        ids, fresh = self.of_hour(clock_ms)
        ids.difference_update(keys)
        del fresh[len(fresh) - len(keys) :]

    def expire(self, clock_ms: int) -> None:
        """Forget the hours that are over."""
        oldest = clock_ms // _HOUR_MS - HORIZON_HOURS
        for segment in [s for s in self._segments if s[0] < oldest]:
            self._ids.difference_update(self._segments.pop(segment))
            self._gone.append(segment)
        for segment in [s for s in self._legacy if s[0] < oldest]:
            self.legacy.difference_update(self._legacy.pop(segment))
            self._gone_legacy.append(segment)
        for hour in [h for h in self._fresh if h < oldest]:
            self._ids.difference_update(self._fresh.pop(hour))

    def bound(self, clock_ms: int) -> int:
        """Forget the oldest ids where there are more than may be: a quarter, so that it is seldom. Return how many."""
        if len(self._ids) > self._most:
            self.expire(clock_ms)
        if len(self._ids) <= self._most:
            return 0
        over = forgotten = len(self._ids) - (self._most - self._most // 4)
        # within an hour greater tiers are older, and what no flush has yet seen is the newest
        for segment in sorted(self._segments, key=lambda s: (s[0], -s[1], s[2])):
            if over <= 0:
                break
            over -= self._forget_first(self._segments[segment], over)
            if self._segments[segment]:
                self._trimmed.add(segment)
            else:
                del self._segments[segment]
                self._gone.append(segment)
        for hour in sorted(self._fresh):
            over -= self._forget_first(self._fresh[hour], over)
        return forgotten

    def _forget_first(self, ids: list[bytes], most: int) -> int:
        gone = ids[:most]
        del ids[:most]
        self._ids.difference_update(gone)
        return len(gone)

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the segments that are new or gone since the last call."""
        for hour, ids in self._fresh.items():
            if not ids:
                continue
            new = (hour, 0, self._number)
            self._number += 1
            self._segments[new] = ids
            yield from self._compact(new)
        self._fresh = {}
        for segment in self._gone:
            yield _name(segment), None
        self._gone = []
        for segment in self._trimmed & self._segments.keys():
            yield _name(segment), b"".join(self._segments[segment])
        self._trimmed = set()
        for hour, tier, number in self._gone_legacy:
            yield f"d|{hour}|{tier}|{number}".encode(), None
        self._gone_legacy = []

    def _compact(self, new: Segment) -> Iterator[tuple[bytes, bytes | None]]:
        hour, tier, _ = new
        while True:
            same = [s for s in self._segments if s[0] == hour and s[1] == tier]
            if len(same) < _FAN:
                break
            merged = [i for s in sorted(same) for i in self._segments.pop(s)]  # the order of arrival
            for old in same:
                if old != new:
                    yield _name(old), None
            tier += 1
            new = (hour, tier, self._number)
            self._number += 1
            self._segments[new] = merged
        yield _name(new), b"".join(self._segments[new])
