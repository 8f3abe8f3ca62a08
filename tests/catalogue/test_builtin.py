"""The catalogue that ships: all of the plan's CSFs and KPIs, and an organisation's own KPI without code."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from cli.catalogue import catalogue as command
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import CSF_IDS, Kpi, Quantile
from pipeline.catalogue.reading import MEASURES
from pipeline.catalogue.records import ENTITY_TYPES, SESSION, record_fields
from pipeline.catalogue.reference import formula, reference
from pipeline.engine import plan
from pipeline.engine.sessions import SessionRecord
from pipeline.events.envelope import OutEvent, encode
from pipeline.events.families import TYPES
from pipeline.events.schemas import event_schema, schema_files
from tests.core.bench_world import NOW, World
from tests.paths import ROOT

#: The KPIs of the plan's table, by CSF, in its order.
PLANNED = {
    "user_centric_design": "csat nps active_users stickiness session_duration pages_per_session bounce_rate",
    "user_friendly_interface": "ces time_on_site engagement_rate task_completion_rate client_error_rate",
    "scalability": (
        "peak_response_time peak_throughput peak_error_rate time_to_scale_up time_to_scale_down scaling_success_rate"
    ),
    "flexibility": "time_to_implement change_lead_time deployment_frequency change_success_rate change_feedback",
    "reliability": (
        "availability error_budget_remaining incidents outages mtta mttr mttr_median mttr_p90 sla_met reopen_rate "
        "backlog mtbf"
    ),
    "data_driven_insights": "forecast_accuracy forecast_bias decision_impact decision_uplift decision_success_rate",
    "integration": ("sync_latency sync_latency_p95 sync_success_rate data_accuracy data_consistency data_freshness"),
    "security": (
        "security_incidents breaches time_to_detect time_to_respond time_to_contain time_to_resolve "
        "vulnerabilities_overdue"
    ),
}
BUILT_IN = load_catalogue()
H = timedelta(hours=1)


def test_all_csfs_and_kpis_of_the_plan_are_there() -> None:
    assert tuple(BUILT_IN.csfs) == CSF_IDS == tuple(PLANNED)
    for csf, names in PLANNED.items():
        mine = [kpi.id for kpi in BUILT_IN.kpis.values() if kpi.csf == csf and kpi.breakdown_of is None]
        assert mine == names.split()


def test_incidents_are_also_counted_by_priority() -> None:
    parts = [BUILT_IN.kpis[f"incidents_p{n}"] for n in range(1, 6)]
    assert all(part.breakdown_of == "incidents" and part.weight == 0 for part in parts)
    assert parts[0].measure.where == "(state != 'cancelled') and priority == 1"  # type: ignore[union-attr]


@pytest.mark.parametrize("kpi", [k for k in BUILT_IN.kpis.values() if k.breakdown_of is None], ids=lambda k: k.id)
def test_each_kpi_carries_what_a_manager_needs(kpi: Kpi) -> None:
    assert kpi.definition.endswith(".")
    assert len(kpi.definition.split()) >= 8
    assert kpi.thresholds is not None
    assert kpi.target is not None
    assert kpi.goal in BUILT_IN.goals
    assert kpi.weight > 0
    assert formula(kpi.measure)


def test_entities_are_measured_exactly() -> None:
    for kpi in BUILT_IN.kpis.values():
        if isinstance(kpi.measure, Quantile) and set(kpi.measure.events) & ENTITY_TYPES:
            assert kpi.measure.exact, kpi.id


def test_the_catalogue_and_the_engine_mean_the_same_records() -> None:
    assert plan.ENTITY_TYPES == ENTITY_TYPES
    assert plan.SESSION == SESSION
    record = SessionRecord("u", 0, 60_000, 60.0, 2, 0, True)
    assert all(hasattr(record, name) for name in record_fields(SESSION))
    assert set(plan.build_plan(BUILT_IN).wanted_types) == {t for t, (f, _) in TYPES.items() if f != "control"}


OWN = """
- id: fast_fix_rate
  csf: reliability
  name: Fixed at once
  definition: Of the incidents resolved in the period, the share that never waited for anyone else.
  unit: "%"
  direction: up
  target: 60
  measure:
    kind: share
    events: [incident.updated]
    where: priority is not None and priority <= 3
    at: resolved_at
    of: reopen_count == 0 and not major
