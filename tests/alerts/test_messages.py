"""What a notification says, word for word: read at night, it must tell what, where, since when, how bad, and what to do."""

import msgspec

from pipeline.alerts import inputs as i
from pipeline.catalogue import alerts as a
from tests.alerts.samples import BURN, CONCERN, DELAY, ODD, T0, World, catalogue, status

RULE = msgspec.structs.replace(DELAY, name="Delay is high", owner="Web team", runbook="https://wiki.example.org/delay")
ORG = a.ThresholdRule(id="slow", name="Delay is red", kpi="delay", limit=100, window="5m", scopes=("org",))


def world(*rules: a.AnyRule) -> World:
    found = catalogue(*rules)
    organisation = msgspec.structs.replace(
        found.organisation, zone="Europe/Berlin", name="Example Ltd", runbook_url="https://wiki.example.org/{rule}",
        board_url="https://grafana.example.org/d/csf?var-csf={csf}&var-scope={scope}",
    )  # fmt: skip
    return World(msgspec.structs.replace(found, organisation=organisation))


def test_raise_and_clear_of_a_service() -> None:
    w = world(RULE, msgspec.structs.replace(DELAY, id="other", name="Something else", hold="0s", severity="info"))
    w.tell("delay", 243, T0, coverage=0.875, count=1_234)
    w.advance(T0)
    w.clock(T0 + 60)
    (told,) = w.advance(T0 + 60)
    assert told.text.replace("\u00a0", " ").splitlines() == [
        "FIRING: Shop, Delay is high (critical)",
        "Since 21 September 2026, 16:14 (Europe/Berlin)",
        "Value 243 ms, limit 100 ms",
        "Sample 1,234",
        "Coverage 87.5%",
        "Also firing here: Something else",
        "Team: web (tier 1)",
        "Owner: Web team",
        "Runbook: https://wiki.example.org/delay",
        "Board: https://grafana.example.org/d/csf?var-csf=reliability&var-scope=service%3Ashop",
        "Take it on: csf alerts ack delay_high service:shop",
    ]
    assert (told.kind, told.since, told.until, told.tier, told.coverage) == (
        "raise", "2026-09-21T14:14:20+00:00", None, 1, 87.5,
    )  # fmt: skip
    message = list(w.told.values())[-1]
    assert message.title == "[FIRING critical] Shop: Delay is high"
    assert message.body == f"{told.text}\n\nNotification {message.id}"
    w.tell("delay", 31, T0 + 1_700)
    told = next(t for t in w.advance(T0 + 1_700) if t.rule == "delay_high")
    assert told.text.replace("\u00a0", " ").splitlines() == [
        "RESOLVED: Shop, Delay is high (critical)",
        "From 21 September 2026, 16:14 to 16:41 (Europe/Berlin), 27 min",
        "Value 31 ms, limit 100 ms",
        "Sample 100",
        "Team: web (tier 1)",
        "Owner: Web team",
        "Runbook: https://wiki.example.org/delay",
        "Board: https://grafana.example.org/d/csf?var-csf=reliability&var-scope=service%3Ashop",
    ]
    assert told.until == "2026-09-21T14:41:40+00:00"


def test_the_organisation_names_the_worst_service_by_the_rule_s_own_window() -> None:
    w = world(ORG)
    w.tell("delay", 90, T0, scope="service:mail")
    w.tell("delay", 300, T0, scope="service:shop")
    w.tell("delay", 900, T0, "24h", scope="service:mail")  # another window says nothing of this one
    w.tell("delay", 200, T0, scope="org")
    (told,) = w.advance(T0)
    assert told.contributor.replace("\u00a0", " ") == "Shop, 300 ms"
    assert "Worst: Shop" in told.text
    assert told.runbook == "https://wiki.example.org/slow"  # the organisation's, as the rule names none
    assert "[FIRING warning] Example Ltd: Delay is red" in [m.title for m in w.told.values()]


def test_a_csf_names_its_worst_service() -> None:
    w = world(CONCERN)
    w.say(i.StatusTold(clock=T0, status=status("concern", T0)))
    (told,) = w.advance(T0)
    assert told.contributor == "Shop"
    assert "Score 50.0 (of 100; status concern)" in told.text


