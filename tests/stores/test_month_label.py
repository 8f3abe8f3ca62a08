"""A month's name in InfluxDB is the local one in every zone there is, without the store knowing the zone."""

from zoneinfo import available_timezones

from pipeline.stores.influx_lines import month_label
from pipeline.time.calendar import Calendar


def test_a_month_is_called_as_its_own_calendar_calls_it_in_every_zone() -> None:
    zones = sorted(available_timezones())
    assert {"Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"} <= set(zones)
    for zone in zones:
        calendar = Calendar(zone)
        for month in ("2024-02", "2026-01", "2026-03", "2026-10", "2026-12"):
            start = calendar.parse_month(month)
            assert month_label(start, calendar.next_month(start)) == month, zone
