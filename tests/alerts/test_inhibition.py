"""One trouble is told once: a service's alert stands for the wider one it explains, and no page is lost by that."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.alerts import inputs as i
from pipeline.catalogue import alerts as a
from pipeline.catalogue import model as m
from pipeline.catalogue.model import Catalogue, Service
from tests.alerts.samples import ALL, CONCERN, DELAY, SILENT, T0, World, catalogue, status

ROUTE = msgspec.structs.replace(ALL, group_by=("rule", "scope"), group_interval="5m", repeat="4h")
SLOW = msgspec.structs.replace(DELAY, hold="0s")
ODD = a.ThresholdRule(
    id="delay_odd", kpi="delay", limit=60, window="5m", severity="critical", quiet_while=("delay_high",)
)
SHOP, ORG = "service:shop", "org"


def world(*rules: a.AnyRule, routes: tuple[a.Route, ...] = (ROUTE,), services: tuple[str, ...] = ()) -> World:
    found = catalogue(*(rules or (SLOW,)), routes=routes)
    more = {name: Service(id=name, name=name.title(), team="work") for name in services}
    return World(msgspec.structs.replace(found, services=found.services | more))


def tell(w: World, at: int, **delays: float | None) -> None:
    """Tell the delay of services and of the organisation; each service has a hundred requests."""
    for scope, delay in delays.items():
        size = 100.0 * (len(w.catalogue.services) if scope == ORG else 1)
        sums: dict[str, Any] = (
            {} if delay is None else {"numerator": delay * size, "denominator": size, "count": int(size)}
        )
        w.tell("delay", delay, at, scope=scope if scope in {ORG, "team:web"} else f"service:{scope}", **sums)


def kinds(w: World, at: float) -> list[tuple[str, str]]:
    """Return (kind, scope) of what is told at an instant."""
    w.clock(at)
    return [(kind, scope) for kind, _, scope in w.kinds(at)]


def test_the_organisation_s_alert_is_told_with_the_service_s_that_explains_it() -> None:
    w = world()
    tell(w, T0, shop=300, mail=10, org=155)
    assert kinds(w, T0) == [("raise", SHOP)]
    assert [told.around for m in w.told.values() for told in m.alerts] == [("Organisation",)]
    assert {(c.scope, c.state) for c in w.changes.values()} == {(SHOP, "firing"), (ORG, "firing")}  # it is shown
    assert kinds(w, T0 + 14_402) == [("remind", SHOP)]
    tell(w, T0 + 14_460, shop=10, org=10)
    assert kinds(w, T0 + 14_460) == [("clear", SHOP)]
    assert kinds(w, T0 + 16_000) == []


def test_what_is_told_with_another_is_noted_and_that_it_no_longer_is() -> None:
    w = world()
    tell(w, T0, shop=300, mail=10, org=155)
    kinds(w, T0)
    tell(w, T0 + 600, shop=50, mail=90, org=90)
    for later in (600, 910):
        kinds(w, T0 + later)
    assert [(n.kind, n.ref, n.about, n.why, n.alerts) for n in w.notes.values() if n.kind in {"held", "freed"}] == [
        ("held", "delay_high|service:shop", "Organisation: delay_high", "told as part of Shop: delay_high", ("delay_high|org",)),
        ("freed", "", "Organisation: delay_high", "", ("delay_high|org",)),
    ]  # fmt: skip


def test_whichever_of_them_crosses_first() -> None:
    w = world()
    tell(w, T0, mail=10, org=155)
    w.engine.advance(T0)  # the organisation's waits its second for others
    tell(w, T0, shop=300)
    assert kinds(w, T0) == [("raise", SHOP)]


def test_what_the_service_s_does_not_explain_is_told() -> None:
    w = world()
    tell(w, T0, shop=300, mail=99, org=210)  # without the shop the rest is at 120 by itself, whatever is in it
    assert kinds(w, T0) == [("raise", SHOP), ("raise", ORG)]


@pytest.mark.parametrize(("size", "told"), [(9, [("raise", SHOP), ("raise", ORG)]), (10, [("raise", SHOP)])])
def test_of_a_percentile_a_service_with_fewer_cases_than_lie_beyond_it_explains_nothing(
    size: int, told: list[Any]
) -> None:
    """A small service that is slow for weeks must not hide that all the others become slow."""
    w = world()
    percentile = msgspec.structs.replace(
        w.catalogue.kpis["delay"], measure=m.Quantile(["request.measured"], value="latency_ms", q=0.9)
    )
    w.restart(msgspec.structs.replace(w.catalogue, kpis=w.catalogue.kpis | {"delay": percentile}))
    w.tell("delay", 300, T0, scope=SHOP, count=size)
    w.tell("delay", 120, T0, scope=ORG, count=100)
    assert kinds(w, T0) == told


def test_the_status_of_a_csf_is_told_by_itself() -> None:
    w = world(msgspec.structs.replace(CONCERN, scopes=("org", "service:*")))
    for scope in (SHOP, ORG):
        found = msgspec.structs.replace(status("concern", T0), scope=scope)
        w.say(i.StatusTold(clock=T0, status=found))
    assert sorted(kinds(w, T0)) == [("raise", ORG), ("raise", SHOP)]


def test_a_rule_of_the_service_that_says_more_explains_the_organisation_s() -> None:
    w = world(SLOW, ODD)
    tell(w, T0, shop=150, mail=10, org=80)  # shop: high, which keeps odd quiet; the organisation: odd
    assert kinds(w, T0) == [("raise", SHOP)]


def test_what_still_fires_when_the_service_s_is_over_is_told_a_while_later_and_says_so() -> None:
    w = world()
    tell(w, T0, shop=300, mail=10, org=155)
    assert kinds(w, T0) == [("raise", SHOP)]
    tell(w, T0 + 600, shop=50, mail=90, org=90)  # beyond the clear limit still
    assert kinds(w, T0 + 600) == [("clear", SHOP)]
    assert kinds(w, T0 + 880) == []
    w.clock(T0 + 910)
    (told,) = w.advance(T0 + 910)
    assert (told.kind, told.scope) == ("raise", ORG)
    assert told.held == "told as part of Shop: delay_high"


@pytest.mark.parametrize("how", ["silence", "maintenance"])
def test_a_service_s_alert_that_nobody_looks_at_stands_for_nothing(how: str) -> None:
    w = world()
    tell(w, T0, shop=300, mail=10, org=155)
    assert kinds(w, T0) == [("raise", SHOP)]
    if how == "silence":
        match = a.Match(scope=[SHOP])
        w.say(i.Silence(id="s", match=match, start=T0 + 60, end=T0 + 9_000, by="ana", reason="known"))
    else:
        w.say(i.MaintenanceTold(service="shop", windows=[(T0 + 60, T0 + 9_000)]))
    assert kinds(w, T0 + 60) == []
    assert kinds(w, T0 + 362) == [("raise", ORG)]


def test_whoever_would_have_been_told_by_the_wider_one_only_is_told_of_it() -> None:
    team = a.Route(id="team", match=a.Match(team=["web"]), channels=["hook"])
    w = world(routes=(team, ROUTE))
    channels = w.catalogue.channels | {"hook": a.Channel(id="hook", kind="webhook", url="http://127.0.0.1:9/")}
    w.restart(msgspec.structs.replace(w.catalogue, channels=channels))
    tell(w, T0, shop=300, mail=10, org=155)
    assert sorted(kinds(w, T0)) == [("raise", ORG), ("raise", SHOP)]


def test_a_raise_that_never_got_there_stands_for_nothing() -> None:
    w = world()
    tell(w, T0, shop=300, mail=10, org=155)
    for at in (T0, T0 + 1):
        w.engine.advance(at)
    (number,) = w.engine.deliveries
    w.engine.done(number, "failed", T0 + 2, "refused")
    assert kinds(w, T0 + 10) == []
    assert kinds(w, T0 + 320) == [("raise", ORG)]


def test_where_many_services_fire_at_once_the_organisation_s_stands_for_them() -> None:
    w = world(services=("crm", "wiki"))
    tell(w, T0, shop=300, mail=300, crm=300, wiki=20, org=230)
    w.advance(T0)
    (told,) = [told for m in w.told.values() for told in m.alerts]
    assert (told.scope, told.inside) == (ORG, ("Crm", "Mail", "Shop"))
    assert "Firing inside: Crm; Mail; Shop" in told.text
    tell(w, T0 + 120, wiki=400)  # it follows from the same
    assert kinds(w, T0 + 120) == []
    tell(w, T0 + 600, shop=10, mail=10, crm=10, org=70)
    assert kinds(w, T0 + 600) == [("clear", ORG)]
    assert kinds(w, T0 + 905) == [("raise", "service:wiki")]  # it is its own trouble by now


@pytest.mark.parametrize(("others", "told"), [(("mail",), [("raise", ORG)]), ((), [])])
def test_a_silent_service_explains_the_silence_of_all_only_where_none_but_it_was_heard(
    others: tuple[str, ...], told: list[Any]
) -> None:
    w = world(msgspec.structs.replace(SILENT, kpi="delay", scopes=(ORG, SHOP), hold="0s"))
    tell(w, T0, shop=10, org=10, **dict.fromkeys(others, 10))
    tell(w, T0 + 60, shop=None)
    assert kinds(w, T0 + 60) == [("raise", SHOP)]
    tell(w, T0 + 120, org=None, **dict.fromkeys(others, None))
    assert kinds(w, T0 + 120) == told


def test_where_a_third_comes_and_goes_none_waits_for_the_other_for_good() -> None:
    """Many fire, then not so many: neither the services' alerts nor the organisation's had been told before that changed."""
    w, told = world(services=("crm", "wiki"), routes=(msgspec.structs.replace(ROUTE, group_wait="90s"),)), []
    for at in range(T0, T0 + 900, 60):
        crm = 10 if (at - T0) // 60 % 2 else 300
        tell(w, at, shop=300, mail=300, crm=crm, wiki=10, org=(610 + crm) / 4)
        told += kinds(w, at)
    assert {("raise", SHOP), ("raise", "service:mail")} <= set(told)


def test_what_begins_long_after_is_another_trouble() -> None:
    w = world(services=("crm", "wiki"))
    tell(w, T0, shop=300, mail=300, crm=300, wiki=20, org=230)
    assert kinds(w, T0) == [("raise", ORG)]
    tell(w, T0 + 1_000, wiki=400)
    assert kinds(w, T0 + 1_000) == [("raise", "service:wiki")]


def test_a_team_s_alert_is_told_with_its_service_s_and_the_organisation_s_with_both() -> None:
    w = world(msgspec.structs.replace(SLOW, scopes=("org", "team:*", "service:*")))
    tell(w, T0, shop=300, mail=10, org=155, **{"team:web": 300})
    assert kinds(w, T0) == [("raise", SHOP)]
    teams = world(msgspec.structs.replace(SLOW, scopes=("org", "team:*")))
    tell(teams, T0, org=155, **{"team:web": 300})
    assert kinds(teams, T0) == [("raise", "team:web")]


#: what befalls the organisation, as it is told in one instant
TROUBLES: list[dict[str, float | None]] = [
    {"shop": 300, "mail": 10, "crm": 10, "org": 107},  # the shop alone
    {"shop": 10, "org": 90},  # it is well again, the organisation not beyond its clear limit
    {"shop": 300, "mail": 300, "crm": 300, "org": 300, "team:web": 300},  # everything
    {"shop": 10, "mail": 10, "crm": 10, "org": 10, "team:web": 10},  # nothing
    {"org": 120, "team:web": 120},  # nobody's in particular
    {"shop": None, "org": 95},
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["trouble", "trouble", "trouble", "value", "clock", "maintenance", "silence", "ack"]),
        st.sampled_from(["shop", "mail", "crm", ORG, "team:web"]),
        st.sampled_from([10, 90, 99, 120, 300, None]),
        st.sampled_from(TROUBLES),
        st.sampled_from([40, 130, 700]),
    ),
    max_size=8,
)
#: the organisation's alert is explained, then it is not
FREED = [("trouble", "shop", 10, TROUBLES[0], 40), ("trouble", "shop", 10, TROUBLES[1], 130), ("clock", "", 0, {}, 40)]
EVERYWHERE = msgspec.structs.replace(SLOW, scopes=("org", "team:*", "service:*"))
QUICK = msgspec.structs.replace(ROUTE, group_interval="2m")


def act(w: World, step: tuple[str, str, Any, dict[str, float | None], int], at: int) -> None:
    what, where, number, trouble, _ = step
    scope = where if where in {ORG, "team:web"} else f"service:{where}"
    match what:
        case "trouble":
            tell(w, at, **trouble)
        case "value":
            tell(w, at, **{where: number})
        case "clock":
            w.clock(at)
        case "maintenance":
            w.say(i.MaintenanceTold(service="shop", windows=[(at, at + 400)] if number else []))
        case "silence":
            match = a.Match(scope=[scope])
            w.say(i.Silence(id=where, match=match, start=at, end=at + 500, by="ana", reason="r"))
        case _:
            w.say(i.Acknowledgement(rule="delay_high", scope=scope, by="ana", at=at))


def worlds() -> tuple[World, World]:
    made = [world(EVERYWHERE, ODD, routes=(QUICK,), services=("crm",)) for _ in range(2)]
    return made[0], made[1]


@given(STEPS, st.sets(st.integers(0, 8), max_size=4))
@example([*FREED, ("clock", "", 0, {}, 90)], {1})
def test_a_death_neither_loses_nor_repeats_a_word(steps: list[Any], deaths: set[int]) -> None:
    calm, hit = worlds()
    at = T0
    for n, step in enumerate(steps):
        at += step[-1]
        for w in (calm, hit):
            act(w, step, at)
            if w is hit and n in deaths:
                w.crash()
            w.advance(at)
            if w is hit and n in deaths:
                w.crash()
    assert hit.told == calm.told
    assert hit.changes == calm.changes


def inside(scope: str, catalogue: Catalogue) -> set[str]:
    if scope == ORG:
        return {"team:web", "team:work"} | {f"service:{name}" for name in catalogue.services}
    return {f"service:{s.id}" for s in catalogue.services.values() if scope == f"team:{s.team}"}


@given(STEPS)
@example(FREED)
def test_whatever_fires_in_the_end_is_told_or_lies_in_or_around_what_is(steps: list[Any]) -> None:
    w, _ = worlds()
    at = T0
    for step in steps:
        at += step[-1]
        act(w, step, at)
        w.advance(at)
    w.say(i.MaintenanceTold(service="shop", windows=[]))
    for _ in range(12):  # silences end, what flaps steadies, what was freed has its time
        at += 300
        w.clock(at)
        w.advance(at)
    known = w.engine.desk.open
    firing = {key for key, instance in w.engine.book.instances.items() if instance.state == "firing"}
    told = {key for key in firing if known[key].since == w.engine.book.instances[key].since}
    for rule, scope in firing - told:
        if rule == "delay_odd" and ("delay_high", scope) in firing:  # which says more
            continue
        alike = {rule, "delay_high"}
        related = {
            s
            for s in inside(ORG, w.catalogue) | {ORG}
            if s in inside(scope, w.catalogue) or scope in inside(s, w.catalogue)
        }
        assert told & {(name, s) for name in alike for s in related}
