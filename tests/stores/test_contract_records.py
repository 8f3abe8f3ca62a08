"""What every KPI store keeps beside the values: statuses, revisions, texts, exits, alerts and their notes, happenings."""

import pytest

from pipeline.values import SUMMARY, Exits
from tests.stores.conftest import NOW
from tests.stores.samples import (
    DAY,
    HOSTILE,
    MAY,
    alert,
    happening,
    note,
    report_text,
    revision,
    status,
)


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
