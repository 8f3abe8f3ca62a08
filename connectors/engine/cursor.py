"""How far a stream was read: what is kept in ``csf.cursors``, and the windows that are still to be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pipeline.errors import ConfigError


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a stream stands.

    Attributes:
        until: everything before this was delivered, but for what ``first`` says.
        first: where reading began.
        time, id: the last record of a keyset, as the source writes them.
        token: the source's own cursor, behind the last page that was delivered.
        seen: services that were named so far, for streams that speak for these only.
        looked: what a source shows was seen before.
    """

    until: datetime
    first: datetime
    time: str = ""
    id: str = ""
    token: str = ""
    seen: tuple[str, ...] = ()
    looked: bool = False


def place_from(cursor: object, since: datetime) -> Place:
    """Return the place a cursor holds, or the beginning at ``since`` where there is none.

    Raises:
        ConfigError: it holds something else.
    """
    if cursor is None:
        return Place(until=since, first=since)
    try:
        return msgspec.convert(cursor, Place)
    except msgspec.ValidationError as e:
        raise ConfigError(f"a cursor of this connector is no place ({e}); run it under another name") from None


def kept(place: Place) -> dict[str, Any]:
    """Return a place as it is kept."""
    found: dict[str, Any] = msgspec.to_builtins(place)
    return found


def whole_seconds(at: datetime) -> datetime:
    """Return a time cut to its second: what sources understand."""
    return at.astimezone(UTC).replace(microsecond=0)


def before(at: datetime, seconds: float) -> datetime:
    """Return a time so many seconds earlier."""
    return at - timedelta(seconds=seconds)


def rewound(place: Place, since: datetime, *, entities: bool, stream: str) -> Place:
    """Return a place set back to ``since``, for a backfill.

    Raises:
        ConfigError: the stream's events add up: read a second time, days later, they would count twice.
    """
    if since >= place.first:
        return (
            place
            if not entities
            else msgspec.structs.replace(place, until=min(place.until, since), time="", id="", token="")
        )
    if not entities and place.until > place.first:
        raise ConfigError(
            f"stream {stream} was read from {place.first:%Y-%m-%d %H:%M} UTC on already, and its events add up: an earlier "
            "--since would count them twice; read the earlier time under another name, with its own cursor"
        )
    return msgspec.structs.replace(place, until=since, first=since, time="", id="", token="", looked=False)
