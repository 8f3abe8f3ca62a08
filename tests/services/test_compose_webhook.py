"""The receiver as docker-compose.yml starts it: its command, environment, files and secrets, in folders of the test's."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import yaml

from connectors.webhook.load import load_form
from tests.connectors.hooks import signed
from tests.connectors.test_producer import read
from tests.paths import ROOT
from tests.services.processes import free_port

pytestmark = pytest.mark.services
METRICS_PORT = "9200"


def composed(service, folder, bootstrap):
    """Return command and environment of a service, what lies in its container put into a folder."""
    text = re.sub(r"\$\{CSF_\w+:-([^}]*)\}", r"\1", (ROOT / "docker-compose.yml").read_text())
    declared = yaml.safe_load(text)["services"][service]
    config = next(v for v in declared["volumes"] if v.startswith("./deploy/")).split(":")
    places = {
        "/run/secrets": folder / "secrets", "/etc/csf/catalogue": ROOT / "deploy" / "catalogue", "/var/lib/csf": folder / "data",
        config[1]: folder / "config.yaml", "kafka:9092": bootstrap,
    }  # fmt: skip
    (folder / "config.yaml").write_text(there((ROOT / config[0]).read_text(), places))
    environment = {name: there(str(value), places) for name, value in declared["environment"].items()}
    return [there(part, places) for part in declared["command"]], environment


def there(text, places):
    for inside, outside in places.items():
        text = text.replace(inside, str(outside))
    return text


def post(address, body, headers):
    request = urllib.request.Request(address, body, {"Content-Type": "application/cloudevents+json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def test_the_receiver_of_the_production_set_up_takes_what_is_signed_with_its_secret(tmp_path, bootstrap):
    subprocess.run(
        ["sh", str(ROOT / "deploy" / "secrets.sh"), str(tmp_path / "secrets")], check=True, capture_output=True
    )
    command, environment = composed("webhook", tmp_path, bootstrap)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("0.0.0.0:8787", "127.0.0.1:0"))
    port = str(free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *(port if part == METRICS_PORT else part for part in command)], text=True,
        env={"PATH": os.environ["PATH"], **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found, process.communicate(timeout=10)
        base = f"http://127.0.0.1:{found[1]}"
        secret = (tmp_path / "secrets" / "webhook_secret").read_text()
        name = f"p{uuid4().hex[:8]}"
        event = {
            "specversion": "1.0", "id": name, "source": "door", "type": "task.finished", "time": datetime.now(UTC).isoformat(), "subject": "shop",
            "data": {"user": "u", "task": name, "completed": True},
        }  # fmt: skip
        body = json.dumps(event).encode()
        headers, _ = signed(load_form("cloudevents").signature, f"whsec_{secret}", body, time.time())
        assert post(f"{base}/hooks/ours", body, {**headers, "webhook-signature": "v1,bm8="}) == 401
        assert post(f"{base}/hooks/ours", body, headers) == 202
        assert post(f"{base}/hooks/ours", body, headers) == 200  # known
        with urllib.request.urlopen(f"{base}/healthz", timeout=5) as answer:  # as its health check asks
            assert answer.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    (record,) = read(bootstrap, "csf.events.usage", name)
    (told,) = json.loads(record.value)
    assert (told["subject"], told["data"]["task"]) == ("shop", name)
    assert 'csf_webhook_deliveries_total{hook="ours",outcome="accepted"} 1.0' in metrics
    assert secret not in out + err + metrics
