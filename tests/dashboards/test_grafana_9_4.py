"""Every board, also of a catalogue with awkward units and names, is what Grafana 9.4 takes; and each kind of fault is seen."""

import copy
import json
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
import yaml

from dashboards.build import GENERATED
from tests.dashboards.grafana import panels_of
from tests.dashboards.grafana_9_4 import faults
from tests.paths import ROOT

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
BOARDS = {board["uid"]: board for board in (json.loads(path.read_text()) for path in sorted(GENERATED.glob("*.json")))}
SOURCES = {
    (s["type"], s["uid"])
    for s in yaml.safe_load((PROVISIONING / "datasources" / "csf.yaml").read_text())["datasources"]
}


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_board_says_nothing_that_grafana_9_4_does_not_know(name: str) -> None:
    assert faults(BOARDS[name], BOARDS, SOURCES) == []


def first(board: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(panel for panel in panels_of(board) if panel["type"] == kind)


def _unit(board: dict[str, Any]) -> None:
    first(board, "stat")["fieldConfig"]["defaults"]["unit"] = "hours"


def _override(board: dict[str, Any]) -> None:
    properties = first(board, "table")["fieldConfig"]["overrides"][0]["properties"]
    properties.append({"id": "custom.drawStyle", "value": "line"})


def _option(board: dict[str, Any]) -> None:
    first(board, "stat")["options"]["percentChangeColorMode"] = "standard"


def _word(board: dict[str, Any]) -> None:
    first(board, "timeseries")["options"]["legend"]["displayMode"] = "lists"


def _transformation(board: dict[str, Any]) -> None:
    first(board, "table")["transformations"] = [{"id": "formatTime", "options": {}}]


def _reducer(board: dict[str, Any]) -> None:
    first(board, "stat")["options"]["reduceOptions"]["calcs"] = ["median"]


def _dangling(board: dict[str, Any]) -> None:
    first(board, "table")["targets"][0]["query"] += " AND x =~ /^${planet:regex}$/"


def _unescaped(board: dict[str, Any]) -> None:
    first(board, "table")["targets"][0]["query"] += " AND \"scope\" = '${scope:raw}'"


def _part_of_a_name(board: dict[str, Any]) -> None:
    first(board, "table")["targets"][0]["query"] += ' AND "scope" =~ /${scope:regex}/'


def _source(board: dict[str, Any]) -> None:
    first(board, "table")["targets"][0]["datasource"]["uid"] = "csf-lives"


def _place(board: dict[str, Any]) -> None:
    one, other = [panel for panel in board["panels"] if panel["type"] != "row"][:2]
    other["gridPos"] = {**one["gridPos"]}


def _link(board: dict[str, Any]) -> None:
    first(board, "table")["links"] = [{"title": "x", "url": "/d/csf-service?var-planet=x"}]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_unit, "there is no unit 'hours'"), (_override, "override: there is no drawStyle"), (_option, "there is no percentChangeColorMode"),
        (_word, "displayMode cannot be 'lists'"), (_transformation, "there is no transformation formatTime"),
        (_reducer, "there is no reducer median"), (_dangling, "$planet is no variable"), (_unescaped, "$scope is not escaped (raw)"),
        (_part_of_a_name, "$scope matches parts of names"), (_source, "there is no data source"), (_place, " covers "),
        (_link, "a link sets planet, which csf-service does not have"),
    ],
)  # fmt: skip
def test_a_fault_is_seen(spoil: Callable[[dict[str, Any]], None], says: str) -> None:
    board = copy.deepcopy(BOARDS["csf-detail"])
    spoil(board)
    assert [fault for fault in faults(board, BOARDS, SOURCES) if says in fault]


# --- the files beside the boards ---


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class Source(_Strict):
    """A provisioned data source; the names of ``jsonData`` are those of InfluxDB in InfluxQL and of Prometheus."""

    name: str
    uid: str
    type: Literal["influxdb", "prometheus"]
    access: Literal["proxy", "direct"]
    url: str
    json_data: dict[Literal["version", "dbName", "httpMode", "httpHeaderName1", "httpMethod", "timeInterval"], str]
    secure_json_data: dict[Literal["httpHeaderValue1"], str] = {}
    database: str = ""
    is_default: bool = False


class Sources(_Strict):
    api_version: Literal[1]
    datasources: list[Source]


class Options(_Strict):
    path: str


class Provider(_Strict):
    name: str
    folder: str
    folder_uid: str = msgspec.field(name="folderUid")
    type: Literal["file"]
    disable_deletion: bool
    allow_ui_updates: bool
    update_interval_seconds: int
    options: Options


class Providers(_Strict):
    api_version: Literal[1]
    providers: list[Provider]


def test_the_files_beside_the_boards_have_the_shape_that_grafana_reads() -> None:
    sources = msgspec.convert(yaml.safe_load((PROVISIONING / "datasources" / "csf.yaml").read_text()), Sources)
    assert [s.is_default for s in sources.datasources].count(True) == 1
    assert len({s.uid for s in sources.datasources}) == len(sources.datasources)
    providers = msgspec.convert(yaml.safe_load((PROVISIONING / "dashboards" / "csf.yaml").read_text()), Providers)
    assert [p.update_interval_seconds > 0 for p in providers.providers] == [True]
