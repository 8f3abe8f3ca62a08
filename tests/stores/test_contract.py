"""What every KPI store keeps: the same suite on SQLite and on a real InfluxDB."""

import threading

import msgspec
import pytest

from pipeline.errors import StoreRejected
from pipeline.stores.common import LIVE_RETENTION_S, OPTIONAL_FIELDS
from pipeline.values import SUMMARY, Exits
from tests.stores.conftest import NOW
from tests.stores.samples import (
    DAY,
    MAY,
    alert,
    happening,
    live_value,
    note,
    period_value,
    report_text,
    revision,
    status,
)

HOSTILE = [
    "service:a b,c=d",
    'service:"quoted" \\ back\\',
    "service:new\nline\r\n\ttab",
    "service:${interpolated} #{x}",
    '") |> drop() //',
    "' OR 1=1; DROP TABLE kpi_period; --",
    "service:ünï-日本-🙂",
    "service:%0041%",
    "service:\\0041",
    "service:trailing\\",
    "service:nul\x00byte",
    "service:u2028\u2028x",
    " leading and trailing ",
    "-",
    "",
]


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


class TestStatuses:
    def test_every_field_comes_back(self, store):
        live = status(period="24h", start=NOW - DAY, end=NOW)
        store.write_statuses([status(), live])
        assert store.statuses(period="month") == [status()]
        assert store.statuses(period="24h") == [live]

    @pytest.mark.parametrize("worst", [None, "", "mail", "="])
    def test_worst_service_comes_and_goes(self, store, worst):
        store.write_statuses([status()])
        store.write_statuses([status(worst_service=worst)])
        assert store.statuses(period="month") == [status(worst_service=worst)]

    @pytest.mark.parametrize("fields", [{}, {"period": "1h", "start": NOW - 3600, "end": NOW}])
    def test_score_becomes_unknown(self, store, fields):
        unknown = status(**fields, score=None, known_weight=0.0)
        unknown.status = "unknown"
        store.write_statuses([status(**fields)])
        store.write_statuses([unknown])
        assert store.statuses(period=unknown.period) == [unknown]

    def test_order_range_filter_and_latest(self, store):
        days = [
            status(csf=csf, scope=scope, period="day", start=MAY + i * DAY, end=MAY + (i + 1) * DAY)
            for i in range(3)
            for csf in ("reliability", "security")
            for scope in ("org", "team:t")
        ]
        store.write_statuses(days[::-1])
        assert store.statuses(period="day") == days
        assert store.statuses(period="day", scopes=["org"], start_from=MAY + DAY) == days[4::2]
        assert store.statuses(period="day", start_to=MAY) == days[:4]
        assert store.statuses(period="day", latest=True) == days[8:]
        assert store.statuses(period="day", latest=True, start_to=MAY + DAY) == days[4:8]
        assert store.statuses(period="day", scopes=[]) == []

    def test_ranges_of_windows_are_by_start(self, store):
        windows = [status(period="1h", start=NOW - 3600 - 60 * i, end=NOW - 60 * i) for i in (2, 1, 0)]
        store.write_statuses(windows)
        assert store.statuses(period="1h", start_from=NOW - 3660, start_to=NOW - 3660) == windows[1:2]
        assert store.statuses(period="1h", latest=True) == windows[2:]


class TestRevisions:
    def test_each_revision_is_kept_in_order(self, store):
        kept = [revision(1), revision(2), revision(10, value=None, replaced_by=None)]
        more = [revision(1, scope="team:a"), revision(1, start=MAY + 31 * DAY), revision(1, kpi="csat")]
        store.write_revisions([*more, *kept[::-1]])
        store.write_revisions(kept[:1])
        everything = sorted([*kept, *more], key=lambda r: (r.start, r.kpi, r.scope, r.revision))
        assert store.revisions(period="month") == everything
        assert store.revisions(period="month", kpi="mttr", start=MAY) == [*kept, more[0]]
        assert store.revisions(period="month", start=MAY + 31 * DAY) == [more[1]]
        assert store.revisions(period="month", start_from=MAY + 1) == [more[1]]
        assert store.revisions(period="month", start_from=MAY, start_to=MAY) == [
            r for r in everything if r.start == MAY
        ]
        assert store.revisions(period="day") == []

    def test_a_revision_may_lose_its_numbers(self, store):
        store.write_revisions([revision(1)])
        store.write_revisions([revision(1, value=None, replaced_by=None)])
        assert store.revisions(period="month") == [revision(1, value=None, replaced_by=None)]


