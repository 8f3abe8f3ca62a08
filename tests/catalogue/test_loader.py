"""Loading: what an own directory may do, and the sentence each mistake gets."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.catalogue.loader import load_catalogue
from pipeline.errors import CatalogueError

#: Wrong files, measures and KPI entries, with what is said about them.
BAD: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "bad_catalogues.yaml").read_text(encoding="utf-8")
)
KPI: dict[str, Any] = {
    "id": "first_fix",
    "csf": "reliability",
    "name": "First fix",
    "definition": "Resolved within an hour.",
    "unit": "%",
    "direction": "up",
    "measure": {
        "kind": "share",
        "events": ["incident.updated"],
        "at": "resolved_at",
        "of": "made_sla",
    },
}


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def kpi(directory: Path, measure: dict[str, object] | None = None, **changes: object) -> None:
    entry = {**KPI, "measure": {**KPI["measure"], **(measure or {})}, **changes}
    entry["measure"] = {k: v for k, v in entry["measure"].items() if v is not None}
    write(directory, "kpis/own.yaml", yaml.safe_dump([{k: v for k, v in entry.items() if v is not None}]))


def sentence(directory: Path) -> str:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(directory)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(f"{directory}/", "")


@pytest.mark.parametrize("bad", BAD["files"], ids=lambda bad: bad["says"][:50])
def test_a_wrong_file_gets_one_sentence(tmp_path: Path, bad: dict[str, str]) -> None:
    write(tmp_path, bad["file"], bad["text"])
    assert sentence(tmp_path).startswith(bad["says"])


def test_routes_of_a_directory_may_take_everything_before_those_under_it(tmp_path: Path) -> None:
    write(tmp_path / "under", "routes.yaml", "- {id: web, match: {severity: [critical]}, channels: []}")
    write(tmp_path / "over", "routes.yaml", "- {id: all, channels: []}")
    assert [route.id for route in load_catalogue(tmp_path / "under", tmp_path / "over").routes] == ["all", "web"]


def test_without_rules_no_route_is_missed(tmp_path: Path) -> None:
    write(tmp_path, "organisation.yaml", "derived_alerts: false")
    write(tmp_path, "routes.yaml", "- {id: fourth, match: {tier: [4]}, channels: []}")
    assert [route.id for route in load_catalogue(tmp_path).routes] == ["fourth"]


@pytest.mark.parametrize("bad", BAD["measures"], ids=lambda bad: bad["says"][:50])
def test_a_wrong_measure_gets_one_sentence(tmp_path: Path, bad: dict[str, Any]) -> None:
    kpi(tmp_path, bad["changes"])
    assert sentence(tmp_path).startswith(f"kpis/own.yaml: kpi 'first_fix': {bad['says']}")


@pytest.mark.parametrize("bad", BAD["entries"], ids=lambda bad: bad["says"][:50])
def test_a_wrong_kpi_gets_one_sentence(tmp_path: Path, bad: dict[str, Any]) -> None:
    kpi(tmp_path, None, **bad["changes"])
    name = bad["changes"].get("id", "first_fix")
    assert sentence(tmp_path).startswith(f"kpis/own.yaml: kpi '{name}': {bad['says']}")


def test_a_breakdown_needs_a_filter_to_narrow(tmp_path: Path) -> None:
    write(tmp_path, "kpis/own.yaml", yaml.safe_dump([
        {**KPI, "measure": {"kind": "peak", "stat": "p95"}, "breakdown": {"field": "status", "values": [500]}}
    ]))  # fmt: skip
    assert "breakdown: a measure of kind 'peak' has no 'where' to narrow" in sentence(tmp_path)


def test_a_missing_directory_and_odd_bytes(tmp_path: Path) -> None:
    assert sentence(tmp_path / "none") == f"{tmp_path / 'none'}: no such catalogue directory; create it or name another"
    (tmp_path / "goals.yaml").write_bytes(b"- id: \xff\n")
    assert sentence(tmp_path) == "goals.yaml: is no UTF-8 text; save the file as UTF-8"


def test_an_entry_is_replaced_whole_targets_add_and_the_organisation_merges(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one, "organisation.yaml", "zone: Europe/Berlin\ncurrency: CHF\n")
    write(one, "targets.yaml", "- {kpi: availability, value: 99.5, valid_to: 2026-04-30}\n")
    write(one, "services.yaml", "- {id: shop, name: Shop, team: web, tier: 1}\n")
    write(two, "organisation.yaml", "name: ACME\n")
    write(two, "targets.yaml", "- {kpi: availability, value: 99.8, valid_from: 2026-05-01}\n")
    write(two, "services.yaml", "- {id: shop, name: New shop}\n")
    write(two, "csfs.yaml", "- {id: reliability, name: Verlässlichkeit, statement: Da sein.}\n")
    c = load_catalogue(one, None, two)
    assert (c.organisation.name, c.organisation.zone, c.organisation.currency) == ("ACME", "Europe/Berlin", "CHF")
    assert (c.services["shop"].name, c.services["shop"].team, c.services["shop"].tier) == ("New shop", "unassigned", 2)
    assert c.target_for("availability", "org", None, date(2026, 4, 30)) == 99.5
    assert c.target_for("availability", "org", None, date(2026, 5, 1)) == 99.8
    assert list(c.csfs)[4] == "reliability"
    assert c.csfs["reliability"].name == "Verlässlichkeit"
    assert c.kpis["decision_impact"].unit == "CHF"
    assert c.kpis["decision_impact"].measure.where == "unit == 'CHF'"  # type: ignore[union-attr]


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    assert load_catalogue().digest == load_catalogue().digest
    write(tmp_path, "targets.yaml", "- {kpi: mttr, value: 4}\n")
    assert load_catalogue(tmp_path).digest != load_catalogue().digest


def test_entries_that_hold_themselves_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "kpis/own.yaml", yaml.safe_dump([KPI]).replace("measure:\n", "measure: &m\n    where: *m\n"))
    assert "kpi 'first_fix': measure.where: expected text or nothing, got a mapping with keys" in sentence(tmp_path)


def test_insight_rules_of_an_own_directory_replace_and_add(tmp_path: Path) -> None:
    rule = {"id": "effort_grows", "csf": "security", "tone": "neutral", "when": "ces.worse", "sentence": "{ces.move}."}
    own = {**rule, "id": "own", "supersedes": ["fewer_incidents"]}
    write(tmp_path, "insights/own.yaml", yaml.safe_dump([rule, own]))
    built_in, found = load_catalogue().insights, load_catalogue(tmp_path).insights
    assert len(found) == len(built_in) + 1
    assert (found["effort_grows"].csf, found["own"].supersedes) == ("security", ["fewer_incidents"])


def test_a_kpi_must_not_be_named_as_a_csf(tmp_path: Path) -> None:
    kpi(tmp_path, id="security")
    assert sentence(tmp_path) == "kpis/own.yaml: kpi 'security': id: 'security' is the id of a CSF; name it otherwise"
