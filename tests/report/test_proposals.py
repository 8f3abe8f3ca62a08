"""A concern that recurs is proposed as a programme, where it recurs."""

from pipeline.report.facts import ask
from pipeline.report.kpireport import Point
from pipeline.report.proposals import propose
from tests.report.histories import CATALOGUE, kpi, values
from tests.report.situation import report


def of_concern(values_: list[float], **given: object) -> dict:
    made = report(kpi("mttr"), values_[-1], previous=values_[-2], **given)
    made.history = [
        Point(month=p.month, value=p.value, count=100, target=8.0, reported=True) for p in values(values_, count=100)
    ]
    return {"mttr": made}


def test_a_concern_of_three_of_the_last_four_months_is_proposed() -> None:
    found = propose(CATALOGUE, of_concern([7, 7, 7, 9, 7, 9, 9]), "org")
    assert [(p.kpi, p.scope, p.title) for p in found] == [("mttr", "org", "Lower mean time to resolve")]
    assert found[0].reason.replace("\u00a0", " ") == (
        "Missed its target or worsened in July 2026, September 2026 and October 2026; it is now 9.00 h (target 8 h)."
    )
    assert propose(CATALOGUE, of_concern([7, 9, 7, 9, 7, 9, 7]), "org") == [], "two of four"
    assert propose(CATALOGUE, of_concern([7, 7, 7, 9, 7, 9, 9]), "org", {("mttr", "org")}) == [], "one is open"
    assert propose(CATALOGUE, of_concern([7, 7, 7, 9, 9, 9, 7]), "org") == [], "it is back on target"


def test_a_recurring_cause_has_a_place() -> None:
    top = {"name": "Web shop", "previous": 9.0, "value": 12.0, "share": 0.8}
    found = propose(CATALOGUE, of_concern([7, 7, 7, 9, 9, 9, 12], movement="worsened", top=top), "org")
    assert [(p.scope, p.title) for p in found] == [("service:shop", "Lower mean time to resolve of Web shop")]
    assert "Web shop makes 80% of the change." in found[0].reason


def test_a_service_that_got_better_is_no_cause_of_what_is_still_bad() -> None:
    """A movement is told against the usual level; the change since the month before may go the other way."""
    top = {"name": "Web shop", "previous": 14.0, "value": 12.0, "share": 0.9}
    given = of_concern([7, 7, 7, 9, 9, 14, 12], movement="worsened", top=top)
    found = propose(CATALOGUE, given, "org")
    assert [(p.scope, p.title) for p in found] == [("org", "Lower mean time to resolve")]
    assert ask(given["mttr"], "dominated") is False
