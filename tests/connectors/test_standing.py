"""``csf connector status`` and ``forget``, on a real broker."""

from __future__ import annotations

import json
import time
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result

from cli.connector import connector
from connectors.producer import EventProducer
from pipeline.errors import ConfigError
from pipeline.events.families import event_topic
from pipeline.sources import StreamState


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(connector, arguments, standalone_mode=False)


def test_where_nothing_runs_it_says_what_to_start(tmp_path: Path) -> None:
    found = asked("status", "--data-dir", str(tmp_path))
    assert isinstance(found.exception, ConfigError)
    assert f"nothing runs on {tmp_path}: start it with `csf up --data-dir {tmp_path}`" in str(found.exception)


def test_the_list_of_connectors_says_how_to_see_how_they_are() -> None:
    found = CliRunner().invoke(connector, ["list"])
    assert "csf connector status" in found.stderr
    assert json.loads(CliRunner().invoke(connector, ["list", "--format", "json"]).stdout)


@pytest.mark.kafka
def test_what_connectors_tell_is_shown_until_it_is_forgotten(bootstrap: str, tmp_path: Path) -> None:
    name, now = f"t{uuid4().hex[:8]}", time.time()
    fine = StreamState(
        source=f"desk/{name}", stream="tickets", title="The desk", told_at=now, started_at=now - 60, poll_s=60.0, asked_at=now - 5,
        success_at=now - 5, until=now - 10, requests=7, events=1234,
    )  # fmt: skip
    silent = msgspec.structs.replace(fine, stream="changes", told_at=now - 86_400.0, success_at=now - 86_400.0)
    producer = EventProducer(bootstrap)
    for state in (fine, silent):
        producer.keep(state.key, msgspec.to_builtins(state))
    producer.send_batch(event_topic("control"), name, [b'{"type": "clock.ticked", "data": {}}'])
    producer.flush()
    producer.close()
    where = ["--bootstrap", bootstrap, "--data-dir", str(tmp_path)]
    found = asked("status", *where, "--format", "json")
    assert found.return_value == 1, "one is silent"
    ours = [s for s in json.loads(found.stdout) if s["source"] == f"desk/{name}"]
    assert [(s["stream"], s["state"]) for s in ours] == [("changes", "silent"), ("tickets", "fine")]
    assert (ours[1]["requests"], ours[1]["events"]) == (7, 1234)
    line = next(line for line in asked("status", *where).stdout.splitlines() if "changes" in line and name in line)
    assert "silent" in line
    assert "24 h ago" in line
    assert "its connector has said nothing for 24 h: it does not run" in line

    assert "no connector 'nobody' has told anything" in str(asked("forget", "nobody", *where).exception)
    assert f"forgot desk/{name}/changes, desk/{name}/tickets" in asked("forget", name, *where).output
    assert name not in asked("status", *where).stdout
