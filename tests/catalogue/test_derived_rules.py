"""The rules that the built-in catalogue brings by itself, as they stand in ``derived_rules.txt``, read by eye; and why they are so.

To write the file anew: ``python -m tests.catalogue.test_derived_rules``.
"""

from pathlib import Path

import pytest

from pipeline.catalogue import alerts as a
from pipeline.catalogue.derived_alerts import absence_delay_s, allowed_share
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue

GOLDEN = Path(__file__).parent / "derived_rules.txt"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def line(rule: a.AnyRule, catalogue: Catalogue) -> str:
    """Return a rule on one line."""
    said = [rule.id, rule.name, rule.severity, " ".join(rule.scopes)]
    match rule:
        case a.ThresholdRule():
            kpi = catalogue.kpis[rule.kpi]
            least = kpi.min_sample if rule.min_sample is None else rule.min_sample
            side = {"up": "or less", "down": "or more", "zero": "off 0"}[kpi.direction]
            said.append(
                f"{rule.limit:g} {kpi.unit} {side} over {rule.window}, over at {rule.clear:g}, of {least} or more"
            )
        case a.BurnRateRule():
            said.append(f"{rule.factor:g} times over {rule.long} and {rule.short}, of {rule.min_sample or 0} or more")
        case a.AbsenceRule():
            kpi = catalogue.kpis[rule.kpi]
            delay = absence_delay_s(rule, allowed_share(kpi, kpi.target))
            said.append(f"below {rule.below_coverage:g} % of {rule.window} for {delay} s")
        case a.ForecastRule():
            unit = catalogue.kpis[rule.kpi].unit
            said.append(f"like the last {rule.recent}, after {rule.after:g} %, for {rule.hold}")
            said.append(f"over when better by {rule.clear_by:g} {unit} for {rule.clear_for}")
        case a.StatusRule():
            said.append(f"{' or '.join(rule.states)} over {rule.window}, for {rule.hold}")
            said.append(f"over at a score of {rule.clear:g} for {rule.clear_for}")
        case _:
            raise AssertionError(rule)
    return " | ".join([*said, *([f"quiet while {' '.join(rule.quiet_while)}"] if rule.quiet_while else [])])


def written(catalogue: Catalogue) -> str:
    return "".join(f"{line(rule, catalogue)}\n" for rule in catalogue.alerts.values())


def test_the_rules_are_those_that_were_read(catalogue: Catalogue) -> None:
    assert written(catalogue) == GOLDEN.read_text("utf-8")


def window_of(name: str, catalogue: Catalogue) -> str:
    rule = catalogue.alerts[name]
    assert isinstance(rule, a.ThresholdRule)
    return rule.window


def test_what_a_single_day_mostly_has_none_of_is_looked_at_over_a_month(catalogue: Catalogue) -> None:
    """One outage of 90 s would use up a day's budget, one of a minute make the time between failures a day, a Sunday no deployment."""
    for kpi in ("error_budget_remaining", "mtbf", "outages", "deployment_frequency", "incidents", "breaches"):
        assert (
            window_of(f"{kpi}_red", catalogue)
            == window_of(f"{kpi}_amber" if kpi != "breaches" else "breaches_red", catalogue)
            == "30d"
        )
    assert window_of("availability_red", catalogue) == window_of("mttr_red", catalogue) == "24h"


def test_a_single_bad_case_is_no_red_share_and_a_few_cases_are_no_quantile(catalogue: Catalogue) -> None:
    least = {name: rule.min_sample for name, rule in catalogue.alerts.items() if isinstance(rule, a.ThresholdRule)}
    # 1 of 5 is 20 %, at the limit of 80 % success; 1 of 10 reopened at that of 10 %
    assert (least["change_success_rate_red"], least["change_success_rate_amber"]) == (6, 11)
    assert (least["reopen_rate_red"], least["reopen_rate_amber"], least["csat_red"]) == (11, 26, 10)
    assert (least["mttr_p90_red"], least["mttr_p90_amber"], least["mttr_median_red"]) == (10, 10, 2)
    assert least["sync_latency_p95_red"] == 20
    assert least["mttr_red"] is None


def test_a_minute_s_outage_is_no_red_day_and_no_burnt_budget_by_itself(catalogue: Catalogue) -> None:
    """A service that has been checked for eight minutes, 20 s of which it was starting, called three times in as many minutes."""
    least = {name: rule.min_sample for name, rule in catalogue.alerts.items()}
    # seconds of which 60 are more than 1 % and 0.5 %
    assert (least["availability_red"], least["availability_amber"]) == (6_001, 12_001)
    # half of the short window: where less of it is observed, the sources are silent
    assert [least[f"availability_burn_{name}"] for name in ("fast", "slow", "ticket")] == [150, 900, 10_800]


def test_how_many_there_should_be_is_said_of_the_organisation_alone(catalogue: Catalogue) -> None:
    limited = {r.kpi: r.scopes for r in catalogue.alerts.values() if isinstance(r, a.ThresholdRule)}
    assert {kpi for kpi, scopes in limited.items() if scopes == ("org",)} == {
        "active_users", "deployment_frequency", "peak_throughput",
    }  # fmt: skip
    assert limited["incidents"] == limited["stickiness"] == ("org", "service:*")


if __name__ == "__main__":
    GOLDEN.write_text(written(load_catalogue()), "utf-8")
