"""Kafka's jars cannot be had: what a first start says then."""

import logging
import sys
from pathlib import Path
from typing import Any

import jgo
import pytest

from cli.embedded import kafka

REFUSED = (
    "HTTPSConnectionPool(host='maven.example', port=443): Max retries exceeded with url: /a.pom "
    "(Caused by SSLError(SSLCertVerificationError(1, 'certificate verify failed: self-signed certificate')))"
)


@pytest.fixture(autouse=True)
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["kafka", "fetch"])
    monkeypatch.setattr(logging.getLogger("jgo"), "level", logging.ERROR)
    return tmp_path


def _answers(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def build(*_args: Any, **_settings: Any) -> None:
        raise error

    monkeypatch.setattr(jgo, "build", build)


def test_a_proxy_with_certificates_of_its_own_is_told_in_one_sentence(
    newcomer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answers(monkeypatch, ConnectionError(REFUSED))
    with pytest.raises(SystemExit) as ended:
        kafka.main()
    said = str(ended.value.code)
    assert said.startswith("csf: Kafka's jars cannot be fetched from Maven Central: ")
    assert "certificate verify failed" in said
    assert "REQUESTS_CA_BUNDLE" in said
    assert "HTTPSConnectionPool" not in said
    assert not any((newcomer / "cache" / "csf-pulse").iterdir())  # nothing half is left behind


def test_ctrl_c_while_fetching_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(monkeypatch, KeyboardInterrupt())
    with pytest.raises(SystemExit) as ended:
        kafka.main()
    assert ended.value.code == 130
