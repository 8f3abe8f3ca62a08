"""What docker-compose.yml and the Dockerfile let a container do: nothing it does not need."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.paths import ROOT

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
#: whose start scripts write beside their program (docker-compose.yml says what)
WRITES = {"kafka", "influxdb"}
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
    assert all(set(secret) == {"environment"} for secret in DOCUMENT["secrets"].values())


def test_boards_and_scrapes_take_their_tokens_from_files() -> None:
    found = 0
    for path in sorted((ROOT / "deploy").rglob("*.y*ml")):
        for line in path.read_text().splitlines():
            if re.search(r"(?i)token|password|secret|credentials", line) and not line.lstrip().startswith("#"):
                assert "/run/secrets/" in line, f"{path.name}: {line.strip()}"
                found += 1
    assert found >= 3
