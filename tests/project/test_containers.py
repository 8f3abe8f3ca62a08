"""What docker-compose.yml and the Dockerfile let a container do: nothing it does not need."""

from __future__ import annotations

import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cli.main import csf
from cli.settings import SECRETS, Settings
from tests.paths import ROOT

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
#: whose start scripts write beside their program (docker-compose.yml says what)
WRITES = {"kafka", "influxdb"}
FILES: dict[str, str] = {name: secret["file"] for name, secret in DOCUMENT["secrets"].items()}
OURS = {name for name, s in SERVICES.items() if str(s["image"]).startswith("csf-pulse")}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only", False) is (name not in WRITES)
    for never in ("privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode"):
        assert never not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))
    for volume in service.get("volumes", []):
        if volume.startswith((".", "/", "$")):
            assert volume.endswith(":ro"), volume


@pytest.mark.parametrize("name", sorted(set(SERVICES) - OURS))
def test_a_container_of_others_is_not_root(name: str) -> None:
    assert re.fullmatch(r"[1-9]\d*:\d+", SERVICES[name]["user"])


def test_our_image_is_not_root_and_locked_by_hash() -> None:
    assert len(OURS) >= 2
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["csf"]
    assert "--require-hashes -r requirements.lock" in text
    assert "HEALTHCHECK" in text
    assert not re.search(r"^(ARG|ENV) .*(TOKEN|PASSWORD|SECRET)", text, re.MULTILINE | re.IGNORECASE)


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for s in SERVICES.values() for port in s.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_secrets_come_as_files_and_stand_in_no_variable() -> None:
    for name, service in SERVICES.items():
        for key, value in (service.get("environment") or {}).items():
            if re.search(r"TOKEN|PASSWORD|SECRET", key):
                assert re.search(r"_FILE$", key), f"{name}: {key}"
                assert str(value).startswith("/run/secrets/"), f"{name}: {key}"
        assert not re.search(r"(token|password|secret)=\S", " ".join(map(str, service.get("command") or [])))


def test_every_secret_is_a_file_which_a_read_only_container_can_be_given() -> None:
    assert all(set(secret) == {"file"} for secret in DOCUMENT["secrets"].values())
    assert all(path == f"${{CSF_SECRETS:-./secrets}}/{name}" for name, path in FILES.items())
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == set(FILES)


def test_the_script_makes_every_secret_and_keeps_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = ["sh", str(ROOT / "deploy" / "secrets.sh"), str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert made.keys() == FILES.keys()
    random = [text for name, text in made.items() if name not in {"influx_user", "connector_secret"}]
    assert all(re.fullmatch(r"[0-9a-f]{64}", text) for text in random)
    assert len(set(random)) == len(random)
    # the folder is the operator's alone; the files in it are read by the containers' several users
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in folder.iterdir())
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def _settings(variables: dict[str, Any]) -> set[str]:
    """Return the names among variables CSF_... that no setting answers to."""
    names = {f.name for f in fields(Settings)}
    known = {f"CSF_{name.upper()}" for name in names} | {f"CSF_{name.upper()}_FILE" for name in SECRETS}
    return {name for name in variables if name.startswith("CSF_")} - known


def test_every_variable_of_a_container_is_one_that_the_program_reads() -> None:
    said = [SERVICES[name]["environment"] for name in OURS]
    assert all(said)
    assert [_settings(variables) for variables in said] == [set()] * len(said)
    assert _settings({"CSF_INFLUX_ADDRESS": ""})  # the test sees what is none


def test_what_may_be_set_is_in_the_example_with_its_default_and_nothing_else_is() -> None:
    asked = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    assert "${" not in re.sub(r"\$\{\w+:-[^}]*\}", "", (ROOT / "docker-compose.yml").read_text())
    example = (ROOT / ".env.example").read_text()
    assert dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)) == asked


def test_every_path_that_is_mounted_is_there() -> None:
    volumes = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", v) for s in SERVICES.values() for v in s.get("volumes", [])]
    sources = [volume.split(":")[0] for volume in volumes]
    paths = [source for source in sources if source.startswith(".")]
    assert len(paths) >= 6
    assert all((ROOT / path).exists() for path in paths)
    assert set(sources) - set(paths) == set(DOCUMENT["volumes"])


def test_what_is_mounted_into_a_mounted_folder_finds_its_place_there() -> None:
    """The folder around it is read-only, so that its place cannot be made."""
    places = 0
    for service in SERVICES.values():
        pairs = [volume.split(":")[:2] for volume in service.get("volumes", [])]
        for source, folder in pairs:
            for _, inside in pairs:
                if source.startswith("./") and inside.startswith(f"{folder}/"):
                    assert (ROOT / source / inside.removeprefix(f"{folder}/")).is_dir()
                    places += 1
    assert places == 1


def test_volumes_of_ours_are_mounted_where_our_user_may_write() -> None:
    """A named volume takes owner and mode of the folder of the image that it covers."""
    made = re.findall(r"install --directory .* --mode (\d+) (\S+)", (ROOT / "Dockerfile").read_text())
    folders = {path: mode for mode, path in made}
    mounted = [v.split(":")[1] for name in OURS for v in SERVICES[name].get("volumes", []) if not v.endswith(":ro")]
    assert set(mounted) == set(folders)
    # what Grafana reads of us is readable to it, what is ours alone is not
    assert folders["/var/lib/csf-boards"] == folders["/var/lib/csf-alerting"] == "0755"
    assert folders["/var/lib/csf"] == "0700"


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_command_of_a_container_is_one_that_the_program_takes(name: str) -> None:
    said = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in SERVICES[name]["command"]]
    assert CliRunner().invoke(csf, [*said, "--help"]).exit_code == 0
    assert CliRunner().invoke(csf, [*said, "--no-such-option", "--help"]).exit_code == 2  # the test sees what is none


def test_images_are_pinned_to_a_release() -> None:
    images = [str(service["image"]) for service in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images


def test_boards_and_scrapes_take_their_tokens_from_files() -> None:
    found = 0
    for path in sorted((ROOT / "deploy").rglob("*.y*ml")):
        for line in path.read_text().splitlines():
            if re.search(r"(?i)token|password|secret|credentials", line) and not line.lstrip().startswith("#"):
                assert "/run/secrets/" in line, f"{path.name}: {line.strip()}"
                found += 1
    assert found >= 3
