"""The rules that docker-compose.yml gives Prometheus fire when a connector falls silent, and not before; by Prometheus's own promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.paths import ROOT

pytestmark = pytest.mark.services
RULES = ROOT / "deploy" / "prometheus-rules.yml"
READ = 'csf_connector_last_success_timestamp_seconds{source="jira/desk",stream="issues"}'
UNTIL = 'csf_connector_delivered_until_timestamp_seconds{source="jira/desk",stream="issues"}'
POLL = 'csf_connector_poll_seconds{source="jira/desk"}'


def promtool(*arguments: str) -> str:
    path = shutil.which("promtool")
    assert path is not None, "promtool is missing: install Debian's package prometheus"
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration_and_rules_are_prometheus_s(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    assert config["rule_files"] == ["/etc/prometheus/rules.yml"]
    token = tmp_path / "token"
    token.write_text("any")
    for job in config["scrape_configs"]:
        if "authorization" in job:
            job["authorization"]["credentials_file"] = str(token)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({**config, "rule_files": [str(RULES)]}))
    assert "4 rules found" in promtool("check", "config", str(tmp_path / "prometheus.yml"))


def firing(at: str, name: str, *labels: dict[str, str]) -> dict[str, object]:
    return {"eval_time": at, "alertname": name, "exp_alerts": [{"exp_labels": each} for each in labels]}


def test_a_silent_connector_is_an_alert(tmp_path: Path) -> None:
    """It reads every minute for half an hour, and then no more."""
    silent = {"severity": "critical", "source": "jira/desk", "stream": "issues"}
    series = [
        {"series": READ, "values": "0+60x30 1800x90"},
        {"series": UNTIL, "values": "0+60x30 1800x90"},
        {"series": POLL, "values": "60x120"},
        # one that is read every hour, and then no more: three of its polls are waited for
        {"series": READ.replace("jira/desk", "plausible/site"), "values": "0x60 3600x240"},
        {"series": POLL.replace("jira/desk", "plausible/site"), "values": "3600x300"},
        {"series": 'up{job="csf-connector",instance="connector:9200"}', "values": "1x60 0x60"},
    ]
    checks = [
        {**firing("30m", "ConnectorSilent")}, {**firing("48m", "ConnectorSilent")}, firing("52m", "ConnectorSilent", silent),
        firing("244m", "ConnectorSilent"), firing("248m", "ConnectorSilent", {**silent, "source": "plausible/site"}),
        firing("100m", "ConnectorBehind"), firing("110m", "ConnectorBehind", {**silent, "severity": "warning"}),
        firing("60m", "ConnectorDown"),
        firing("67m", "ConnectorDown", {"severity": "critical", "job": "csf-connector", "instance": "connector:9200"}),
    ]  # fmt: skip
    for check in checks:  # what a person is told is no matter of this test
        for alert in check["exp_alerts"]:
            alert["exp_annotations"] = annotation(str(check["alertname"]), alert["exp_labels"])
    test = {"interval": "1m", "input_series": series, "alert_rule_test": checks}
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]})
    )
    promtool("test", "rules", str(tmp_path / "test.yml"))


def annotation(name: str, labels: dict[str, str]) -> dict[str, str]:
    said = {
        "ConnectorSilent": "jira/desk: issues was last read 22m 0s ago; csf connector test says what is wrong",
        "ConnectorBehind": "jira/desk: issues is 1h 20m 0s behind",
        "ConnectorDown": "the connector at connector:9200 does not run",
    }
    if labels.get("source") == "plausible/site":
        return {"summary": "plausible/site: issues was last read 3h 8m 0s ago; csf connector test says what is wrong"}
    return {"summary": said[name]}
