"""The word that a span was told: one id for one statement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from connectors.spans import CONTROL, told
from pipeline.events.envelope import encode
from pipeline.events.families import SourcePolled
from pipeline.events.validate import decode_data, decode_envelope

FROM, TO = datetime(2026, 11, 26, 11, tzinfo=UTC), datetime(2026, 11, 26, 12, tzinfo=UTC)
SPAN = SourcePolled(source="desk/tickets", from_=FROM, to=TO, types=["incident.updated"], services=["shop"])


def test_it_is_a_valid_event_of_the_source():
    event = decode_envelope(encode(told("desk", SPAN, TO)))
    assert (event.source, event.type) == ("desk", "source.polled")
    assert decode_data(event, CONTROL, int(TO.timestamp() * 1000))[0] == SPAN


def test_said_again_it_is_a_duplicate():
    assert (
        told("desk", SPAN, TO).id == told("desk", msgspec.structs.replace(SPAN), datetime(2026, 12, 1, tzinfo=UTC)).id
    )


@pytest.mark.parametrize(
    "other",
    [{"source": "desk/changes"}, {"from_": TO}, {"to": FROM}, {"types": ["change.updated"]}, {"services": None}, {"truncated": 1},
     {"complete": False}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_said_otherwise_it_is_news(other: dict[str, Any]):
    assert told("desk", msgspec.structs.replace(SPAN, **other), TO).id != told("desk", SPAN, TO).id
