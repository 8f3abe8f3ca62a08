"""Values in every KPI store: the same suite on SQLite and on a real InfluxDB."""

import msgspec
import pytest

from pipeline.stores.common import LIVE_RETENTION_S, OPTIONAL_FIELDS
from tests.stores.conftest import NOW
from tests.stores.samples import (
    DAY,
    MAY,
    live_value,
    period_value,
    status,
)


class TestValues:
    def test_every_field_of_a_period_value_comes_back(self, store):
        store.write_values([period_value()])
        assert store.periods(period="month") == [period_value()]

    def test_every_field_of_a_live_value_comes_back(self, store):
        value = live_value(NOW)
        store.write_values([value])
        assert store.live(window="1h") == [value]
        assert store.live(window="1h", end_from=NOW) == [value]
        assert store.periods(period="1h") == []

    def test_types_come_back_too(self, store):
        store.write_values([period_value(value=3, target=24)])
        (found,) = store.periods(period="month")
        kinds = {field: type(getattr(found, field)) for field in found.__struct_fields__}
        assert kinds == {
            "csf": str, "kpi": str, "scope": str, "period": str, "start": int, "end": int, "value": float,
            "unit": str, "numerator": float, "denominator": float, "count": int, "coverage": float,
            "target": float, "status": str, "score": float, "state": str, "revision": int,
            "definition_version": int, "reported": bool, "previous": float, "reason": str,
        }  # fmt: skip

    @pytest.mark.parametrize("number", [0.0, 1e300, -1e-300, 2.0**53, 1 / 3, 1e12])
    def test_numbers_come_back_to_the_last_digit(self, store, number):
        store.write_values([period_value(**dict.fromkeys(OPTIONAL_FIELDS, number))])
        (found,) = store.periods(period="month")
        assert [repr(getattr(found, field)) for field in OPTIONAL_FIELDS] == [repr(number)] * len(OPTIONAL_FIELDS)

    @pytest.mark.parametrize("live", [False, True])
    def test_unknown_stays_unknown_and_zero_stays_zero(self, store, live):
        unknown = dict.fromkeys(OPTIONAL_FIELDS)
        zero = dict.fromkeys(OPTIONAL_FIELDS, 0.0)
        values = [
            live_value(NOW, kpi=kpi, **fields) if live else period_value(kpi=kpi, **fields)
            for kpi, fields in (("a", unknown), ("b", zero))
        ]
        store.write_values(values)
        assert (store.live(window="1h") if live else store.periods(period="month")) == values

    def test_writing_twice_is_writing_once(self, store):
        values = [period_value(start=MAY + i * DAY, period="day", end=MAY + (i + 1) * DAY) for i in range(5)]
        store.write_values(values)
        store.write_values(values[1:3])
        assert store.periods(period="day") == values

    def test_a_later_write_replaces_every_field(self, store):
        store.write_values([period_value()])
        later = period_value(
            value=1.0, unit="d", numerator=2.0, denominator=3.0, count=4, coverage=0.5, target=6.0, status="red",
            score=7.0, state="closed", revision=1, reported=False, previous=8.0, reason="", end=MAY + DAY,
        )  # fmt: skip
        store.write_values([later])
        assert store.periods(period="month") == [later]

    @pytest.mark.parametrize("field", OPTIONAL_FIELDS)
    @pytest.mark.parametrize("live", [False, True])
    def test_known_becomes_unknown_becomes_known(self, store, field, live):
        def value(number):
            return live_value(NOW, **{field: number}) if live else period_value(**{field: number})

        for number in (5.0, None, 6.0, None):
            store.write_values([value(number)])
            assert (store.live(window="1h") if live else store.periods(period="month")) == [value(number)]

    def test_only_the_point_that_became_unknown_loses_its_number(self, store):
        days = [period_value(period="day", start=MAY + i * DAY, end=MAY + (i + 1) * DAY) for i in range(3)]
        other = msgspec.structs.replace(days[1], scope="team:b")
        store.write_values([*days, other])
        days[1] = msgspec.structs.replace(days[1], value=None, status="unknown")
        store.write_values([days[1]])
        assert store.periods(period="day") == sorted([*days, other], key=lambda v: (v.start, v.kpi, v.scope))

    def test_the_newest_definition_is_read(self, store):
        old, new = period_value(definition_version=2, value=1.0), period_value(definition_version=10, value=2.0)
        store.write_values([new, old])
        assert store.periods(period="month") == [new]

    def test_live_reads_the_newest_definition(self, store):
        old = live_value(NOW - 120, definition_version=1)
        new = live_value(NOW - 60, definition_version=2)
        store.write_values([old, new])
        assert store.live(window="1h") == [new]

    def test_nothing_is_written_for_nothing(self, store):
        store.write_values([])
        store.write_statuses([])
        store.write_revisions([])
        store.write_exits([])
        assert store.periods(period="month") == []
        assert store.live(window="1h") == []
        assert store.scopes() == []
        assert store.exits() == []


