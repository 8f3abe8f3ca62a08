"""Connectors of one's own: a folder with a declaration and its configuration."""

from __future__ import annotations

import pytest
import yaml

from cli import pulling
from cli.settings import load_settings
from connectors.opening import prepare_any
from pipeline.errors import ConfigError
from tests.connectors.desk import declared


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return what writes a folder, and gives the connector it is."""
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "connector.yaml").write_text(yaml.safe_dump(declared()))
    entry = {
        "name": "ours",
        "connector": "connector.yaml",
        "options": {"address": "https://desk.example.org"},
        "auth": {"token": {"env": "DESK_TOKEN"}},
    }

    def make(*entries, named=f"{folder}/"):
        (folder / "connectors.yaml").write_text(yaml.safe_dump([{**entry, **more} for more in entries or ({},)]))
        return prepare_any(*pulling._entry_of(named, None, load_settings(None, data_dir=tmp_path, bootstrap=None)))

    return make


def test_a_folder_is_a_connector(mine):
    assert mine().source == "desk/ours"


def test_a_configuration_may_name_a_folder(mine, tmp_path):
    mine()
    (tmp_path / "connectors.yaml").write_text(
        (tmp_path / "mine" / "connectors.yaml").read_text().replace("connector.yaml", "mine")
    )
    assert mine(named="ours").source == "desk/ours"


@pytest.mark.parametrize("name", ["github", "predictions", "files"])
@pytest.mark.parametrize("text", [None, "- {name: code, connector: gitlab}"])
def test_what_can_be_read_but_is_not_configured_is_told(tmp_path, name, text):
    if text is not None:
        (tmp_path / "connectors.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"{name} can be read once an entry of the file says connector: {name}"):
        pulling._entry_of(name, None, load_settings(None, data_dir=tmp_path, bootstrap=None))


def test_a_folder_with_several_is_none(mine, tmp_path):
    with pytest.raises(ConfigError, match=r"has several connectors \(ours, theirs\): name one, with --config"):
        mine({}, {"name": "theirs"})
    (tmp_path / "mine" / "connectors.yaml").unlink()
    with pytest.raises(ConfigError, match="it configures the connector of this folder"):
        pulling._entry_of(f"{tmp_path}/mine/", None, load_settings(None, data_dir=tmp_path, bootstrap=None))
