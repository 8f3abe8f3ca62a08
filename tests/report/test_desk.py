"""What may be entered: every rule has its sentence, and what passes is what was said."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.errors import EntryConflict, EntryRefused
from pipeline.report.desk import Desk, sip_id
from pipeline.report.entering import ACTIONS, CommentDraft, SipChange, SipDraft
from pipeline.report.register import Sip, fold_comments
from pipeline.stores.register_sqlite import SqliteRegister
from pipeline.stores.sqlite import SqliteStore
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue

#: 2026-10-20 12:00 UTC
NOW = 1_792_497_600
CALENDAR = Calendar("UTC")


def month_value(month: str, value: float | None, state: str = "closed", **changed) -> KpiValue:
    start = CALENDAR.parse_month(month)
    fields = {
        "csf": "reliability", "kpi": "mttr", "scope": "org", "period": "month", "start": start,
        "end": CALENDAR.next_month(start), "value": value, "unit": "h", "state": state,
    }  # fmt: skip
    return KpiValue(**{**fields, **changed})


class Office:
    def __init__(self, folder: Path) -> None:
        self.register = SqliteRegister(folder / "register.db")
        self.store = SqliteStore(folder / "kpis.db")
        self.store.write_values(
            [
                month_value("2026-07", 12.0),
                month_value("2026-08", 11.0, "restated"),
                month_value("2026-09", None),
                month_value("2026-10", 3.0, "to_date"),
                month_value("2026-08", 88.0, kpi="csat", csf="user_centric_design", unit="%"),
                month_value("2026-08", -4.0, kpi="forecast_bias", csf="data_driven_insights", unit="%"),
                month_value("2026-08", 7.0, scope="service:imported"),
            ]
        )
        self.clock = itertools.count(NOW * 1000, 1000)
        ids = (f"id{n:03}" for n in itertools.count())
        self.sips = iter(["SIP-AAAAA", "SIP-AAAAA", "SIP-BBBBB", "SIP-CCCCC"])
        self.desk = Desk(
            self.register, self.store, load_catalogue(), now_ms=lambda: next(self.clock), new_id=lambda: next(ids),
            new_sip=lambda: next(self.sips),
        )  # fmt: skip

    def open(self, **changed) -> Sip:
        fields = {"kpi": "mttr", "title": "Resolve sooner", "owner": "Service desk", "goal": 6.0}
        return self.desk.open(SipDraft(**{**fields, **changed}), "Ada", "csf")


@pytest.fixture
def office(tmp_path: Path):
    made = Office(tmp_path)
    yield made
    made.register.close()
    made.store.close()


def test_the_baseline_is_the_value_of_the_latest_closed_month(office: Office) -> None:
    sip = office.open()
    assert (sip.baseline, sip.baseline_month) == (11.0, "2026-08")
    assert (sip.start, sip.status, sip.scope, sip.due) == ("2026-10-20", "open", "org", None)


def test_the_baseline_of_one_that_started_earlier_is_of_before_its_start(office: Office) -> None:
    assert office.open(start="2026-08-15").baseline_month == "2026-07"
    sip = office.open(start="2026-07-01")
    assert (sip.baseline, sip.baseline_month) == (None, None)


def test_what_was_brought_from_elsewhere_is_a_baseline_once_its_month_is_over(office: Office) -> None:
    office.store.write_values(
        [month_value(m, v, "to_date", reported=True) for m, v in (("2026-09", 9.0), ("2026-10", 8.0))]
    )
    sip = office.open()
    assert (sip.baseline, sip.baseline_month) == (9.0, "2026-09")
    assert office.open(start="2027-02-01").baseline_month == "2026-09"


def test_a_baseline_that_is_given_holds(office: Office) -> None:
    sip = office.open(baseline=20.0, goal=15.0)
    assert (sip.baseline, sip.baseline_month) == (20.0, None)


def test_an_id_that_is_taken_is_not_given_again(office: Office) -> None:
    assert [office.open().id, office.open().id] == ["SIP-AAAAA", "SIP-BBBBB"]


def test_a_service_that_only_has_values_may_have_one(office: Office) -> None:
    assert office.open(scope="service:imported").baseline == 7.0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kpi": "mtr"}, r"kpi 'mtr' is not in the catalogue; did you mean 'mttr'\?"),
        ({"scope": "service:nowhere"}, "scope 'service:nowhere' is unknown"),
        ({"goal": 11.0}, "goal 11 h is not below the baseline 11 h: less is better for mttr; give a goal below it"),
        ({"kpi": "csat", "goal": 80.0}, "goal 80 % is not above the baseline 88 %: more is better for csat"),
        ({"kpi": "forecast_bias", "goal": 4.0}, "goal 4 % is not nearer to 0 than the baseline -4 %"),
        ({"goal": float("nan")}, "goal is nan; give a finite number"),
        ({"baseline": float("inf")}, "baseline is inf; give a finite number"),
        ({"due": "2026-10-19"}, "due 2026-10-19 is before the start 2026-10-20; give a later day"),
        ({"due": "soon"}, "due 'soon' is no day; write it like 2026-12-31"),
        ({"due": "20261231"}, "is no day"),
        ({"start": "2026-02-30"}, "start '2026-02-30' is no day"),
        ({"start": "9999-12-31"}, "out of range"),
        ({"title": "  "}, "title is empty"),
        ({"title": "x" * 201}, "title has 201 characters; at most 200 are kept: shorten it"),
        ({"title": "two\nlines"}, r"title holds the control character U\+000A; take it out"),
        ({"owner": "evil\u202egnp.exe"}, r"owner holds the control character U\+202E"),
        ({"owner": "half \ud800"}, r"owner holds the control character U\+D800"),
        ({"actions": ["x"] * (ACTIONS + 1)}, "51 actions are given; a SIP has at most 50"),
        ({"actions": [""]}, "an action is empty"),
        ({"why": "x" * 2001}, "why has 2,001 characters"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_a_sentence(office: Office, changed: dict, sentence: str) -> None:
    with pytest.raises(EntryRefused, match=sentence):
        office.open(**changed)
    assert office.register.entries() == []


def test_only_what_differs_is_entered(office: Office) -> None:
    sip = office.open(actions=["Rota", "Runbooks"])
    change = SipChange(title=sip.title, goal=5.0, status="in_progress", done=[2], add=["Training"], why="Begun")
    now = office.desk.update("aaaaa", change, "Grace", "page")
    (_, entry) = office.register.entries()
    assert list(entry.changes) == [
        "status",
        "goal",
        "action:id000-1:done",
        "action:id001-0:text",
        "action:id001-0:done",
    ]
    assert (entry.who, entry.via, entry.why) == ("Grace", "page", "Begun")
    assert (now.goal, now.status, now.changed_by) == (5.0, "in_progress", "Grace")
    assert [(a.text, a.done) for a in now.actions] == [("Rota", False), ("Runbooks", True), ("Training", False)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (SipChange(), "nothing of SIP-AAAAA would change"),
        (SipChange(title="Resolve sooner"), "nothing of SIP-AAAAA would change"),
        (SipChange(done=[1]), "SIP-AAAAA has no action 1; it has none"),
        (SipChange(goal=12.0), "not below the baseline"),
        (SipChange(baseline=2.0), "goal 6 h is not below the baseline 2 h"),
        (SipChange(due="2026-01-01"), "before the start"),
        (SipChange(add=["x"] * 51), "has 0 actions and would get 51 more"),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused(office: Office, change: SipChange, sentence: str) -> None:
    office.open()
    with pytest.raises(EntryRefused, match=sentence):
        office.desk.update("SIP-AAAAA", change, "Ada", "csf")
    assert len(office.register.entries()) == 1


def test_a_due_date_and_a_baseline_can_be_changed(office: Office) -> None:
    office.open(due="2026-12-31")
    assert office.desk.update("AAAAA", SipChange(due=None), "Ada", "csf").due is None
    sip = office.desk.update("AAAAA", SipChange(baseline=9.0), "Ada", "csf")
    assert (sip.baseline, sip.baseline_month) == (9.0, None)


def test_closing_needs_a_reason_and_reopening_says_so(office: Office) -> None:
    office.open()
    with pytest.raises(EntryRefused, match="say why SIP-AAAAA is closed"):
        office.desk.close("SIP-AAAAA", " ", "Ada", "csf")
    closed = office.desk.close("SIP-AAAAA", "Reached", "Ada", "csf")
    assert (closed.status, closed.closed_on) == ("closed", "2026-10-20")
    with pytest.raises(EntryRefused, match="closed already, since 2026-10-20"):
        office.desk.close("SIP-AAAAA", "Again", "Ada", "csf")
    with pytest.raises(EntryRefused, match="is closed since 2026-10-20; give it the status open"):
        office.desk.update("SIP-AAAAA", SipChange(title="Other"), "Ada", "csf")
    again = office.desk.update("SIP-AAAAA", SipChange(status="open"), "Ada", "csf")
    assert (again.status, again.closed_on) == ("open", None)


def test_a_programme_that_is_not_there_is_told(office: Office) -> None:
    with pytest.raises(EntryRefused, match="there is no SIP SIP-XXXXX"):
        office.desk.close("xxxxx", "Why", "Ada", "csf")


def test_who_has_seen_an_older_state_is_told_who_changed_it(office: Office) -> None:
    seen = office.open().version
    office.desk.update("AAAAA", SipChange(goal=5.0), "Grace", "page", seen)
    with pytest.raises(EntryConflict, match="SIP-AAAAA was changed by Grace"):
        office.desk.update("AAAAA", SipChange(goal=4.0), "Ada", "page", seen)
    with pytest.raises(EntryConflict):
        office.desk.close("AAAAA", "Reached", "Ada", "page", seen)


def test_an_entry_is_later_than_what_its_author_saw_though_the_clock_was_set_back(office: Office) -> None:
    office.open()
    office.clock = itertools.count((NOW - 86_400) * 1000)
    assert office.desk.update("AAAAA", SipChange(goal=5.0), "Ada", "csf").goal == 5.0


def comment(**changed) -> CommentDraft:
    fields = {"csf": "reliability", "month": "2026-09", "text": "We moved the data centre.\nTwice."}
    return CommentDraft(**{**fields, **changed})


def test_a_comment_holds_until_it_is_replaced_or_withdrawn(office: Office) -> None:
    def standing() -> list[str]:
        found = fold_comments(office.register.entries(), CALENDAR)
        return [c.text for comments in found.values() for c in comments.values()]

    office.desk.comment(comment(), "Ada", "csf")
    assert standing() == ["We moved the data centre.\nTwice."]
    office.desk.comment(comment(text="Once"), "Grace", "csf")
    assert standing() == ["Once"]
    office.desk.comment(comment(text=None), "Ada", "csf")
    assert standing() == []
    assert [e.kind for e in office.register.entries()] == ["comment.set", "comment.set", "comment.withdrawn"]
    with pytest.raises(EntryRefused, match="there is no comment on reliability of org in 2026-09 to withdraw"):
        office.desk.comment(comment(text=None), "Ada", "csf")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"csf": "luck"}, "csf 'luck' is unknown; allowed: user_centric_design,"),
        ({"month": "2026-13"}, "month '2026-13' is no month"),
        ({"month": "2026-11"}, "month 2026-11 has not begun yet"),
        ({"scope": "team:nobody"}, "scope 'team:nobody' is unknown"),
        ({"text": "x" * 2001}, "text has 2,001 characters; at most 2,000 are kept"),
        ({"text": " "}, "text is empty"),
        ({"text": "bell\a"}, r"text holds the control character U\+0007"),
    ],
)
def test_a_comment_that_breaks_a_rule_is_refused(office: Office, changed: dict, sentence: str) -> None:
    with pytest.raises(EntryRefused, match=sentence):
        office.desk.comment(comment(**changed), "Ada", "csf")


@pytest.mark.parametrize("who", ["", " ", "x" * 101, "two\nlines"])
def test_nobody_enters_without_a_proper_name(office: Office, who: str) -> None:
    with pytest.raises(EntryRefused, match="who"):
        office.desk.comment(comment(), who, "csf")


def test_people_write_ids_as_they_like() -> None:
    assert {sip_id(t) for t in ("SIP-K7Q2F", "sip-k7q2f", " k7q2f ")} == {"SIP-K7Q2F"}


def test_the_day_is_the_organisations(tmp_path: Path) -> None:
    """At 23:30 UTC it is the next day already in Kolkata."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "organisation.yaml").write_text("zone: Asia/Kolkata\n")
    at = int(datetime(2026, 10, 20, 23, 30, tzinfo=UTC).timestamp() * 1000)
    register = SqliteRegister(tmp_path / "register.db")
    ids: Callable[[], str] = iter(["e1"]).__next__
    desk = Desk(register, None, load_catalogue(folder), now_ms=lambda: at, new_id=ids, new_sip=lambda: "SIP-AAAAA")
    draft = SipDraft(kpi="mttr", title="t", owner="o", goal=6.0)
    assert desk.open(draft, "Ada", "csf").start == "2026-10-21"
    register.close()
