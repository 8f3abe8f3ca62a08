"""Folding the register: any order, any repetition, the same state; concurrent changes are settled field by field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.register import Entry, fold_comments, fold_sips, in_order, latest_id, stamp
from pipeline.report.trail import changes, did
from pipeline.time.calendar import Calendar
from tests.report.histories import CATALOGUE
from tests.stores.entries import AT, entry

_VALUES = st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5))
_FIELDS = st.sampled_from(
    ["title", "kpi", "scope", "owner", "status", "start", "due", "goal", "baseline", "closed_on", "unheard_of",
     "action:a:text", "action:a:done", "action:b:text", "action:b:done"]
)  # fmt: skip
_ENTRIES = st.builds(
    Entry,
    id=st.text("ab", min_size=1, max_size=3),
    kind=st.sampled_from(["sip.opened", "sip.updated", "sip.closed", "comment.set", "comment.withdrawn"]),
    subject=st.sampled_from(["SIP-A", "SIP-B", "comment:2026-10:org:reliability"]),
    at=st.integers(0, 3),
    who=st.sampled_from(["Ada", "Grace"]),
    via=st.just("csf"),
    changes=st.dictionaries(_FIELDS, _VALUES, max_size=6),
)


@given(st.lists(_ENTRIES, max_size=8, unique_by=lambda e: e.id), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_of_entries_folds_the_same(entries: list[Entry], random) -> None:
    other = entries + random.choices(entries, k=3) if entries else []
    random.shuffle(other)
    assert list(fold_sips(other).items()) == list(fold_sips(entries).items())
    calendar = Calendar("UTC")
    assert fold_comments(other, calendar) == fold_comments(entries, calendar)


@given(st.lists(_ENTRIES, max_size=8, unique_by=lambda e: e.id))
def test_each_field_has_the_word_of_the_latest_entry_that_says_it(entries: list[Entry]) -> None:
    for subject, sip in fold_sips(entries).items():
        said = [e for e in entries if e.subject == subject and e.kind.startswith("sip.") and "title" in e.changes]
        title = max(said, key=lambda e: (e.at, e.id)).changes["title"] if said else ""
        assert sip.title == (title if isinstance(title, str) else "")


def test_two_people_who_change_different_fields_at_once_both_have_their_way() -> None:
    opened = entry(1)
    goal = entry(2, kind="sip.updated", who="Ada", changes={"goal": 5.0}, at=AT + 5000, id="b")
    owner = entry(3, kind="sip.updated", who="Grace", changes={"owner": "Platform"}, at=AT + 5000, id="a")
    sip = fold_sips([owner, opened, goal])["SIP-K7Q2F"]
    assert (sip.goal, sip.owner) == (5.0, "Platform")
    assert (sip.version, sip.changed_by) == ("b", "Ada")


def test_of_two_words_on_one_field_at_the_same_moment_the_greater_id_holds() -> None:
    first = entry(2, kind="sip.updated", changes={"goal": 5.0}, at=AT + 5000, id="a")
    second = entry(3, kind="sip.updated", changes={"goal": 4.0}, at=AT + 5000, id="b")
    for order in ([first, second], [second, first]):
        assert fold_sips([entry(1), *order])["SIP-K7Q2F"].goal == 4.0


def test_actions_added_at_once_are_both_there_and_done_stays_with_its_own() -> None:
    one = entry(2, kind="sip.updated", changes={"action:x-0:text": "Runbooks", "action:x-0:done": False})
    two = entry(3, kind="sip.updated", changes={"action:y-0:text": "Training", "action:y-0:done": False})
    three = entry(4, kind="sip.updated", changes={"action:x-0:done": True})
    sip = fold_sips([three, two, one, entry(1)])["SIP-K7Q2F"]
    assert [(a.text, a.done) for a in sip.actions] == [
        ("Rota on Mondays", False), ("Runbooks", True), ("Training", False),
    ]  # fmt: skip


def test_what_was_never_opened_is_no_programme() -> None:
    assert fold_sips([entry(1, kind="sip.updated")]) == {}


def test_a_withdrawn_comment_is_gone_and_a_replaced_one_is_only_in_the_log() -> None:
    calendar = Calendar("Europe/Berlin")
    about = {"csf": "reliability", "month": "2026-10", "scope": "org"}
    subject = "comment:2026-10:org:reliability"
    first = entry(1, kind="comment.set", subject=subject, who="Ada", changes={**about, "text": "First"})
    second = entry(2, kind="comment.set", subject=subject, who="Grace", changes={**about, "text": "Second"})
    gone = entry(3, kind="comment.withdrawn", subject=subject, changes={**about, "text": None})
    found = fold_comments([second, first], calendar)["2026-10", "org"]["reliability"]
    assert (found.text, found.author, found.at) == ("Second", "Grace", calendar.iso((AT + 2000) // 1000))
    assert fold_comments([second, gone, first], calendar) == {}


def test_the_latest_entry_and_a_time_after_all_that_was_seen() -> None:
    entries = [entry(2), entry(1), entry(9, subject="SIP-OTHER")]
    assert latest_id(entries, "SIP-K7Q2F") == "entry0002"
    assert latest_id(entries, "SIP-NEW") == ""
    assert stamp(AT, entries) == AT + 9001
    assert stamp(AT + 10_000, entries) == AT + 10_000
    assert [e.id for e in in_order([*entries, entry(1)])] == ["entry0001", "entry0002", "entry0009"]


def test_an_entry_is_told_in_words() -> None:
    opened, done = entry(1), entry(2, kind="sip.updated", changes={"action:a1:done": True, "due": None})
    sip = fold_sips([opened, done])["SIP-K7Q2F"]
    assert did(opened) == "opened"
    assert changes(opened, sip)[-2:] == ["goal: 6", "action: Rota on Mondays"]
    assert changes(opened, sip, CATALOGUE.kpis["mttr"])[-2:] == ["goal: 6.00\u00a0h", "action: Rota on Mondays"]
    assert changes(done, sip) == ["done: Rota on Mondays", "due: none"]


@pytest.mark.parametrize("field", ["title", "goal", "status"])
def test_a_field_of_the_wrong_kind_is_not_believed(field: str) -> None:
    odd = msgspec.structs.replace(entry(1), changes={**entry(1).changes, field: True})
    sip = fold_sips([odd])["SIP-K7Q2F"]
    assert getattr(sip, field) == {"title": "", "goal": None, "status": "open"}[field]
