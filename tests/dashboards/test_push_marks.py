"""Annotations: told once however often, changed and removed with what they are of, those of others left alone."""

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.dashboards import dashboards
from dashboards.grafana import Grafana
from dashboards.push_marks import Mark, Told, happened, push_marks, raised
from pipeline.errors import GrafanaRejected
from pipeline.stores.sqlite import SqliteStore
from tests.dashboards.fake_grafana import FakeGrafana
from tests.stores.samples import MAY, alert, happening


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    running = FakeGrafana()
    running.annotations[1] = {
        "id": 1,
        "time": MAY * 1000,
        "timeEnd": MAY * 1000,
        "text": "of others",
        "tags": ["csf-pulse", "deploy"],
    }
    yield running
    running.close()


def push(server: FakeGrafana, kind: str, marks: list[Mark], since: int | None = None) -> tuple[int, int, int]:
    told = push_marks(Grafana(server.url, server.token, timeout_s=3), kind, marks, since=since)
    return told.added, told.changed, told.removed


def held(server: FakeGrafana) -> list[tuple[int, int, str]]:
    mine = [a for a in server.annotations.values() if a["text"] != "of others"]
    return sorted((a["time"] // 1000 - MAY, a["timeEnd"] // 1000 - MAY, a["text"]) for a in mine)


def close(text: str) -> Mark:
    return Mark(kind="month-closed", key="month:2026-04", start=MAY, text=text)


def test_month_closes_are_told_once_and_changed_when_restated(server: FakeGrafana) -> None:
    assert push(server, "month-closed", [close("April 2026 is closed")]) == (1, 0, 0)
    server.log.clear()
    assert push(server, "month-closed", [close("April 2026 is closed")]) == (0, 0, 0)
    assert server.writes == []
    assert push(server, "month-closed", [close("April 2026 was restated")]) == (0, 1, 0)
    assert held(server) == [(0, 0, "April 2026 was restated")]
    assert server.annotations[2]["tags"] == ["csf-pulse", "month-closed", "month:2026-04"]


def test_what_lasts_gets_its_end_and_what_is_gone_goes(server: FakeGrafana) -> None:
    running, other = happening(end=None), happening(id="INC8", start=MAY + 70)
    assert push(server, "incident", happened([running, other])["incident"], MAY) == (2, 0, 0)
    assert held(server) == [(60, 60, running.text), (70, 3_660, other.text)]
    assert server.annotations[2]["tags"][:2] == ["csf-pulse", "incident"]
    assert {"service:shop", "team:web"} <= set(server.annotations[2]["tags"])
    assert push(server, "incident", happened([happening()])["incident"], MAY) == (0, 1, 1)
    assert held(server) == [(60, 3_660, running.text)]
    assert server.annotations[1]["text"] == "of others"


def test_what_began_before_the_time_told_of_stays(server: FakeGrafana) -> None:
    push(
        server,
        "incident",
        happened([happening(end=None), happening(start=MAY + 5_000, end=MAY + 6_000)])["incident"],
        MAY,
    )
    before = copy.deepcopy(server.annotations)
    assert push(
        server, "incident", happened([happening(start=MAY + 5_000, end=MAY + 6_000)])["incident"], MAY + 100
    ) == (0, 0, 0)
    assert server.annotations == before


def test_an_annotation_told_twice_by_two_at_once_is_one_again(server: FakeGrafana) -> None:
    marks = happened([happening()])["incident"]
    push(server, "incident", marks, MAY)
    server.annotations[9] = {**server.annotations[2], "id": 9}
    assert push(server, "incident", marks, MAY) == (0, 0, 1)
    assert len(held(server)) == 1


def test_alerts_last_from_firing_to_resolved(server: FakeGrafana) -> None:
    def change(state: str, at: int, since: int) -> object:
        return alert(state=state, at=MAY + at, since=MAY + since, note="mean of a day")

    fired = [change("firing", 10, 10), change("unknown", 15, 10), change("resolved", 20, 10), change("firing", 30, 30)]
    assert push(server, "alert", raised(fired), MAY) == (2, 0, 0)
    said = "mttr_red of service:shop: mean of a day"
    assert held(server) == [(10, 20, said), (30, 30, said)]
    assert push(server, "alert", raised([*fired, change("resolved", 40, 30)]), MAY) == (0, 1, 0)
    assert held(server) == [(10, 20, said), (30, 40, said)]


def test_more_annotations_than_are_read_are_refused_before_any_is_doubled(server: FakeGrafana) -> None:
    for number in range(2, 5_002):
        server.annotations[number] = {
            "id": number,
            "time": MAY,
            "timeEnd": MAY,
            "text": "x",
            "tags": ["csf-pulse", "deployment"],
        }
    with pytest.raises(GrafanaRejected, match="tell fewer --days"):
        push(server, "deployment", [])
    assert server.writes == []


def test_the_command_tells_what_the_store_holds_and_nothing_twice(server: FakeGrafana, tmp_path: Path) -> None:
    now = int(time.time())
    store = SqliteStore(tmp_path / "kpis.db")
    store.write_happenings([happening(start=now - 60, end=None), happening(id="OLD", start=now - 40 * 86_400)])
    store.write_alerts([alert(state="firing", at=now - 30, since=now - 30)])
    store.close()
    arguments = ["push", "--data-dir", str(tmp_path)]
    environment = {"GRAFANA_URL": server.url, "GRAFANA_TOKEN": server.token}
    first = CliRunner().invoke(dashboards, arguments, env=environment)
    assert first.output.endswith("2 annotations added, 0 changed, 0 removed.\n"), first.output
    again = CliRunner().invoke(dashboards, arguments, env=environment)
    assert again.output.endswith("0 annotations added, 0 changed, 0 removed.\n")
    assert Told() == Told(0, 0, 0)
