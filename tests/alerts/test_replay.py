"""Rules played over the past, and the commands that look at alerts."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.alerts import alerts
from pipeline.alerts.replay import play
from pipeline.errors import ConfigError
from pipeline.stores.sqlite import SqliteStore
from tests.alerts.samples import CONCERN, DELAY, T0, catalogue, status, value
from tests.stores.samples import alert


def at_end(found):
    return [(each.end, each) for each in found]


def test_what_would_have_fired_when_and_for_how_long():
    past = [value("delay", n, T0 + 60 * k) for k, n in enumerate([200, 200, 90, 70, 10, 300, 300])]
    past += [status("concern", T0 + 120), status("aligned", T0 + 300)]
    found = play(catalogue(DELAY, CONCERN), at_end(reversed(past)), T0 + 1_000)
    assert [(e.rule, e.start - T0, e.end and e.end - T0, e.lasted_s(T0 + 1_000)) for e in found] == [
        ("delay_high", 60, 180, 120), ("concern", 120, 300, 180), ("delay_high", 360, None, 640),
    ]  # fmt: skip
    assert (found[0].value, found[0].threshold) == (200, 100)


def test_what_lies_after_the_end_is_not_played():
    past = at_end(value("delay", 200, T0 + 60 * k) for k in range(5))
    assert play(catalogue(DELAY), past, T0 + 30) == []


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    now = int(time.time())
    own = tmp_path / "catalogue" / "alerts"
    own.mkdir(parents=True)
    (own / "own.yaml").write_text(
        "- {id: slow, kind: threshold, kpi: mttr, window: 24h, limit: 5, min_sample: 1, scopes: ['service:*']}\n"
    )
    store = SqliteStore(tmp_path / "kpis.db")
    store.write_alerts([alert(at=now - 60, since=now - 60, state="firing"), alert(at=now - 50, scope="org")])
    values = [value("delay", n, now - 600 + 60 * k, "24h") for k, n in enumerate([9, 9, 1, 9])]
    for each in values:
        each.kpi, each.unit = "mttr", "h"
    store.write_values(values)
    store.close()
    return tmp_path


def run(data_dir: Path, *arguments: str) -> object:
    done = CliRunner().invoke(alerts, [*arguments, "--data-dir", str(data_dir), "--format", "json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_list_shows_what_fires_and_all_what_is_over_too(data_dir: Path):
    assert [(row["rule"], row["scope"]) for row in run(data_dir, "list")] == [("mttr_red", "service:shop")]
    assert len(run(data_dir, "list", "--all")) == 2
    assert [row["what"] for row in run(data_dir, "show", "mttr_red", "org")] == ["resolved"]


def printed(data_dir: Path, *arguments: str) -> str:
    done = CliRunner().invoke(alerts, [*arguments, "--data-dir", str(data_dir)])
    assert done.exit_code == 0, done.output
    return done.output


def test_people_read_rounded_values_and_that_nothing_happened(data_dir: Path):
    store = SqliteStore(data_dir / "kpis.db")
    store.write_alerts(
        [alert(at=int(time.time()) - 40, scope="service:crm", kpi="mttr", unit="h", value=8.123456, state="firing")]
    )
    store.close()
    (row,) = [line for line in printed(data_dir, "list").splitlines() if "service:crm" in line]
    assert " 8.12 " in row
    assert [r["value"] for r in run(data_dir, "list") if r["scope"] == "service:crm"] == [8.123456]
    assert "nothing happened to slow of service:nosuch in the last 45 days" in printed(
        data_dir, "show", "slow", "service:nosuch"
    )
    assert printed(data_dir, "replay", "--rule", "csat_red") == "nothing would have fired\n"


def test_replay_counts_times_and_lengths(data_dir: Path):
    (row,) = run(data_dir, "replay", "--rule", "slow")
    assert (row["rule"], row["scope"], row["times"], row["longest"]) == ("slow", "service:shop", 2, "00:07")
    each = run(data_dir, "replay", "--rule", "slow", "--each")
    assert [e["end"] is None for e in each] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay", "--rule", "slaw"], "rule 'slaw': is not in the catalogue"),
        (["replay", "--from", "May"], "--from May: is no day"),
        (
            ["replay", "--from", "2026-05-03", "--to", "2026-05-02"],
            "--from 2026-05-03: lies not before the end of --to",
        ),
        (["silence", "--reason", "r"], "a silence of everything is none"),
        (["silence", "--reason", "r", "--rule", "slow", "--for", "long"], "for: 'long' is no length of a silence"),
        (["test", "pager"], "channel 'pager': is not in channels.yaml"),
        (["test"], "there are no channels"),
    ],
)
def test_a_wrong_order_gets_one_sentence(data_dir: Path, arguments: list[str], says: str):
    with pytest.raises(ConfigError, match=says):
        CliRunner().invoke(alerts, [*arguments, "--data-dir", str(data_dir)], catch_exceptions=False)