def test_what_is_new_and_urgent_stands_first_what_is_over_last() -> None:
    low = a.ThresholdRule(
        id="a_low", name="Delay is odd", kpi="delay", limit=60, window="5m", scopes=("org",), severity="info"
    )
    over = a.ThresholdRule(id="b_over", name="A day's delay", kpi="delay", limit=60, window="24h", scopes=("org",))
    w = world(low, msgspec.structs.replace(ORG, severity="critical"), over)
    w.tell("delay", 70, T0, "24h", scope="org")
    w.advance(T0)
    w.tell("delay", 200, T0 + 90, scope="org")
    w.tell("delay", 10, T0 + 90, "24h", scope="org")
    told = w.advance(T0 + 90)
    assert [(t.kind, t.rule) for t in told] == [("raise", "slow"), ("raise", "a_low"), ("clear", "b_over")]
    assert list(w.told.values())[-1].title == "[FIRING critical] Example Ltd: Delay is red and 1 more; 1 resolved"
    assert {t.also for t in told} == {()}  # they stand in the same message


def test_a_reminder_says_that_it_still_fires() -> None:
    w = world(ORG)
    w.tell("delay", 200, T0, scope="org")
    w.advance(T0)
    w.clock(T0 + 3_600)
    (told,) = w.advance(T0 + 3_602)
    assert (told.kind, told.text.splitlines()[0]) == ("remind", "STILL FIRING: Example Ltd, Delay is red (warning)")


def held(w: World, at: float) -> str:
    """Return what is said to have held back the one raise of an instant."""
    (told,) = w.advance(at)
    assert told.kind == "raise"
    lines = [line for line in told.text.splitlines() if line.startswith("Held back")]
    assert lines == ([f"Held back until now: {told.held}"] if told.held else [])
    return told.held


def test_what_began_in_planned_maintenance_and_is_still_so_after_it_says_so() -> None:
    w = world(RULE)
    w.say(i.MaintenanceTold(service="shop", windows=[(T0 - 1_460, T0 + 3_940)]))
    w.tell("delay", 243, T0)
    w.clock(T0 + 60)
    assert w.advance(T0 + 60) == []
    w.crash()
    w.clock(T0 + 3_940)
    assert held(w, T0 + 3_940) == "began in planned maintenance (21 September 2026, 15:49 to 17:19)"
    w.clock(T0 + 3_940 + 3_600)
    (reminder,) = w.advance(T0 + 3_940 + 3_602)
    assert (reminder.kind, reminder.held) == ("remind", "")


def test_what_began_before_maintenance_in_a_silence_or_under_a_rule_that_says_more_says_so_too() -> None:
    w = world(RULE, msgspec.structs.replace(ODD, hold="1m"))
    w.say(i.Silence(id="s", match=a.Match(team=["web"]), start=T0, end=T0 + 300, by="ana", reason="moving"))
    w.tell("delay", 70, T0)
    w.clock(T0 + 60)
    assert w.advance(T0 + 61) == []
    w.say(i.MaintenanceTold(service="shop", windows=[(T0 + 100, T0 + 600)]))
    w.clock(T0 + 150)
    assert w.advance(T0 + 150) == []
    w.tell("delay", 200, T0 + 200)
    w.clock(T0 + 260)
    assert w.advance(T0 + 261) == []
    w.tell("delay", 70, T0 + 610)
    w.clock(T0 + 611)
    assert held(w, T0 + 611) == (
        'silenced by ana; planned maintenance (21 September 2026, 16:15 to 16:23); "Delay is high" fired, which says more'
    )


def test_what_held_back_an_earlier_one_is_not_said_of_the_next() -> None:
    w = world(RULE)
    w.say(i.MaintenanceTold(service="shop", windows=[(T0, T0 + 600)]))
    w.tell("delay", 243, T0)
    w.clock(T0 + 60)
    assert w.advance(T0 + 60) == []
    w.tell("delay", 10, T0 + 610)  # over, and high again before anybody looks
    w.tell("delay", 243, T0 + 620)
    w.clock(T0 + 680)
    assert held(w, T0 + 680) == ""


def test_the_end_of_a_burn_rate_tells_the_window_that_is_back_and_the_time_observed() -> None:
    w = world(BURN)
    w.tell("availability", 90.0, T0, "5m", count=300)
    w.tell("availability", 97.0, T0, "1h", count=3_600)
    (told,) = w.advance(T0)
    lines = told.text.replace("\u00a0", " ").splitlines()
    assert "Value 30.0 times, limit 14.4 times (burn rate of the error budget over 1h (over 5m: 100.0))" in lines
    assert "Observed 1 h 00 min" in lines
    assert not [line for line in lines if line.startswith("Sample")]
    w.tell("availability", 100.0, T0 + 300, "5m", count=300)
    (told,) = w.advance(T0 + 300)
    lines = told.text.replace("\u00a0", " ").splitlines()
    assert "Value 0.0 times, limit 14.4 times (burn rate of the error budget over 5m (over 1h: 30.0))" in lines
    assert "Observed 5 min" in lines
