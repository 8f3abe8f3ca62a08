"""The generated boards: current, the same each time, within what Grafana 9.4 knows, and made of the catalogue alone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cli.dashboards import dashboards
from dashboards.boards import BOARDS
from dashboards.build import GENERATED, board_files
from pipeline.catalogue.loader import load_catalogue
from tests.dashboards.grafana import panels_of
from tests.paths import ROOT

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
BOARD_FILES = sorted(GENERATED.glob("*.json"))


def every(boards: list[Path]) -> list[Any]:
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in boards]


def test_the_boards_kept_are_those_of_the_built_in_catalogue() -> None:
    files = board_files(load_catalogue())
    assert {path.name for path in BOARD_FILES} == set(files) == {f"{name}.json" for name in BOARDS}
    for name, text in files.items():
        assert (GENERATED / name).read_text() == text, f"{name}: run csf dashboards build"
    assert board_files(load_catalogue()) == files


def test_uids_and_titles_are_their_own_and_no_folder_has_a_boards_title() -> None:
    boards = [json.loads(path.read_text()) for path in BOARD_FILES]
    folders = [p["folder"] for p in yaml.safe_load((PROVISIONING / "dashboards" / "csf.yaml").read_text())["providers"]]
    for field in ("uid", "title"):
        assert len({b[field] for b in boards}) == len(boards)
    assert not {b["title"].lower() for b in boards} & {f.lower() for f in folders}
    assert all(len(b["uid"]) <= 40 for b in boards)


@pytest.mark.parametrize("board", every(BOARD_FILES))
def test_a_board_is_of_the_schema_of_grafana_9_4(board: dict[str, Any]) -> None:
    assert board["schemaVersion"] == 37
    assert "id" not in board
    assert "version" not in board


@pytest.mark.parametrize("board", every(BOARD_FILES))
def test_panels_have_ids_of_their_own(board: dict[str, Any]) -> None:
    inside = [p for row in board["panels"] for p in (row["panels"] if row["type"] == "row" else [])]
    ids = [p["id"] for p in [*board["panels"], *inside]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("board", every(BOARD_FILES))
def test_every_panel_says_what_it_shows_and_in_which_unit(board: dict[str, Any]) -> None:
    for panel in panels_of(board):
        if panel["type"] == "text":
            continue
        fields = panel["fieldConfig"]
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), f"{panel['title']}: {panel['description']!r} is no sentence"
        units = [p["value"] for one in fields["overrides"] for p in one["properties"] if p["id"] == "unit"]
        assert fields["defaults"].get("unit") or units, f"{panel['title']} has no unit"
        assert panel["datasource"] == panel["targets"][0]["datasource"], panel["title"]


@pytest.mark.parametrize("board", every(BOARD_FILES))
def test_every_variable_is_there_for_something(board: dict[str, Any]) -> None:
    for variable in board["templating"]["list"]:
        others = {**board, "templating": [v for v in board["templating"]["list"] if v is not variable]}
        assert re.search(rf"\$\{{?{variable['name']}\b", json.dumps(others)), variable["name"]


@pytest.mark.parametrize("board", every(BOARD_FILES))
def test_no_panel_says_no_data_and_every_source_is_provisioned(board: dict[str, Any]) -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "csf.yaml").read_text())["datasources"]
    known = {(s["type"], s["uid"]) for s in sources}
    for panel in panels_of(board):
        if panel["type"] == "text":
            continue
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
        for target in panel["targets"]:
            assert (target["datasource"]["type"], target["datasource"]["uid"]) in known
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            assert (variable["datasource"]["type"], variable["datasource"]["uid"]) in known


def test_influx_sources_name_their_database_for_old_and_new_grafana_and_send_the_token_as_a_header() -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "csf.yaml").read_text())["datasources"]
    influx = [s for s in sources if s["type"] == "influxdb"]
    assert {s["database"] for s in influx} == {"csf_live", "csf_history"}
    for source in influx:
        assert source["database"] == source["jsonData"]["dbName"]
        assert source["jsonData"]["httpHeaderName1"] == "Authorization"
        assert source["secureJsonData"]["httpHeaderValue1"].startswith("Token $")


@pytest.fixture
def own_catalogue(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    (folder / "kpis").mkdir(parents=True)
    kpi = {
        "id": "night_incidents", "csf": "reliability", "name": "Incidents at night", "definition": "Opened at night.",
        "unit": "nights", "direction": "down", "decimals": 1, "target": 3, "thresholds": {"amber": 5, "red": 9}, "weight": 9,
        "measure": {"kind": "count", "events": ["incident.updated"], "at": "opened_at"},
    }  # fmt: skip
    (folder / "kpis" / "own.yaml").write_text(yaml.safe_dump([kpi]))
    return folder


def test_a_kpi_of_ones_own_is_on_the_boards_without_code(own_catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "boards"
    run = CliRunner().invoke(dashboards, ["build", "--catalogue-dir", str(own_catalogue), "--out", str(out)])
    assert run.exit_code == 0, run.output
    wall = json.loads((out / "noc-wall.json").read_text())
    (panel,) = [p for p in panels_of(wall) if p["title"] == "Incidents at night"]
    (own,) = [o for o in panel["fieldConfig"]["overrides"] if o["matcher"]["options"] == "/^[a-z_]+ night_incidents$/"]
    assert {p["id"]: p["value"] for p in own["properties"]} == {"unit": "suffix:nights", "decimals": 1}
    assert "night_incidents" in panel["targets"][0]["query"]


def test_check_tells_what_is_not_current_and_touches_nothing(own_catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "boards"
    invoke = CliRunner().invoke
    assert invoke(dashboards, ["build", "--out", str(out)]).exit_code == 0
    assert invoke(dashboards, ["build", "--out", str(out), "--check"]).exit_code == 0
    before = {p: p.read_bytes() for p in out.iterdir()}
    run = invoke(dashboards, ["build", "--catalogue-dir", str(own_catalogue), "--out", str(out), "--check"])
    assert run.exit_code == 1
    assert "noc-wall.json is not current; run: csf dashboards build" in run.output
    (out / "mine.json").write_text("{}")
    run = invoke(dashboards, ["build", "--out", str(out), "--check"])
    assert run.exit_code == 1
    assert "mine.json is no board of this program" in run.output
    assert {p: p.read_bytes() for p in out.iterdir() if p.name != "mine.json"} == before
