"""Pushing boards: once is enough, what is others' stays theirs, and every refusal is one sentence without the token."""

import copy
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.dashboards import dashboards
from cli.main import csf
from dashboards.build import board_files
from dashboards.grafana import Grafana
from dashboards.push import FOLDER_TITLE, FOLDER_UID, push_boards
from pipeline.catalogue.loader import load_catalogue
from pipeline.errors import ConfigError, CsfError, GrafanaRejected, ServiceUnavailable
from pipeline.stores.sqlite import SqliteStore
from tests.dashboards.fake_grafana import FakeGrafana
from tests.stores.samples import MAY, period_value

FILES = board_files(load_catalogue())


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    running = FakeGrafana()
    yield running
    running.close()


def of(server: FakeGrafana, token: str = "glsa_right") -> Grafana:
    return Grafana(server.url, token, timeout_s=3)


def test_boards_are_made_in_a_folder_of_their_own_and_pushing_again_writes_nothing(server: FakeGrafana) -> None:
    first = push_boards(of(server), FILES, "test")
    assert (first.made, first.changed, first.current, first.left_alone) == (len(FILES), 0, 0, [])
    assert server.folders == {FOLDER_UID: FOLDER_TITLE}
    assert {b["folder"] for b in server.boards.values()} == {FOLDER_UID}
    server.log.clear()
    again = push_boards(of(server), FILES, "test")
    assert (again.made, again.changed, again.current) == (0, 0, len(FILES))
    assert server.writes == []


def test_no_board_has_the_title_of_the_folder() -> None:
    assert FOLDER_TITLE not in {json.loads(text)["title"] for text in FILES.values()}


def test_a_board_that_is_not_as_it_should_be_is_renewed_in_place(server: FakeGrafana) -> None:
    push_boards(of(server), FILES, "test")
    held = server.boards["csf-noc-wall"]["json"]
    held["panels"][0]["title"] = "Changed by hand"
    number = held["id"]
    pushed = push_boards(of(server), FILES, "test")
    assert (pushed.changed, pushed.current) == (1, len(FILES) - 1)
    assert server.boards["csf-noc-wall"]["json"]["panels"][0]["title"] == "User-Centric Design"
    assert server.boards["csf-noc-wall"]["json"]["id"] == number


def test_boards_and_folders_of_others_are_never_touched(server: FakeGrafana) -> None:
    server.folders = {"theirs": "Operations"}
    mine = {"uid": "own-wall", "title": "NOC wall", "id": 1, "version": 3, "panels": []}
    moved = {**json.loads(FILES["noc-wall.json"]), "id": 2, "version": 7, "title": "Our wall"}
    server.boards = {
        "own-wall": {"json": mine, "folder": "theirs"},
        "csf-noc-wall": {"json": moved, "folder": "theirs"},
    }
    before = copy.deepcopy(server.boards)
    pushed = push_boards(of(server), FILES, "test")
    assert pushed.left_alone == [
        "board csf-noc-wall lies in the folder 'Operations'; move it to 'csf-pulse' to have it renewed"
    ]
    assert {uid: server.boards[uid] for uid in before} == before
    assert server.folders["theirs"] == "Operations"


def test_a_provisioned_board_is_left_to_its_file(server: FakeGrafana) -> None:
    push_boards(of(server), FILES, "test")
    server.boards["csf-month"] |= {"provisioned": True}
    server.boards["csf-month"]["json"]["title"] = "Old"
    pushed = push_boards(of(server), FILES, "test")
    assert pushed.left_alone == ["board csf-month is provisioned from a file on Grafana's disk; renew that file"]


def test_a_save_that_somebody_else_was_quicker_with_is_tried_once_more(server: FakeGrafana) -> None:
    push_boards(of(server), FILES, "test")
    held = server.boards["csf-noc-wall"]["json"]
    held["refresh"] = "5m"

    def somebody_saves() -> None:
        held["version"] += 1
        server.meanwhile = lambda: None

    server.meanwhile = somebody_saves
    assert push_boards(of(server), FILES, "test").changed == 1
    assert server.boards["csf-noc-wall"]["json"]["refresh"] == "30s"


def test_somebody_who_saves_all_the_time_is_named(server: FakeGrafana) -> None:
    push_boards(of(server), FILES, "test")
    held = server.boards["csf-noc-wall"]["json"]
    held["refresh"] = "5m"

    def somebody_saves() -> None:
        held["version"] += 1

    server.meanwhile = somebody_saves
    with pytest.raises(GrafanaRejected, match="save board csf-noc-wall: somebody else saved it meanwhile; try again"):
        push_boards(of(server), FILES, "test")


def test_a_board_of_the_same_name_in_our_folder_is_named(server: FakeGrafana) -> None:
    server.folders = {FOLDER_UID: FOLDER_TITLE}
    other = {"uid": "x", "title": "NOC wall", "id": 1, "version": 1}
    server.boards["x"] = {"json": other, "folder": FOLDER_UID}
    with pytest.raises(GrafanaRejected, match=r"save board csf-noc-wall \(412: A dashboard with the same name"):
        push_boards(of(server), FILES, "test")