class TestReading:
    @pytest.fixture
    def filled(self, store):
        self.values = [
            period_value(kpi=kpi, scope=scope, period="day", start=MAY + i * DAY, end=MAY + (i + 1) * DAY)
            for i in range(4)
            for kpi in ("csat", "mttr")
            for scope in ("org", "service:a", "team:t")
        ]
        store.write_values(self.values[::-1])
        store.write_values([period_value()])
        return store

    def test_order_is_start_kpi_scope(self, filled):
        assert filled.periods(period="day") == self.values

    def test_ends_of_a_range_belong_to_it(self, filled):
        first, last = MAY + DAY, MAY + 2 * DAY
        assert filled.periods(period="day", start_from=first, start_to=last) == [
            v for v in self.values if first <= v.start <= last
        ]
        assert filled.periods(period="day", start_from=first, start_to=first) == self.values[6:12]
        assert filled.periods(period="day", start_from=last, start_to=first) == []

    @pytest.mark.parametrize(
        ("kpis", "scopes"),
        [
            (["mttr"], None),
            (None, ["team:t", "org"]),
            (["csat", "nps"], ["service:a"]),
            ([], None),
            (None, []),
            (["nps"], None),
            ([f"kpi{i}" for i in range(300)] + ["csat"], [f"service:{i}" for i in range(300)] + ["org"]),
        ],
    )
    def test_filters(self, filled, kpis, scopes):
        def wanted(v):
            return (kpis is None or v.kpi in kpis) and (scopes is None or v.scope in scopes)

        expected = [v for v in self.values if wanted(v)]
        assert filled.periods(period="day", kpis=kpis, scopes=scopes) == expected
        middle = [v for v in expected if MAY + DAY <= v.start <= MAY + 2 * DAY]
        assert (
            filled.periods(period="day", kpis=kpis, scopes=scopes, start_from=MAY + DAY, start_to=MAY + 2 * DAY)
            == middle
        )

    def test_newest_live_of_each_kpi_and_scope(self, store):
        fresh = [live_value(NOW - 60 * i, kpi=kpi) for i in range(3) for kpi in ("csat", "mttr")]
        stale = live_value(NOW - 20 * DAY, scope="service:gone")
        other = live_value(NOW, window="5m")
        store.write_values([*fresh, stale, other])
        assert store.live(window="1h") == [stale, fresh[0], fresh[1]]
        assert store.live(window="1h", kpis=["mttr"]) == [stale, fresh[1]]
        assert store.live(window="1h", kpis=["mttr"], scopes=["org"]) == [fresh[1]]
        assert store.live(window="1h", kpis=["mttr"], end_from=NOW - 60) == [fresh[3], fresh[1]]
        assert store.live(window="1h", kpis=[]) == []

    def test_newest_live_is_whole_when_it_lacks_numbers_that_older_ones_have(self, store):
        older = live_value(NOW - 60)
        newest = live_value(NOW, **dict.fromkeys(OPTIONAL_FIELDS), status="unknown")
        store.write_values([older, newest])
        assert store.live(window="1h") == [newest]

    def test_a_window_may_end_in_the_future(self, store):
        value = live_value(NOW + 3600)
        store.write_values([value])
        assert store.live(window="1h") == [value]
        assert store.live(window="1h", end_from=NOW) == [value]

    def test_periods_before_1970_and_in_the_future(self, store):
        values = [period_value(start=start, end=start + DAY) for start in (-10 * DAY, 0, NOW + 400 * DAY)]
        store.write_values(values)
        assert store.periods(period="month") == values


class TestRetention:
    def test_old_live_values_are_counted_and_not_written_old_periods_are(self, store):
        old = NOW - LIVE_RETENTION_S - 3600
        store.write_values([live_value(old), live_value(NOW), period_value(start=old - DAY, end=old)])
        store.write_statuses(
            [status(period="1h", start=old - 3600, end=old), status(period="month", start=old - DAY, end=old)]
        )
        assert store.skipped_old == 2
        assert store.live(window="1h", end_from=0) == [live_value(NOW)]
        assert len(store.periods(period="month")) == 1
        assert store.statuses(period="1h") == []
        assert len(store.statuses(period="month")) == 1


def busy_minute():
    """Return a batch as a busy minute makes it."""
    return [
        period_value(
            kpi=f"kpi{i % 50:02}",
            scope=f"service:s{i // 50:03}",
            period="hour",
            start=MAY,
            end=MAY + 3600,
            value=None if i % 7 == 0 else i / 7,
        )
        for i in range(5_000)
    ]


class TestSize:
    def test_five_thousand_rows_twice(self, store):
        values = busy_minute()
        store.write_values(values)
        swapped = [msgspec.structs.replace(v, value=1.5 if v.value is None else v.value) for v in values]
        store.write_values(swapped)
        assert store.periods(period="hour") == sorted(swapped, key=lambda v: (v.kpi, v.scope))

    def test_many_become_unknown_at_once(self, store):
        values = [v for v in busy_minute() if v.value is not None][:300]
        store.write_values(values)
        gone = [msgspec.structs.replace(v, value=None) for v in values]
        store.write_values(gone)
        assert store.periods(period="hour") == sorted(gone, key=lambda v: (v.kpi, v.scope))
