"""The agenda's order, and its marks: what was asked for up to one is done, with all its consequences."""

from datetime import UTC, datetime, timedelta

from pipeline.engine.agenda import Agenda
from pipeline.events.families import event_topic
from tests.core.bench_world import NOW, World


def test_what_an_event_changed_comes_before_what_only_moved_on():
    agenda = Agenda()
    agenda.look_again("reliability", "org")
    agenda.live("reliability", "service:shop")
    assert list(agenda.next_urgent()) == [("reliability", "service:shop")]
    due = list(agenda.next_due())
    assert due[0] == ("5m", "reliability", "org")
    # the short windows of the shop were worked out with what was urgent
    assert {d for d in due if d[2] == "service:shop"} == {
        (w, "reliability", "service:shop") for w in ("6h", "24h", "3d", "7d", "30d")
    }
    assert not agenda


def test_a_mark_is_settled_when_all_before_it_is_done_whatever_comes_after():
    agenda = Agenda()
    agenda.live("reliability", "org")
    agenda.card(("reliability", "org", "month", 0), running=True)
    mark = agenda.mark()
    agenda.card(("reliability", "org", "day", 0), running=False)
    list(agenda.next_urgent())
    assert not agenda.settled(mark)
    list(agenda.next_due())
    assert agenda.settled(mark)
    assert len(agenda) == 1


def test_a_consequence_belongs_to_the_mark_of_its_cause():
    agenda = Agenda()
    agenda.card(("reliability", "org", "month", 0), running=False)
    mark = agenda.mark()
    for card in agenda.next_cards(1.0):
        if card[3] == 0:
            agenda.card(("reliability", "org", "month", 31), running=False)
    assert not agenda.settled(mark)
    assert [c[3] for c in agenda.next_cards(1.0)] == [31]
    assert agenda.settled(mark)


def test_asking_again_keeps_the_earlier_mark_and_a_finished_card_may_run_again():
    agenda = Agenda()
    card = ("reliability", "org", "day", 0)
    agenda.card(card, running=False)
    mark = agenda.mark()
    agenda.card(card, running=False)
    agenda.card(card, running=True)
    assert len(agenda) == 1
    assert not agenda.settled(mark)
    assert list(agenda.next_due()) == [card]
    assert agenda.settled(mark)


def test_finished_periods_are_told_though_windows_never_stop_waiting():
    """More windows change than there is time for: a finished month still gets its turn, and its mark settles."""
    world = World()
    january = datetime(2026, 1, 10, tzinfo=UTC)
    number = iter(range(10_000))

    def opened(at: datetime) -> None:
        i = f"I{next(number)}"
        times = dict.fromkeys(("opened_at", "updated_at", "resolved_at", "closed_at"), at.isoformat())
        data = {"number": i, "state": "closed", **times}
        for service in ("shop", "portal", "mail"):
            world.event("incident.updated", at, {**data, "number": i + service}, subject=service, arrival=NOW)

    topic = event_topic("incident")
    opened(january)
    world.step((topic, 0), 3)
    mark = world.rollup.mark()
    told, settled = set(), False
    for turn in range(1, 400):
        opened(NOW - timedelta(seconds=turn % 7))
        world.step((topic, 0), 3 + 3 * turn)
        world.rollup.evaluate(500, urgent_only=True)
        told |= {(v.kpi, v.scope, v.start) for v in world.rollup.evaluate(10).values if v.period == "month"}
        assert world.rollup.pending
        settled |= world.rollup.settled(mark)
    assert ("incidents", "org", world.plan.calendar.parse_month("2026-01")) in told
    assert settled
