"""Settings: precedence, secrets, and one sentence for every mistake."""

from dataclasses import fields
from pathlib import Path

import pytest

from cli.settings import SECRETS, Settings, load_settings
from pipeline.errors import ConfigError
from tests.paths import ROOT


def test_the_last_word_counts(tmp_path: Path) -> None:
    (tmp_path / "csf.yaml").write_text("partitions: 4\nhttp_port: 9000\ntick_s: 2\n")
    environment = {"CSF_DATA_DIR": str(tmp_path), "CSF_HTTP_PORT": "9100", "CSF_PARTITIONS": "6"}
    settings = load_settings(None, environment, http_port=9200)
    assert (settings.tick_s, settings.partitions, settings.http_port) == (2.0, 6, 9200)
    assert settings.data_dir == tmp_path
    assert settings.store_path == tmp_path / "kpis.db"


def test_secrets_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cr3t-token\n")
    settings = load_settings(None, {"CSF_INFLUX_TOKEN_FILE": str(secret), "CSF_KAFKA_PASSWORD": "pa55"})
    assert settings.influx_token == "s3cr3t-token"
    assert "s3cr3t-token" not in repr(settings)
    assert "pa55" not in repr(settings)
    assert "pa55" not in repr(settings.security())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("partitons: 3", "there is no setting 'partitons'; did you mean 'partitions'?"),
        ("partitions: many", "partitions is 'many'; it must be a whole number"),
        ("store: postgres", "store is 'postgres'; allowed: sqlite, influx"),
        ("archive: perhaps", "archive is 'perhaps'; it must be true or false"),
        ("influx_token: abc", "influx_token is a secret; set CSF_INFLUX_TOKEN or CSF_INFLUX_TOKEN_FILE instead"),
        ("- a list", "must hold settings as 'name: value' lines"),
        ("a: [", "mend the YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "csf.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as e:
        load_settings(file, {})
    assert sentence in str(e.value)
    assert str(file) in str(e.value)


def test_a_mistake_in_the_environment_is_named() -> None:
    with pytest.raises(ConfigError, match="CSF_TICK_S: tick_s is 'soon'; it must be a number"):
        load_settings(None, {"CSF_TICK_S": "soon"})
    with pytest.raises(ConfigError, match="CSF_HTTP_TOKEN_FILE: /nowhere cannot be read"):
        load_settings(None, {"CSF_HTTP_TOKEN_FILE": "/nowhere"})


def test_influx_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CSF_INFLUX_TOKEN"):
        Settings(data_dir=tmp_path, store="influx").open_store()


def test_every_setting_is_in_the_table_of_the_operations_page() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    families = ("kafka_",)  # named together
    names = {f.name for f in fields(Settings)} - SECRETS - {"demo"}
    assert not [name for name in names if f"`{name}`" not in page and not name.startswith(families)]


def test_a_user_without_a_home_names_a_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container that runs under a number of its own."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert load_settings(None, {"CSF_DATA_DIR": str(tmp_path)}).data_dir == tmp_path
    with pytest.raises(ConfigError, match="no home directory: name --data-dir, or CSF_DATA_DIR"):
        load_settings(None, {})
