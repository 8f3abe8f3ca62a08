"""The demonstration's directory is known by itself: every command takes its catalogue, however it is named."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import COMMANDS, csf
from cli.settings import load_settings, mark_demo
from pipeline.errors import ConfigError

#: commands that start or fill an installation: --demo would say nothing there
STARTS = {"up", "worker", "connector", "simulate"}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    folder.mkdir()
    mark_demo(folder)
    return folder


def said(*arguments: str) -> str:
    with pytest.raises(ConfigError) as e:
        csf.main([*arguments], standalone_mode=False)
    return str(e.value)


def test_its_organisation_and_zone_are_its_own_by_path_too(demo: Path) -> None:
    named, beside = load_settings(None, {}, data_dir=demo), load_settings(None, {}, data_dir=demo.parent)
    assert (named.demo, beside.demo) == (True, False)
    assert named.load_catalogue().organisation != beside.load_catalogue().organisation


def test_demo_means_the_one_beside_the_data_or_the_directory_itself(demo: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, demo):
        assert f"there are no values in {demo} yet" in said("kpis", "--data-dir", str(folder), "--demo")
    settings = tmp_path / "other.yaml"
    settings.write_text(f"data_dir: {tmp_path}\n")
    assert f"there are no values in {demo} yet" in said("alerts", "list", "--demo", "--config", str(settings))


def test_without_one_that_is_said(tmp_path: Path) -> None:
    assert "there is no simulated organisation in" in said("report", "latest", "--demo", "--data-dir", str(tmp_path))


@pytest.mark.parametrize("command", [["kpis"], ["report", "latest"], ["alerts", "list"]])
def test_who_looks_beside_it_is_told_where_the_values_are(demo: Path, command: list[str]) -> None:
    (demo / "kpis.db").touch()
    assert said(*command, "--data-dir", str(demo.parent)).endswith("the simulated organisation's are shown with --demo")


def _leaves(command: click.Command, path: list[str]) -> list[tuple[list[str], click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    context = click.Context(command)
    subcommands = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [leaf for name, sub in subcommands if sub is not None for leaf in _leaves(sub, [*path, name])]


def test_every_command_that_looks_at_an_installation_takes_it() -> None:
    leaves = _leaves(csf, [])
    assert len(leaves) > 3 * len(COMMANDS) / 2
    for path, command in leaves:
        options = {option for parameter in command.params for option in parameter.opts}
        if "--data-dir" in options:
            assert ("--demo" in options) is (path[0] not in STARTS), path
    assert CliRunner().invoke(csf, ["kpis", "--help"]).output.count("--demo") == 1


def test_a_directory_whose_name_no_disk_takes_is_no_demonstration() -> None:
    long = "x" * 5000
    assert not load_settings(None, {}, data_dir=Path(long)).demo
    assert not load_settings(None, {"CSF_DATA_DIR": long}).demo