def test_a_folder_of_our_title_that_is_not_ours_is_named(server: FakeGrafana) -> None:
    server.folders = {"other": FOLDER_TITLE}
    with pytest.raises(
        GrafanaRejected, match=r"refuses to make the folder csf-pulse \(409: a folder with the same name"
    ):
        push_boards(of(server), FILES, "test")


def test_a_wrong_token_and_one_that_may_only_look(server: FakeGrafana) -> None:
    with pytest.raises(GrafanaRejected, match=r"does not know the token \(401: Invalid API key\)") as caught:
        push_boards(of(server, "glsa_wrong"), FILES, "test")
    assert "glsa_wrong" not in str(caught.value)
    server.role = "Viewer"
    with pytest.raises(GrafanaRejected, match=r"token may not make the folder csf-pulse .* role Editor"):
        push_boards(of(server), FILES, "test")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((500, b'{"message": "database is locked"}'), ServiceUnavailable, "failed to read folder csf-pulse"),
        ((502, b"<html>bad gateway</html>"), ServiceUnavailable, "failed to read folder csf-pulse"),
        ((429, b'{"message": "slow down"}'), ServiceUnavailable, "asked too much"),
        ((200, b"<html>some other page</html>"), GrafanaRejected, "does not answer as a Grafana does"),
        ((200, b"[]"), GrafanaRejected, "does not answer as a Grafana does"),
    ],
)
def test_what_goes_wrong_on_the_other_side_is_one_sentence(
    server: FakeGrafana, answer: tuple[int, bytes], kind: type[CsfError], said: str
) -> None:
    server.always = answer
    with pytest.raises(kind, match=said) as caught:
        push_boards(of(server), FILES, "test")
    assert "\n" not in str(caught.value)


def test_nobody_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServiceUnavailable, match=f"127.0.0.1:{port} does not answer; check the address"):
        push_boards(Grafana(f"http://127.0.0.1:{port}", "t", timeout_s=1), FILES, "test")


@pytest.mark.parametrize("url", ["grafana.example", "ftp://x", "", "http://", "http://user:pw@x"])
def test_an_address_that_is_none_is_a_mistake_of_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="Grafana address") as caught:
        Grafana(url, "t")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("token", ["two\nlines", "ü", "a b"])
def test_a_token_that_is_none_is_refused_without_saying_it(token: str) -> None:
    with pytest.raises(ConfigError, match="token holds characters") as caught:
        Grafana("http://x", token)
    assert token not in str(caught.value)


def test_a_grafana_below_a_path_is_asked_there() -> None:
    server = FakeGrafana(prefix="/grafana")
    try:
        assert push_boards(of(server), FILES, "test").made == len(FILES)
    finally:
        server.close()


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(dashboards, ["push", *arguments], env=environment)


def test_the_command_pushes_boards_and_closed_months(server: FakeGrafana, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "kpis.db")
    store.write_values([period_value(period="month", kpi="mttr", state="restated", revision=2)])
    store.close()
    told = invoke("--data-dir", str(tmp_path), GRAFANA_URL=server.url, GRAFANA_TOKEN=server.token)
    assert told.exit_code == 0, told.output
    assert told.output == (
        f"{len(FILES)} boards made, 0 changed, 0 current already.\n1 annotations added, 0 changed, 0 removed.\n"
    )
    (annotation,) = server.annotations.values()
    assert "restated (revision 2)" in annotation["text"]
    assert annotation["time"] == period_value(period="month").end * 1000 > MAY
    token = tmp_path / "token"
    token.write_text(f"{server.token}\n")
    arguments = ("--data-dir", str(tmp_path), "--url", server.url, "--token-file", str(token))
    again = invoke(*arguments, GRAFANA_TOKEN="wrong")
    assert again.output == (
        f"0 boards made, 0 changed, {len(FILES)} current already.\n0 annotations added, 0 changed, 0 removed.\n"
    )


def test_the_command_ends_with_1_where_it_left_something_alone(server: FakeGrafana, tmp_path: Path) -> None:
    push_boards(of(server), FILES, "test")
    server.folders["theirs"] = "Operations"
    server.boards["csf-month"]["folder"] = "theirs"
    environment = {"GRAFANA_URL": server.url, "GRAFANA_TOKEN": server.token}
    told = invoke("--data-dir", str(tmp_path), "--no-annotations", **environment)
    assert told.exit_code == 1
    assert "left alone: board csf-month lies in the folder 'Operations'" in told.output


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file"), ("", "is empty"), ("\n", "is empty")],
)
def test_a_token_file_that_helps_nobody_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    told = invoke("--url", "http://127.0.0.1:1", "--token-file", str(file), "--data-dir", str(tmp_path))
    assert isinstance(told.exception, ConfigError)
    assert said in str(told.exception)


def test_without_a_token_nothing_is_asked(tmp_path: Path) -> None:
    told = invoke("--url", "http://127.0.0.1:1", "--data-dir", str(tmp_path), GRAFANA_TOKEN="")
    assert isinstance(told.exception, ConfigError)
    assert "set GRAFANA_TOKEN" in str(told.exception)


def test_no_option_takes_the_token_itself() -> None:
    told = CliRunner().invoke(csf, ["dashboards", "push", "--help"])
    assert "--token-file" in told.output
    assert "--token " not in told.output
