"""How a month stood on a day, from its days: the same as the pipeline said on that day."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from cli.alerts import alerts
from pipeline.alerts.past import adds_up, months_to_date
from pipeline.alerts.replay import play
from pipeline.catalogue import model as m
from pipeline.evaluate.forecast import month_end, settled
from pipeline.stores.sqlite import SqliteStore
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue
from tests.alerts.samples import MISS, catalogue
from tests.core.bench_world import KPIS, World

DAY = 86_400
UTC_DAYS = Calendar("UTC")
FIRST = UTC_DAYS.parse_month("2026-11")


def kpi(measure: m.AnyMeasure, **rest: object) -> m.Kpi:
    given = {"id": "k", "csf": "reliability", "name": "K", "definition": "k", "unit": "x", "direction": "down", **rest}
    return m.Kpi(measure=measure, **given)


def day(number: int, value: float | None, **rest: object) -> KpiValue:
    start = FIRST + number * DAY
    return KpiValue(
        csf="reliability", kpi="availability", scope="org", period="day", start=start, end=start + DAY, value=value,
        unit="%", state="to_date", **{"count": 10, **rest},
    )  # fmt: skip


def test_a_month_s_end_adds_up_or_is_weighted_by_time():
    count, mean = kpi(m.Count(events=["e"])), kpi(m.Mean(events=["e"], value="v"))
    assert month_end(count, 10, 0.25, 40) == 40
    assert month_end(count, 10, 0.25, None) == 40
    assert month_end(mean, 10, 0.25, 20) == 17.5
    assert month_end(mean, 10, 0.25, None) == 10
    users = kpi(m.Distinct(events=["e"], value="user"))
    assert (month_end(users, 10, 0.7, 5), month_end(users, 10, 0.9, 5)) == (None, 10)  # users of weeks do not add up


def test_what_only_grows_is_settled_once_it_is_past_its_target():
    count = kpi(m.Count(events=["e"]))
    assert (settled(count, 5, 5), settled(count, 6, 5)) == (None, False)
    assert settled(kpi(m.Mean(events=["e"], value="v")), 6, 5) is None


@pytest.mark.parametrize("name", ["incidents", "mttr", "mtta", "reopen_rate", "backlog", "availability", "outages"])
def test_the_month_from_its_days_is_the_month(name: str):
    """By the engine itself: three days of incidents and checks, the month asked for after each."""
    w, found = World(), next(k for k in KPIS if k.id == name)
    for n in range(3):
        opened = datetime(2026, 11, 1 + n, 9, tzinfo=UTC)
        for k in range(n + 1):
            said = {"number": f"I{n}{k}", "opened_at": opened.isoformat()}
            more = {
                "state": "resolved",
                "resolved_at": (opened + timedelta(hours=1 + k + 3 * n)).isoformat(),
                "reopen_count": k,
            }
            w.event(
                "incident.updated", opened, {**said, "state": "new", "updated_at": opened.isoformat()}, key=f"I{n}{k}"
            )
            late = opened + timedelta(hours=12)
            w.event("incident.updated", late, {**said, **more, "updated_at": late.isoformat()}, key=f"I{n}{k}")
        for k in range(0, 1_440, 5):
            at = datetime(2026, 11, 1 + n, tzinfo=UTC) + timedelta(minutes=k)
            w.event("uptime.checked", at, {"up": not 600 <= k < 600 + 20 * n, "check": "web", "interval_s": 300})
        w.tick(datetime(2026, 11, 2 + n, tzinfo=UTC))
        w.run()
        days = sorted(
            (v for (kpi, scope, period, _), v in w.values.items() if (kpi, scope, period) == (name, "org", "day")),
            key=lambda v: v.start,
        )
        (*_, (at, month)) = months_to_date(found, [v for v in days if v.start < FIRST + (n + 1) * DAY], UTC_DAYS)
        assert at == FIRST + (n + 1) * DAY
        expected = w.month(name)
        assert month.value == pytest.approx(expected.value)
        assert (month.count, month.start, month.end) == (expected.count, expected.start, expected.end)


def test_what_does_not_add_up_is_known():
    assert not adds_up(kpi(m.Quantile(events=["e"], value="v", q=0.5)))
    assert adds_up(kpi(m.Count(events=["e"])))


def test_a_forecast_rule_is_played_over_the_month_as_it_stood():
    rule = MISS  # 99.9 % of the month, judged from a quarter of it on
    bad = range(10, 16)
    days = [day(n, 99.0 if n in bad else 99.99, numerator=0.0, denominator=1.0, target=99.9) for n in range(30)]
    past = list(months_to_date(catalogue(rule).kpis["availability"], days, UTC_DAYS))
    for hour in range(7 * 24, 30 * 24):
        end = FIRST + hour * 3_600
        last = [days[n].value for n in range(hour // 24 - 7, hour // 24)]
        week = KpiValue(
            csf="reliability", kpi="availability", scope="org", period="7d", start=end - 7 * DAY, end=end,
            value=sum(last) / 7, unit="%", count=100, state="live", target=99.9,
        )  # fmt: skip
        past.append((end, week))
    (episode,) = play(catalogue(rule), past, FIRST + 30 * DAY)
    assert (episode.rule, episode.scope, episode.threshold) == ("miss", "org", 99.9)
    assert (episode.start - FIRST) // DAY == 11  # the first bad day is known at its end
    assert episode.end is None


def test_replay_names_the_rules_it_cannot_play(tmp_path):
    own = tmp_path / "catalogue" / "alerts"
    own.mkdir(parents=True)
    (own / "own.yaml").write_text("- {id: m, kind: forecast, kpi: time_to_detect, recent: 7d, scopes: [org]}\n")
    SqliteStore(tmp_path / "kpis.db").close()
    done = CliRunner().invoke(alerts, ["replay", "--rule", "m", "--data-dir", str(tmp_path), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert "not played, as days do not add up to the month: m" in done.stderr
