"""Over many months that never were: the rules contradict neither the targets nor each other, and their sentences are English.

The situations of ``situations/`` show each rule alone. Here all KPIs are drawn at random, from good to far off target and
moving either way, so that rules meet that nobody thought of together.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from pipeline.catalogue.model import Kpi
from pipeline.report.facts import Facts, move
from pipeline.report.insights import interpret
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import Finding
from tests.report.histories import CATALOGUE
from tests.report.situation import report

#: Of these the movement that reads otherwise is the point: visits are shorter as people get done, or longer as they search.
MEANT = {"easier_and_sooner_done", "long_visits_of_unhappy_users", "longer_because_harder"}
#: Heads of the names that are plural.
PLURAL = "incidents|outages|breaches|users|vulnerabilities|deployments|forecasts|decisions|answers|services"
FAULTS = {
    "a plural noun with a singular verb": rf"(?<!our )\b(?:{PLURAL})(?: overdue)? (?:is|was|has|gets|holds|makes|becomes)\b",
    "an article before a name that takes none": r"\b[Tt]he (?:SLA met|time to resolve, 90th|(?:incidents|outages|breaches) became)\b",
    "one of many": rf"(?<![\d.,])1\u00a0?\s(?:security )?(?:{PLURAL}|months|services)\b",
    "a comma or semicolon without what it parts": r"[,;:(]\s*[,;.)]|\s[,;.)]|\(\s|\s\s",
    "a figure that is not there": r"\bunknown\b|\bNone\b|\bnan\b|[\[\]{}<>]",
}


def _value(kpi: Kpi, place: str) -> float:
    """Return a value that meets the target, misses it (amber), or is far from it (red)."""
    if kpi.target is None or kpi.thresholds is None:
        return 40.0
    amber, red, better = kpi.thresholds.amber, kpi.thresholds.red, 1 if kpi.direction == "up" else -1
    most = 100.0 if kpi.unit == "%" else float("inf")
    return {
        "met": min(most, kpi.target + better * abs(kpi.target) * 0.02 if kpi.direction != "zero" else kpi.target / 2),
        "amber": (kpi.target + amber) / 2 if amber != kpi.target else (kpi.target + red) / 2,
        "red": red - better * max(abs(red) * 0.2, 1.0),
    }[place]


def _month(rng: random.Random) -> dict[str, KpiReport]:
    """Return a month of KPIs at random: some known, some moving, some on a trend or a record."""
    found = {}
    known, moving = rng.choice([0.3, 0.6, 0.95]), rng.choice([0.2, 0.5])
    for kpi in CATALOGUE.kpis.values():
        if rng.random() > known:
            continue
        value = _value(kpi, rng.choices(["met", "amber", "red"], [5, 2, 2])[0])
        if kpi.decimals == 0 and rng.random() < 0.2:
            value = 1.0
        movement = rng.choices(["steady", "improved", "worsened"], [1 - moving, moving / 2, moving / 2])[0]
        better = 1 if kpi.direction == "up" else -1
        step = max(abs(value) * 0.2, 1.0) * better * {"steady": 0, "improved": 1, "worsened": -1}[movement]
        given = {"trend": "none", "record": None, "state": "to_date" if rng.random() < 0.1 else "closed"}
        if movement == "steady":
            given["trend"] = rng.choices(["none", "improving", "worsening"], [8, 1, 1])[0]
            given["record"] = rng.choices([None, "best", "worst"], [8, 1, 1])[0]
        if rng.random() < 0.2:
            given["limits"] = (value - abs(value) / 5 - 1, value + abs(value) / 5 + 1)
            given["previous_year"] = value * 1.3
        if rng.random() < 0.1:
            given["coverage"] = 0.3
        if rng.random() < 0.2:
            given["top"] = {"name": "Shop", "previous": value - step, "value": value + step / 2 + 1, "share": 0.7}
        found[kpi.id] = report(kpi, value, previous=value - step, movement=movement, slope=step / 10 or 0.1, **given)
    return found


@pytest.fixture(scope="module")
def told() -> list[tuple[dict[str, KpiReport], dict[str, list[Finding]]]]:
    months = [_month(random.Random(seed)) for seed in range(300)]
    return [(kpis, interpret(CATALOGUE, kpis)) for kpis in months]


Told = list[tuple[dict[str, KpiReport], dict[str, list[Finding]]]]


def _texts(finding: Finding) -> Iterator[str]:
    yield from (text for text in (finding.sentence, finding.concern, *finding.suggestions) if text)


def _carries_target(finding: Finding, kpi: KpiReport) -> bool:
    aim = Facts({kpi.id: kpi}, {}).figure(kpi.id, "aim")
    return any(figure.kpi == kpi.id and figure.text == aim for figure in finding.figures)


def test_no_finding_praises_a_kpi_that_is_far_from_its_target_without_saying_so(told: Told) -> None:
    found = {
        (finding.rule, kpi)
        for kpis, by_csf in told
        for findings in by_csf.values()
        for finding in findings
        for kpi in finding.kpis
        if finding.tone == "good" and kpis[kpi].status == "red" and kpis[kpi].target_state in {"not_met", "off_track"}
        if not _carries_target(finding, kpis[kpi])
    }
    assert found == set()


def test_what_one_finding_praises_no_other_of_its_csf_calls_far_from_target(told: Told) -> None:
    found = {
        (praise.rule, kpi)
        for _, by_csf in told
        for findings in by_csf.values()
        for praise in findings
        for blame in findings
        if praise.tone == "good" and blame.rule == "any_missed"
        for kpi in {*praise.kpis} & {*blame.kpis}
    }
    assert found == set()


def test_every_target_that_is_missed_is_told_in_its_csf(told: Told) -> None:
    for kpis, by_csf in told:
        for kpi in kpis.values():
            if kpi.weight <= 0 or kpi.target_state not in {"not_met", "off_track"} or (kpi.coverage or 1) < 0.5:
                continue
            naming = [f for f in by_csf[kpi.csf] if kpi.id in f.kpis]
            assert any(f.tone in {"bad", "mixed"} or _carries_target(f, kpi) for f in naming), (kpi.id, naming)


def test_a_finding_carries_only_movements_of_its_tone(told: Told) -> None:
    wrong = {"good": "worsened", "bad": "improved"}
    found = {
        (finding.rule, kpi)
        for kpis, by_csf in told
        for findings in by_csf.values()
        for finding in findings
        for kpi in finding.kpis
        if wrong.get(finding.tone) == kpis[kpi].movement and finding.rule not in MEANT
        if any(figure.text == move(kpis[kpi]) for figure in finding.figures if figure.kpi == kpi)
    }
    assert found == set()


def test_concerns_of_single_kpis_are_one_sentence(told: Told) -> None:
    for kpis, by_csf in told:
        for csf, findings in by_csf.items():
            single = [f for f in findings if CATALOGUE.insights[f.rule].each]
            begins = [f.sentence.split(":")[0] for f in single]
            assert len(begins) == len(set(begins)), begins
            named = [kpi for f in single for kpi in f.kpis]
            assert len(named) == len(set(named)), "each KPI is told by one of them"
            assert all(kpis[kpi].csf == csf for kpi in named)


@pytest.mark.parametrize("fault", FAULTS)
def test_sentences_are_grammatical_whatever_kpis_they_name(told: Told, fault: str) -> None:
    wrong = re.compile(FAULTS[fault])
    texts = {
        (f.rule, text) for _, by_csf in told for findings in by_csf.values() for f in findings for text in _texts(f)
    }
    assert {f.rule for _, by_csf in told for findings in by_csf.values() for f in findings} >= {
        "any_missed",
        "any_short",
    }
    assert [(rule, text) for rule, text in sorted(texts) if wrong.search(text)][:5] == []


def test_no_sentence_is_said_twice(told: Told) -> None:
    for _, by_csf in told:
        for findings in by_csf.values():
            said = [f.sentence for f in findings]
            assert len(said) == len(set(said))