class TestReportTexts:
    def test_a_later_issue_takes_the_place_of_an_earlier_one_of_the_same_month_scope_and_csf(self, store):
        first = report_text(issue=1, concerns="One.\nTwo.")
        others = [report_text(scope="team:a"), report_text(start=MAY + 31 * DAY), report_text(csf=SUMMARY)]
        later = report_text(issue=2, concerns="", suggestions="", verdict="aligned")
        store.write_report_texts([first, *others])
        store.write_report_texts([later])
        everything = sorted([later, *others], key=lambda t: (t.start, t.csf, t.scope))
        assert store.report_texts(period="month") == everything
        assert store.report_texts(period="month", scopes=["org"], start_to=MAY) == [later, others[2]]
        assert store.report_texts(period="month", start_from=MAY + 1) == [others[1]]
        assert store.report_texts(period="month", scopes=[]) == []
        assert store.report_texts(period="day") == []

    @pytest.mark.parametrize("text", HOSTILE)
    def test_texts_come_back_as_they_were(self, store, text):
        odd = report_text(csf=text, scope=text, insight=text, concerns=text, suggestions=text)
        store.write_report_texts([odd])
        assert store.report_texts(period="month", scopes=[text]) == [odd]


class TestExits:
    def test_latest_counts_of_each_partition(self, store):
        first = Exits(topic="csf.events.usage", partition=0, received=5, kpi=5, clock=1.5)
        later = Exits(
            topic="csf.events.usage", partition=0, received=15, kpi=5, dead_letter=1, duplicate=2, unmapped=3,
            ignored=4, reasons={"bad-data": 1, 'odd "x"\n': 2}, truncated=9, clock=1700000000.25,
        )  # fmt: skip
        other = Exits(topic="csf.events.incident", partition=11, received=1, ignored=1)
        store.write_exits([first, other])
        store.write_exits([later])
        assert store.exits() == [other, later]


class TestNames:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_odd_names_are_data_everywhere(self, store, text):
        value = period_value(scope=text, kpi=text, csf=text, unit=text, reason=text)
        live = live_value(NOW, scope=text, kpi=text, csf=text, unit=text, reason=text)
        plain = period_value()
        store.write_values([value, live, plain])
        assert store.periods(period="month", kpis=[text], scopes=[text]) == [value]
        assert store.live(window="1h", kpis=[text], scopes=[text]) == [live]
        assert store.scopes() == sorted([text, "org"])
        gone = msgspec.structs.replace(value, value=None)
        store.write_values([gone])
        assert store.periods(period="month") == sorted([gone, plain], key=lambda v: (v.kpi, v.scope))
        old = revision(1, scope=text, kpi=text, reason=text)
        store.write_revisions([old])
        assert store.revisions(period="month", kpi=text) == [old]
        seen = status(scope=text, csf=text, worst_service=text)
        store.write_statuses([seen])
        assert store.statuses(period="month", scopes=[text]) == [seen]
        counts = Exits(topic=text, partition=1, reasons={text: 1})
        store.write_exits([counts])
        assert store.exits() == [counts]

    def test_asking_for_what_cannot_be_a_name_finds_nothing(self, store):
        store.write_values([period_value()])
        for text in HOSTILE:
            assert store.periods(period=text) == []
            assert store.live(window=text, scopes=[text]) == []
            assert store.statuses(period=text) == []
            assert store.revisions(period=text, kpi=text) == []

    def test_a_lone_surrogate_is_refused_in_a_sentence(self, store):
        with pytest.raises(StoreRejected, match="surrogate"):
            store.write_values([period_value(reason="broken \ud800")])
        store.write_values([period_value()])
        assert store.periods(period="month") == [period_value()]

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_that_are_none_are_refused_and_named(self, store, number):
        with pytest.raises(StoreRejected, match="mttr of org for month from 1462060800: score is"):
            store.write_values([period_value(kpi="csat"), period_value(score=number)])
        with pytest.raises(StoreRejected, match="known_weight"):
            store.write_statuses([status(known_weight=number)])
        with pytest.raises(StoreRejected, match="replaced_by"):
            store.write_revisions([revision(1, replaced_by=number)])
        with pytest.raises(StoreRejected, match="clock"):
            store.write_exits([Exits(topic="t", partition=0, clock=number)])
        assert store.periods(period="month") == []


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


