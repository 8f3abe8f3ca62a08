"""What alerting hears, as messages of one log: values, clocks, maintenance, and what people order.

The state of alerting is a function of this log up to an offset, and of the instants at which it was asked who is to be
told.
"""

from __future__ import annotations

import msgspec

from pipeline.catalogue.alerts import Match
from pipeline.values import CsfStatus, KpiValue


class Input(msgspec.Struct, tag_field="type", kw_only=True, frozen=True):
    """One message; ``clock``: the data clock, epoch seconds, at which it was said."""


class ValueTold(Input, tag="value", frozen=True, kw_only=True):
    """A value changed."""

    clock: float
    value: KpiValue


class StatusTold(Input, tag="status", frozen=True, kw_only=True):
    """The status of a CSF changed."""

    clock: float
    status: CsfStatus


class ClockTold(Input, tag="clock", frozen=True, kw_only=True):
    """All values of some CSFs up to a clock were told: what was told last still holds at it."""

    clock: float
    csfs: list[str]


class MaintenanceTold(Input, tag="maintenance", frozen=True, kw_only=True):
    """All planned maintenance of a service that counts, as [start, end) in epoch seconds."""

    service: str
    windows: list[tuple[int, int]]


class Silence(Input, tag="silence", frozen=True, kw_only=True):
    """Alerts that match are not raised from ``start`` to ``end`` (epoch seconds); who ordered it, how and why."""

    id: str
    match: Match
    start: float
    end: float
    by: str
    reason: str
    via: str = ""


class Lift(Input, tag="lift", frozen=True, kw_only=True):
    """A silence ends at an instant, epoch seconds, before its time."""

    id: str
    at: float
    by: str
    reason: str
    via: str = ""


class Acknowledgement(Input, tag="ack", frozen=True, kw_only=True):
    """Somebody takes an alert on: it is not told again until it is over."""

    rule: str
    scope: str
    by: str
    at: float
    via: str = ""


AnyInput = ValueTold | StatusTold | ClockTold | MaintenanceTold | Silence | Lift | Acknowledgement
Order = Silence | Lift | Acknowledgement
decode = msgspec.json.Decoder(AnyInput).decode
encode = msgspec.json.Encoder().encode