"""


def test_an_own_directory_adds_a_kpi_that_is_measured_without_code(tmp_path: Path) -> None:
    (tmp_path / "kpis").mkdir()
    (tmp_path / "kpis" / "own.yaml").write_text(OWN, encoding="utf-8")
    (tmp_path / "services.yaml").write_text("- {id: shop, name: Shop, team: web}\n", encoding="utf-8")
    world = World(plan.build_plan(load_catalogue(tmp_path)))
    for number, priority, reopened in (("I1", 1, 0), ("I2", 2, 1), ("I3", 3, 0), ("I4", 3, 0), ("I5", 5, 1)):
        data = {
            "number": number, "state": "resolved", "priority": priority, "reopen_count": reopened,
            "opened_at": (NOW - 5 * H).isoformat(), "updated_at": (NOW - H).isoformat(),
            "resolved_at": (NOW - H).isoformat(),
        }  # fmt: skip
        world.event("incident.updated", NOW - H, data, key=number)
    world.tick()
    world.run()
    value = world.month("fast_fix_rate")
    assert (value.value, value.numerator, value.denominator, value.status) == (75.0, 3, 4, "on_target")
    assert world.month("fast_fix_rate", scope="team:web").value == 75.0
    assert world.month("mttr").value == 4.0


def test_lead_time_counts_each_commit(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("- {id: shop, name: Shop, team: web}\n", encoding="utf-8")
    world = World(plan.build_plan(load_catalogue(tmp_path)))
    many = {
        "number": "C1", "updated_at": NOW.isoformat(), "deployed_at": NOW.isoformat(), "outcome": "successful",
        "commits": [(NOW - n * H).isoformat() for n in (2, 4, 9)],
    }  # fmt: skip
    one = {
        "number": "C2", "updated_at": NOW.isoformat(), "deployed_at": NOW.isoformat(), "outcome": "rolled_back",
        "committed_at": (NOW - 8 * H).isoformat(),
    }  # fmt: skip
    world.event("change.updated", NOW, many, key="C1")
    world.event("change.updated", NOW, one, key="C2")
    world.tick()
    world.run()
    assert world.month("change_lead_time").value == 6.0
    assert world.month("change_lead_time").count == 4
    assert world.month("change_success_rate").value == 50.0


def test_the_docs_are_current() -> None:
    assert (ROOT / "docs" / "kpi-reference.md").read_text("utf-8") == reference(BUILT_IN), "run: csf catalogue docs"
    for name, text in schema_files().items():
        assert (ROOT / "docs" / "events" / name).read_text("utf-8") == text, f"{name}: run: csf catalogue docs"


def test_docs_check_names_what_is_stale(tmp_path: Path) -> None:
    run = CliRunner()
    out = ["docs", "--out", str(tmp_path)]
    assert run.invoke(command, out).exit_code == 0
    assert run.invoke(command, [*out, "--check"]).exit_code == 0
    page = tmp_path / "kpi-reference.md"
    page.write_text(page.read_text("utf-8") + "edited\n", "utf-8")
    (tmp_path / "events" / "gone.json").write_text("{}", "utf-8")
    result = run.invoke(command, [*out, "--check"])
    assert result.exit_code == 1
    assert f"{page} is not current; run: csf catalogue docs" in result.output
    assert f"{tmp_path / 'events' / 'gone.json'} is the schema of no event type; remove it" in result.output


def test_list_and_check_on_the_command_line(tmp_path: Path) -> None:
    run = CliRunner()
    result = run.invoke(command, ["list", "--format", "csv"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("csf,kpi,name,unit,direction,target")
    assert len(lines) == 1 + len(BUILT_IN.kpis)
    assert "8 CSFs, 53 KPIs and 14 breakdowns" in run.invoke(command, ["check"]).output
    (tmp_path / "targets.yaml").write_text("- {kpi: mttr, value: 4}\n", encoding="utf-8")
    assert "1 target," in run.invoke(command, ["check", str(tmp_path)]).output


@pytest.mark.parametrize("event_type", TYPES)
def test_each_schema_is_a_json_schema_that_wants_the_envelope(event_type: str) -> None:
    schema = event_schema(event_type)
    Draft202012Validator.check_schema(schema)
    wrong = list(Draft202012Validator(schema).iter_errors({"type": "other", "data": {}}))
    said = " ".join(error.message for error in wrong)
    assert "'specversion' is a required property" in said
    assert f"'{event_type}' was expected" in said


def test_a_schema_accepts_what_our_producers_write() -> None:

    data = {"direction": "up", "requested_at": NOW.isoformat(), "from": 2, "to": 4}
    event = OutEvent(id="1", source="s", type="scaling.completed", time=NOW, subject="shop", data=data, sequence=3)
    validator = Draft202012Validator(event_schema("scaling.completed"))
    assert not list(validator.iter_errors(json.loads(encode(event))))
    data["from"] = -1
    bad = OutEvent(id="1", source="s", type="scaling.completed", time=NOW, subject="shop", data=data)
    assert list(validator.iter_errors(json.loads(encode(bad))))


def test_the_guide_tells_the_truth(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "catalogue.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", guide, flags=re.DOTALL)
    assert [name for name, _ in blocks] == ["services.yaml", "targets.yaml", "kpis/own.yaml"]
    (tmp_path / "kpis").mkdir()
    for name, text in blocks:
        (tmp_path / name).write_text(text, encoding="utf-8")
    loaded = load_catalogue(tmp_path)
    assert loaded.services["shop"].team == "commerce"
    assert loaded.kpis["urgent_fixed_in_time"].target == 98
    assert all(f"`{kind}`" in guide for kind in MEASURES)