class TestAlerts:
    def test_every_field_comes_back_and_unknown_stays_unknown(self, store):
        changes = [
            alert(),
            alert(at=MAY + 3601, value=None, threshold=None, coverage=None, kpi="", state="unknown"),
            alert(at=MAY + 3602, value=0.0, scope="org", state="firing"),
        ]
        store.write_alerts(changes)
        assert store.alerts() == changes

    def test_identity_is_rule_scope_instant_and_state(self, store):
        store.write_alerts([alert(state="firing"), alert(), alert(scope="org")])
        store.write_alerts([alert(value=None)])
        assert store.alerts() == [alert(scope="org"), alert(state="firing"), alert(value=None)]

    def test_range_and_scopes(self, store):
        changes = [alert(at=MAY + n, scope=f"service:s{n % 2}") for n in range(6)]
        store.write_alerts(changes)
        assert store.alerts(at_from=MAY + 1, at_to=MAY + 3) == changes[1:4]
        assert store.alerts(scopes=["service:s1"]) == changes[1::2]
        assert store.alerts(scopes=[]) == []

    @pytest.mark.parametrize("text", HOSTILE)
    def test_text_stays_text(self, store, text):
        store.write_alerts([alert(note=text, scope=f"service:{text}")])
        assert store.alerts() == [alert(note=text, scope=f"service:{text}")]


class TestAlertNotes:
    def test_every_field_comes_back_and_unknown_stays_unknown(self, store):
        notes = [note(), note(at=MAY + 61, kind="down", until=None, alerts=(), who="", ref="", about="")]
        store.write_alert_notes(notes)
        assert store.alert_notes() == notes

    def test_identity_is_instant_kind_and_slot(self, store):
        store.write_alert_notes([note(), note(slot=8), note(kind="lifted")])
        store.write_alert_notes([note(until=None, why="other")])
        assert store.alert_notes() == [note(kind="lifted"), note(until=None, why="other"), note(slot=8)]

    def test_range(self, store):
        notes = [note(at=MAY + n) for n in range(6)]
        store.write_alert_notes(notes)
        assert store.alert_notes(at_from=MAY + 1, at_to=MAY + 3) == notes[1:4]

    @pytest.mark.parametrize("text", HOSTILE)
    def test_text_stays_text(self, store, text):
        found = note(why=text, who=text, about=text, ref=text, channel=text, alerts=(text,))
        store.write_alert_notes([found])
        assert store.alert_notes() == [found]


class TestHappenings:
    def test_every_field_comes_back_also_without_an_end(self, store):
        found = [happening(), happening(id="INC8", end=None), happening(kind="maintenance", start=MAY + 61)]
        store.write_happenings(found)
        store.write_happenings(found[:1])
        assert store.happenings() == found

    def test_those_of_one_second_stay_apart(self, store):
        found = [happening(kind="deployment", id=f"CHG{n:04}", end=None) for n in range(500)]
        store.write_happenings(found)
        assert store.happenings() == found

    def test_what_is_gone_is_not_returned_and_may_come_back(self, store):
        store.write_happenings([happening(), happening(id="INC8")])
        store.write_happenings([happening(gone=True), happening(id="INC9", gone=True)])
        assert store.happenings() == [happening(id="INC8")]
        store.write_happenings([happening(end=None)])
        assert store.happenings() == [happening(end=None), happening(id="INC8")]

    def test_range_and_services(self, store):
        found = [happening(start=MAY + n, service=f"s{n % 2}") for n in range(6)]
        store.write_happenings(found)
        assert store.happenings(start_from=MAY + 1, start_to=MAY + 3) == found[1:4]
        assert store.happenings(services=["s1"]) == found[1::2]
        assert store.happenings(services=[]) == []

    @pytest.mark.parametrize("text", HOSTILE)
    def test_text_stays_text(self, store, text):
        store.write_happenings([happening(text=text, source=text, id=text, service=text, team=text)])
        assert store.happenings() == [happening(text=text, source=text, id=text, service=text, team=text)]


class TestLifetime:
    def test_reopened_it_has_everything(self, open_store):
        first = open_store()
        first.write_values([period_value(), live_value(NOW)])
        first.write_statuses([status()])
        first.write_revisions([revision(1)])
        first.close()
        again = open_store()
        assert again.periods(period="month") == [period_value()]
        assert again.live(window="1h") == [live_value(NOW)]
        assert again.statuses(period="month") == [status()]
        assert again.revisions(period="month") == [revision(1)]
        assert again.scopes() == ["org"]

    def test_threads_read_while_one_writes(self, store):
        values = [period_value(period="day", kpi=f"k{i:02}", start=MAY, end=MAY + DAY, count=0) for i in range(50)]
        store.write_values(values)
        done = threading.Event()
        odd: list[object] = []

        def read() -> None:
            while not done.is_set():
                try:
                    found = store.periods(period="day")
                except Exception as error:
                    odd.append(error)
                    return
                if [v.kpi for v in found] != [v.kpi for v in values]:
                    odd.append(found)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(1, 21):
                for value in values:
                    value.count, value.value = number, float(number)
                store.write_values(values)
        finally:
            done.set()
            for reader in readers:
                reader.join()
        assert odd == []
        assert store.periods(period="day") == values

    def test_check_says_what_and_where(self, store):
        assert "schema" in store.check() or "csf" in store.check()
