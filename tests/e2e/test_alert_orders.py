"""Orders about alerts on one machine: by commands and by HTTP while everything runs, and while nothing does."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.harness import until
from tests.alerts.receiver import Receiver
from tests.e2e.conftest import Up, csf

pytestmark = pytest.mark.kafka


@pytest.fixture
def hook() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def alerts(folder: Path, *arguments: str) -> str:
    done = csf("alerts", *arguments, "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout


def silences(folder: Path) -> list[tuple[str, str, str]]:
    found: list[dict[str, Any]] = json.loads(alerts(folder, "silences", "--format", "json"))
    return sorted((s["matches"], s["by"], s["via"]) for s in found)


def test_orders_hold_whether_given_before_or_while_it_runs(
    tmp_path: Path, up: Callable[..., Up], hook: Receiver
) -> None:
    own = tmp_path / "catalogue"
    own.mkdir()
    (own / "services.yaml").write_text("- {id: shop, name: Shop, team: web}\n")
    (own / "channels.yaml").write_text(json.dumps([{"id": "hook", "kind": "webhook", "url": hook.url}]))
    alerts(tmp_path, "silence", "--team", "web", "--for", "2h", "--reason", "moving", "--by", "Ana")  # nothing runs
    run = up(tmp_path, "--no-demo")
    run.until("csf-pulse is at")
    until(lambda: silences(tmp_path) == [("team web", "Ana", "csf")], what="the order given before it ran")
    alerts(tmp_path, "silence", "--rule", "mttr_red", "--reason", "r", "--by", "Ben")
    body = json.dumps({"reason": "page", "length": "1h", "scopes": ["org"], "who": "Cem"}).encode()
    headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{run.port}/api/v1/alerts/silences", body, headers)
    ) as answer:
        assert answer.status == 202
    expected = [("rule mttr_red", "Ben", "csf"), ("scope org", "Cem", "console"), ("team web", "Ana", "csf")]
    until(lambda: silences(tmp_path) == expected, what="all three")
    assert alerts(tmp_path, "test") == "hook: delivered\n"
    assert [message["title"] for message in hook.got] == ["[TEST] csf-pulse"]
    refused = csf("alerts", "ack", "mttr_red", "--data-dir", str(tmp_path))
    assert refused.returncode == 2
    assert "mttr_red of org does not fire, so there is nothing to take on" in refused.stderr
    assert run.stop() == 0
    assert silences(tmp_path) == expected
