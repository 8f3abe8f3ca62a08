"""Alerting as a whole: who is told of what, whatever is repeated, late, held back or dies in between."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.alerts import inputs as i
from pipeline.alerts.desk import MAX_AGE_S
from pipeline.catalogue.alerts import Match
from tests.alerts.samples import ALL, DELAY, ODD, SILENT, T0, World, catalogue

HIGH = ("raise", "delay_high", "service:shop")
OVER = ("clear", "delay_high", "service:shop")


def world(*rules):
    return World(catalogue(*(rules or (DELAY,))))


def firing(w, at=T0):
    w.tell("delay", 200, at)
    w.clock(at + 60)
    return at + 60


def test_it_waits_for_its_time_and_clears_beyond_the_clear_limit():
    w = world()
    w.tell("delay", 200, T0)
    w.clock(T0 + 59)
    assert w.kinds(T0 + 59) == []
    w.clock(T0 + 60)
    assert w.kinds(T0 + 60) == [HIGH]
    w.tell("delay", 90, T0 + 120)
    assert w.kinds(T0 + 120) == []
    w.tell("delay", 70, T0 + 180)
    assert w.kinds(T0 + 180) == [OVER]
    assert [c.state for c in w.changes.values()] == ["firing", "resolved"]


def test_what_must_be_over_for_a_while_is_over_then_and_not_if_it_comes_back_or_nobody_knows():
    w = world(msgspec.structs.replace(DELAY, clear_for="10m"))
    at = firing(w)
    assert w.kinds(at) == [HIGH]
    for later, number, known in ((60, 10, []), (360, 90, []), (420, 10, []), (720, None, []), (780, 10, [])):
        w.tell("delay", number, at + later)
        assert w.kinds(at + later) == known
    w.crash()
    w.clock(at + 1_379)
    assert w.kinds(at + 1_379) == []
    w.clock(at + 1_380)
    assert w.kinds(at + 1_380) == [OVER]


def test_a_short_crossing_raises_nothing():
    w = world()
    w.tell("delay", 200, T0)
    w.tell("delay", 50, T0 + 30)
    w.clock(T0 + 600)
    assert w.kinds(T0 + 600) == []


def test_what_fires_goes_on_while_nobody_knows():
    w = world()
    at = firing(w)
    assert w.kinds(at) == [HIGH]
    w.tell("delay", None, at + 60)
    w.clock(at + 3600)
    assert w.kinds(at + 100) == []
    assert [c.state for c in w.changes.values()] == ["firing", "unknown"]
    w.clock(at + 60 + 86_400)
    assert w.kinds(at + 60 + 86_400) == [OVER]


def test_reminders_until_somebody_takes_it_on():
    w = world()
    at = firing(w)
    assert w.kinds(at) == [HIGH]
    w.clock(at + 3601)
    assert w.kinds(at + 3602) == [("remind", "delay_high", "service:shop")]
    w.say(i.Acknowledgement(rule="delay_high", scope="service:shop", by="ana", at=at + 3700))
    w.clock(at + 7300)
    assert w.kinds(at + 7300) == []


def test_what_is_not_urgent_is_not_told_again_and_again():
    rules = [msgspec.structs.replace(ODD, id=s, severity=s, quiet_while=()) for s in ("critical", "warning", "info")]
    w = World(catalogue(*rules, routes=(msgspec.structs.replace(ALL, repeat=None, group_by=("rule",)),)))
    w.tell("delay", 70, T0)
    assert sorted(rule for _, rule, _ in w.kinds(T0)) == ["critical", "info", "warning"]
    told = []
    for hour in range(1, 49):
        w.clock(T0 + 3_605 * hour + 60)
        told += [(hour, rule) for _, rule, _ in w.kinds(T0 + 3_605 * hour + 60)]
    assert [hour for hour, rule in told if rule == "critical"] == list(range(4, 49, 4))
    assert [hour for hour, rule in told if rule == "warning"] == [24, 48]
    assert not [hour for hour, rule in told if rule == "info"]


def test_old_values_page_nobody_and_what_still_fires_does():
    w = world()
    at = firing(w)
    assert w.kinds(at + MAX_AGE_S + 1) == []
    w.tell("delay", 50, at + 600)
    assert w.kinds(at + 86_400) == []  # fired and was over long ago
    firing(w, at + 86_400)
    assert w.kinds(at + 86_500) == [HIGH]


def test_the_lesser_rule_holds_its_tongue():
    w = world(DELAY, ODD)
    w.tell("delay", 70, T0)
    assert w.kinds(T0) == [("raise", "delay_odd", "service:shop")]
    w = world(DELAY, ODD)
    at = firing(w)
    assert w.kinds(at) == [HIGH]


def test_maintenance_holds_back_the_raise_and_never_the_clear():
    w = world()
    w.say(i.MaintenanceTold(service="shop", windows=[(T0, T0 + 600)]))
    at = firing(w)
    assert w.kinds(at) == []
    w.clock(T0 + 601)
    assert w.kinds(T0 + 601) == [HIGH]
    w.say(i.MaintenanceTold(service="shop", windows=[(T0, T0 + 6000)]))
    w.tell("delay", 10, T0 + 700)
    assert w.kinds(T0 + 700) == [OVER]


def test_where_grafana_tells_people_nobody_is_told_here_but_the_end_of_what_was():
    w = world()
    at = firing(w)
    assert w.kinds(at) == [HIGH]
    told_by = msgspec.structs.replace(w.catalogue.organisation, told_by="grafana")
    w.restart(msgspec.structs.replace(w.catalogue, organisation=told_by))
    w.tell("delay", 200, at, scope="service:mail")
    w.clock(at + 3_700)  # a reminder would be due
    assert w.kinds(at + 3_700) == []
    w.tell("delay", 10, at + 3_720)
    w.tell("delay", 10, at + 3_720, scope="service:mail")
    assert w.kinds(at + 3_720) == [OVER]
    assert [(c.scope, c.state) for c in w.changes.values()] == [
        ("service:shop", "firing"), ("service:mail", "firing"), ("service:shop", "resolved"), ("service:mail", "resolved"),
    ]  # fmt: skip


def test_a_silence_ends():
    w = world()
    w.say(i.Silence(id="s", match=Match(team=["web"]), start=T0, end=T0 + 300, by="ana", reason="moving"))
    at = firing(w)
    assert w.kinds(at) == []
    w.clock(T0 + 300)
    assert w.kinds(T0 + 300) == [HIGH]


def test_flapping_is_told_when_it_stays():
    w = world(ODD)
    told = []
    for n in range(6):
        w.tell("delay", 70, T0 + 120 * n)
        told += w.kinds(T0 + 120 * n)
        w.tell("delay", 10, T0 + 120 * n + 60)
        told += w.kinds(T0 + 120 * n + 60)
    assert [kind for kind, _, _ in told] == ["raise", "clear"] * 3
    w.tell("delay", 70, T0 + 900)
    assert w.kinds(T0 + 900) == []
    w.clock(T0 + 900 + 900)
    assert [kind for kind, _, _ in w.kinds(T0 + 1800)] == ["raise"]


def test_alerts_of_a_group_are_told_together():
    w = World(catalogue(DELAY, SILENT))
    w.tell("availability", None, T0)
    w.tell("delay", 200, T0 + 240)
    w.clock(T0 + 300)
    w.advance(T0 + 300)
    assert len(w.told) == 1
    assert len(next(iter(w.told.values())).alerts) == 2


def test_what_follows_from_one_outage_is_told_at_once_only_where_it_is_more_urgent():
    low, high, late = (
        msgspec.structs.replace(ODD, id=name, severity=severity, limit=limit, quiet_while=())
        for name, severity, limit in (("low", "warning", 60), ("high", "critical", 100), ("late", "critical", 140))
    )
    w = World(catalogue(low, high, late, routes=(msgspec.structs.replace(ALL, group_interval="5m"),)))
    told = []
    for at, number in ((T0, 70), (T0 + 60, 110), (T0 + 120, 150)):
        w.tell("delay", number, at)
        told.append(w.kinds(at))
    assert [[rule for _, rule, _ in found] for found in told] == [["low"], ["high"], []]
    w.clock(T0 + 60 + 301)
    assert [rule for _, rule, _ in w.kinds(T0 + 60 + 301)] == ["late"]


def test_what_was_over_within_a_second_is_told_to_nobody():
    """Its state stays for the rest of that second, also while values of others bring the clock up to now."""
    w = world(ODD)
    for number in (70, 10, 70, 10):
        w.tell("delay", number, T0)
    w.tell("delay", 70, T0 + 7_200, scope="service:mail")
    assert w.kinds(T0 + 7_200) == [("raise", "delay_odd", "service:mail")]


def test_absence_waits_as_long_as_the_budget_allows():
    w = World(catalogue(SILENT))
    w.tell("availability", None, T0)
    w.clock(T0 + 258)  # 10 % of 0.1 % of 30 days are 259 s
    assert w.kinds(T0 + 258) == []
    w.clock(T0 + 260)
    assert w.kinds(T0 + 260) == [("raise", "silent", "service:shop")]


def test_maintenance_is_no_silence_when_it_ends():
    """The checks inside it do not count, so that until a window later there are none."""
    w = World(catalogue(SILENT))
    w.say(i.MaintenanceTold(service="shop", windows=[(T0, T0 + 3_600)]))
    w.tell("availability", None, T0 + 300)
    w.clock(T0 + 3_601)
    assert w.kinds(T0 + 3_601) == []
    w.tell("availability", 100, T0 + 3_700)
    assert w.kinds(T0 + 3_700) == []
    w.tell("availability", None, T0 + 3_750)  # a source that stays silent is told of once window and delay are over
    w.clock(T0 + 3_600 + 300 + 259)
    assert w.kinds(T0 + 3_600 + 300 + 259) == [("raise", "silent", "service:shop")]


def test_what_cannot_be_read_is_counted_and_passed():
    w = world()
    w.log.append(b"{")
    assert w.engine.fold([(0, 0, b"{"), (1, 0, b"")]) == 2
    assert w.engine.position == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("value"), st.sampled_from([10, 70, 90, 200, None]), st.sampled_from(["shop", "mail"])),
        st.tuples(st.just("clock"), st.just(None), st.just("")),
        st.tuples(st.just("maintenance"), st.booleans(), st.just("shop")),
        st.tuples(st.just("silence"), st.booleans(), st.just("")),
        st.tuples(st.just("ack"), st.just(None), st.just("shop")),
    ),
    max_size=40,
)


def act(w, step, at):
    what, how, service = step
    if what == "value":
        w.tell("delay", how, at, scope=f"service:{service}")
    elif what == "clock":
        w.clock(at)
    elif what == "maintenance":
        w.say(i.MaintenanceTold(service=service, windows=[(at, at + 200)] if how else []))
    elif what == "silence":
        silence = i.Silence(id="s", match=Match(), start=at, end=at + 150, by="ana", reason="r")
        w.say(silence if how else i.Lift(id="s", at=at, by="ben", reason=""))
    else:
        w.say(i.Acknowledgement(rule="delay_high", scope=f"service:{service}", by="ana", at=at))


def by_time(note):
    return note.at, note.kind, note.slot


def told(w):
    return list(w.told.values())


@given(STEPS, st.lists(st.integers(0, 40), max_size=6))
def test_a_death_neither_loses_nor_repeats_a_word(steps, deaths):
    calm, hit = World(catalogue(DELAY, ODD)), World(catalogue(DELAY, ODD))
    for n, step in enumerate(steps):
        at = T0 + 50 * n
        for w in (calm, hit):
            act(w, step, at)
            if w is hit and n in deaths:
                w.crash()
            w.advance(at)
            if w is hit and n in deaths:
                w.crash()
    assert told(hit) == told(calm)
    assert hit.changes == calm.changes
    assert sorted(hit.notes.values(), key=by_time) == sorted(calm.notes.values(), key=by_time)


@given(STEPS, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8))
def test_values_said_again_change_nothing(steps, again):
    calm, hit = World(catalogue(DELAY, ODD)), World(catalogue(DELAY, ODD))
    for n, step in enumerate(steps):
        at = T0 + 50 * n
        for w in (calm, hit):
            act(w, step, at)
        for when, what in again:
            if when == n and what < n and steps[what][0] in {"value", "clock"}:
                act(hit, steps[what], T0 + 50 * what)  # an older word, by a worker that woke up late
        for w in (calm, hit):
            w.advance(at)
    assert told(hit) == told(calm)


@given(STEPS)
def test_raise_and_clear_take_turns_and_no_clear_is_held_back(steps):
    w = World(catalogue(DELAY, ODD))
    raised = set()
    for n, step in enumerate(steps):
        at = T0 + 50 * n
        act(w, step, at)
        for item in w.advance(at):
            key = (item.rule, item.scope)
            assert (key in raised) == (item.kind != "raise")
            (raised.discard if item.kind == "clear" else raised.add)(key)
        for key in raised:
            instance = w.engine.book.instances.get(key)
            assert instance is not None
            assert instance.state == "firing"
