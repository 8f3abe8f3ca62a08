"""Every insight rule has a situation in which it is said, with its sentence; and no two give the same advice."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.catalogue.insight_language import FIGURES, parts, placeholders
from pipeline.catalogue.loader import load_catalogue
from pipeline.report.insights import interpret
from pipeline.report.model import Finding
from tests.paths import ROOT
from tests.report.histories import CATALOGUE
from tests.report.situation import situation

SITUATIONS = {
    path.stem: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((Path(__file__).parent / "situations").glob("*.yaml"))
}


def findings(given: dict[str, Any]) -> dict[str, list[Finding]]:
    return interpret(CATALOGUE, situation(given["kpis"]))


def test_every_rule_has_a_situation_and_every_situation_a_rule() -> None:
    assert sorted(SITUATIONS) == sorted(CATALOGUE.insights)


@pytest.mark.parametrize("rule", sorted(SITUATIONS))
def test_a_rule_is_said_in_its_situation(rule: str) -> None:
    given = SITUATIONS[rule]
    said = next(f for told in findings(given).values() for f in told if f.rule == rule)
    beside = findings(given)[said.csf]
    assert [f.rule for f in beside] == given["says"]
    assert said.sentence.replace("\u00a0", " ") == given["sentence"].strip()
    assert said.csf == (CATALOGUE.insights[rule].csf or CATALOGUE.kpis[said.kpis[0]].csf)
    assert all(figure.text in said.sentence for figure in said.figures)
    assert set(said.kpis) <= set(given["kpis"])
    assert any(c.isdigit() for c in said.sentence), "a sentence carries its figures"
    assert not any(mark in said.sentence for mark in ("unknown", "None", "[", "{", "nan")), said.sentence
    if said.concern:
        assert said.activity


@pytest.mark.parametrize("what", ["sentence", "concern", "suggestions", "when"])
def test_no_two_rules_say_the_same(what: str) -> None:
    texts: list[str] = []
    for rule in CATALOGUE.insights.values():
        said = getattr(rule, what)
        texts += said if isinstance(said, list) else [said] if said else []
    assert [text for text, n in Counter(texts).items() if n > 1] == []


def test_there_is_a_rule_for_every_kpi_and_enough_for_every_csf() -> None:
    by_csf = Counter(rule.csf for rule in CATALOGUE.insights.values())
    assert all(by_csf[csf] >= 8 for csf in CATALOGUE.csfs), by_csf
    named = {
        of
        for rule in CATALOGUE.insights.values()
        for part, _ in parts(rule.sentence)
        for _, of, what in placeholders(part)
        if what in FIGURES
    }
    weighted = {k.id for k in CATALOGUE.kpis.values() if k.weight > 0}
    assert weighted - named <= {"decision_uplift"}, "decision_impact tells the same in money"


def test_a_specific_rule_is_said_instead_of_the_general_one() -> None:
    said = [f.rule for f in findings(SITUATIONS["recent_changes_hurt"])["user_friendly_interface"]]
    assert said == ["recent_changes_hurt"]
    alone = findings({"kpis": {"ces": {"value": 4.8, "previous": 5.8, "movement": "worsened"}}})
    assert [f.rule for f in alone["user_friendly_interface"]] == ["effort_grows"]


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert all(told == [] for told in interpret(CATALOGUE, {}).values())
    quiet = {"csat": {"value": 90, "previous": 89.8, "movement": "steady"}}
    assert all(told == [] for told in findings({"kpis": quiet}).values())


def test_a_part_of_a_sentence_whose_figure_is_unknown_is_left_out() -> None:
    given = {"outages": {"value": 9, "previous": 2, "movement": "worsened"}}
    said = findings({"kpis": given})["reliability"]
    assert said[0].sentence == "Outages rose from 2 to 9 (target 2, missed)."


def test_bad_findings_come_first_and_single_kpis_last() -> None:
    given = {
        "stickiness": {"value": 17.6, "previous": 21.2, "movement": "worsened"},
        "nps": {"value": 45, "previous": 38, "movement": "improved"},
        "bounce_rate": {"value": 48, "previous": 39, "movement": "worsened"},
    }
    said = findings({"kpis": given})["user_centric_design"]
    assert [f.rule for f in said] == ["landing_pages_lose_people", "recommendation_rises", "any_worse"]


def test_the_example_in_the_document_is_a_rule(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "insights.md").read_text("utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "insights").mkdir()
    (tmp_path / "insights" / "own.yaml").write_text(example, "utf-8")
    assert load_catalogue(tmp_path).insights["night_shift_slower"].csf == "reliability"
