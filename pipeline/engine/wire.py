"""What ingest tells rollup over ``csf.partials``: absolute statements, each replacing the one before of its key.

Every message starts with its kind and where it comes from: [kind, topic, partition, position, clock ms, CSF, ...].
"""

from __future__ import annotations

from typing import Any

import msgspec

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Any]).decode

#: kinds and what follows the common head
CELL = "cell"  # service, team, level, start, {base key: packed state as bytes}
POLLED = "polled"  # source, [types], [services] or None, [[from s, to s], ...], truncated
REPORTED = "reported"  # kpi, scope, month, value, target, numerator, denominator, count
BARRIER = "barrier"  # month, id, number of barriers in all
SERVICE = "service"  # service, team: one that the catalogue does not name was registered
CLOCK = "clock"  # nothing more
EXITS = "exits"  # {field: number}, {reason: number}
HAPPENED = "happened"  # a Happening as a mapping: it is so, or is gone
BASES = "bases"  # {base key: since when this partition folds it, ms}
