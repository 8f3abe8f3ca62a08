"""When months are closed by schedule, and what is written then."""

from datetime import UTC, date, datetime

import pytest

from agents.closing import barrier
from agents.ticker import tick
from pipeline.catalogue.model import Organisation
from pipeline.events.families import EVENT_TOPICS, event_topic
from pipeline.events.validate import decode_data, decode_envelope
from pipeline.time.due import months_after, newest_due


@pytest.mark.parametrize(
    ("now", "zone", "due"),
    [
        ("2026-11-03T05:59:59", "UTC", date(2026, 9, 1)),
        ("2026-11-03T06:00:00", "UTC", date(2026, 10, 1)),
        ("2026-11-24T00:00:00", "UTC", date(2026, 10, 1)),
        ("2026-01-03T06:00:00", "UTC", date(2025, 12, 1)),
        ("2026-01-02T23:00:00", "UTC", date(2025, 11, 1)),
        ("2026-11-03T05:00:00", "Europe/Berlin", date(2026, 10, 1)),
        ("2026-11-03T10:59:59", "America/New_York", date(2026, 9, 1)),
    ],
)
def test_a_month_is_due_on_the_third_day_at_six_local(now, zone, due):
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert newest_due(zone, Organisation().close_day, Organisation().close_time, at) == due


def test_months_missed_while_nothing_ran_are_closed_in_order():
    assert months_after(date(2025, 11, 1), date(2026, 2, 1)) == [date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)]
    assert months_after(date(2026, 2, 1), date(2026, 2, 1)) == []


def test_barriers_and_ticks_are_valid_events_in_every_event_topic():
    at = datetime(2026, 11, 3, 6, tzinfo=UTC).timestamp()
    for topic in EVENT_TOPICS:
        for message, kind in ((barrier("2026-10", "UTC", 44, at), "month.closed"), (tick(3, at), "clock.ticked")):
            event = decode_envelope(message)
            data, at_ms = decode_data(event, topic, int(at * 1000))
            assert (event.type, at_ms) == (kind, int(at * 1000))
    assert event_topic("control") in EVENT_TOPICS
    data, _ = decode_data(decode_envelope(barrier("2026-10", "UTC", 44, at)), EVENT_TOPICS[0], int(at * 1000))
    assert (data.month, data.barriers, data.offsets) == ("2026-10", 44, None)
