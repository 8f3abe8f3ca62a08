"""What the catalogue no longer holds: an alert that is open is cleared with that reason, never left open or dropped."""

import msgspec
import pytest

from pipeline.alerts import inputs as i
from pipeline.catalogue import alerts as a
from pipeline.catalogue import model as m
from tests.alerts.samples import ALL, DELAY, ODD, T0, World, catalogue, value

REMOVED = "the rule was removed from the catalogue"


def without_shop(*rules: a.AnyRule) -> m.Catalogue:
    found = catalogue(*rules)
    return msgspec.structs.replace(found, services={n: s for n, s in found.services.items() if n != "shop"})


def raised(now: int = T0) -> World:
    w = World(catalogue(DELAY, ODD))
    w.tell("delay", 200, now)
    w.clock(now + 60)
    assert w.kinds(now + 60) == [("raise", "delay_high", "service:shop")]
    return w


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (catalogue(ODD), REMOVED),
        (catalogue(msgspec.structs.replace(DELAY, scopes=("org",)), ODD), "the rule no longer covers this scope"),
        (without_shop(DELAY, ODD), "it is no longer in the catalogue"),
    ],
    ids=["rule", "scopes", "service"],
)
def test_an_open_alert_is_cleared_with_the_reason(after: m.Catalogue, why: str) -> None:
    w = raised()
    w.restart(after)
    (told,) = [t for t in w.advance(T0 + 70) if t.rule == "delay_high"]
    assert (told.kind, told.name, told.severity, told.note) == ("clear", "delay_high", "critical", why)
    assert f"Over because {why}" in told.text
    change = w.changes["delay_high", "service:shop", T0 + 60, "resolved"]
    assert (change.since, change.note, change.csf) == (T0 + 60, why, "reliability")
    w.restart(after)
    w.advance(T0 + 100)
    assert [t.kind for n in w.told.values() for t in n.alerts if t.rule == "delay_high"] == ["raise", "clear"]
    assert not [key for key in w.engine.desk.open if key[0] == "delay_high"]


def test_the_reason_outlives_a_death_before_it_is_told() -> None:
    w = raised()
    w.restart(without_shop(DELAY, ODD))
    w.engine.advance(T0 + 70)  # its group waits a second for others
    w.flush()
    w.crash()
    assert "no longer in the catalogue" in w.advance(T0 + 72)[0].text


def test_what_nobody_was_told_of_ends_in_silence() -> None:
    w = World(catalogue(DELAY))
    w.say(i.MaintenanceTold(service="shop", windows=[(T0, T0 + 6_000)]))
    w.tell("delay", 200, T0)
    w.clock(T0 + 60)
    assert w.kinds(T0 + 60) == []
    w.restart(catalogue(ODD))
    assert w.kinds(T0 + 70) == []
    assert [c.state for c in w.changes.values()] == ["firing", "resolved"]


def test_a_rule_that_comes_back_raises_anew() -> None:
    w = raised()
    w.restart(catalogue(ODD))
    w.advance(T0 + 70)
    w.restart(catalogue(DELAY, ODD))
    w.clock(T0 + 200)
    w.tell("delay", 210, T0 + 200)
    w.clock(T0 + 260)
    assert ("raise", "delay_high", "service:shop") in w.kinds(T0 + 260)


def test_a_clear_goes_by_the_routes_of_now_where_its_own_is_gone() -> None:
    w = raised()
    w.restart(catalogue(DELAY, ODD, routes=(msgspec.structs.replace(ALL, id="other"),)))
    w.say(i.ValueTold(clock=T0 + 90, value=value("delay", 10, T0 + 90)))
    assert w.kinds(T0 + 90) == [("clear", "delay_high", "service:shop")]
