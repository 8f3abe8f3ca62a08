"""``csf dashboards provision``: InfluxDB answers InfluxQL, the boards of the configured catalogue are written; twice is as once."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.dashboards import dashboards
from dashboards.boards import BOARDS
from pipeline.errors import ConfigError
from tests.services.influx import Influx


def test_a_store_that_grafana_does_not_read_is_a_mistake_of_configuration(tmp_path: Path) -> None:
    told = CliRunner().invoke(dashboards, ["provision", "--data-dir", str(tmp_path)], env={"CSF_STORE": "sqlite"})
    assert isinstance(told.exception, ConfigError)
    assert "set CSF_STORE=influx" in str(told.exception)
    assert not (tmp_path / "kpis.db").exists()


@pytest.mark.services
def test_an_empty_influxdb_is_made_ready_once(tmp_path: Path) -> None:
    influx = Influx(tmp_path / "influx")
    try:
        token, out = tmp_path / "token", tmp_path / "boards"
        token.write_text(influx.token)
        environment = {
            "CSF_STORE": "influx",
            "CSF_INFLUX_URL": influx.url,
            "CSF_INFLUX_ORG": influx.org,
            "CSF_INFLUX_TOKEN_FILE": str(token),
        }
        arguments = ["provision", "--data-dir", str(tmp_path), "--out", str(out)]
        first = CliRunner().invoke(dashboards, arguments, env=environment)
        assert first.exit_code == 0, first.output
        assert "mapped csf_live and csf_history for InfluxQL" in first.output
        assert {path.stem for path in out.iterdir()} == set(BOARDS)
        again = CliRunner().invoke(dashboards, arguments, env=environment)
        assert "InfluxQL reads both buckets already." in again.output
        assert f"{len(BOARDS)} boards in {out} were current already." in again.output
        alerting = tmp_path / "alerting"
        both = [*arguments, "--alerting", str(alerting), "--judge", "thresholds"]
        told = CliRunner().invoke(dashboards, both, env=environment)
        assert told.exit_code == 0, told.output
        assert "csf-pulse tells people itself: the file takes our rules out of Grafana" in told.output
        assert [path.name for path in alerting.iterdir()] == ["csf-pulse.yaml"]
        assert "alerting files" in CliRunner().invoke(dashboards, both, env=environment).output
        own = tmp_path / "own"
        own.mkdir()
        (own / "organisation.yaml").write_text("told_by: grafana")
        switched = CliRunner().invoke(
            dashboards, [*both, "--policies"], env={**environment, "CSF_CATALOGUE_DIR": str(own)}
        )
        assert switched.exit_code == 0, switched.output
        assert "Grafana tells people; csf-pulse tells nobody" in switched.output
        assert "rules are judged by csf-pulse, such as" in switched.output
        mapped = influx.api(f"/api/v2/dbrps?org={influx.org}")["content"]
        assert {m["database"] for m in mapped if not m.get("virtual")} == {"csf_live", "csf_history"}
    finally:
        influx.server.stop()
