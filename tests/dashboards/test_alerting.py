"""Grafana's own alerting: its rules are all there, and say of a real InfluxDB what csf-pulse's say."""

import msgspec
import pytest
import yaml

from dashboards.alerting import alerting_yaml, left_out
from dashboards.build import boards
from pipeline.alerts.conditions import judge_rule
from pipeline.catalogue import alerts as a
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx import InfluxStore
from pipeline.stores.influx_lines import tag_value
from pipeline.values import CsfStatus, KpiValue
from tests.dashboards.alerting_file import Rule, by_grafana, read, rules
from tests.dashboards.grafana import Chosen, InfluxQl


@pytest.mark.parametrize("judge", ["states", "thresholds"])
def test_the_file_has_the_shape_that_grafana_reads(judge: str) -> None:
    catalogue = by_grafana()
    file = read(catalogue, judge)
    assert alerting_yaml(catalogue, judge) == alerting_yaml(catalogue, judge)
    found = list(rules(file))
    assert len({r.uid for r in found}) == len({r.title for r in found}) == len(found)
    assert all(len(r.uid) <= 40 for r in found)
    titles = {board.title for board in boards(catalogue).values()}
    assert not {g.folder for g in file.groups} & {*titles, "csf-pulse"}
    for rule in found:
        assert [q.ref_id for q in rule.data] == ["A", "B", "C"]
        assert all(q.model["refId"] == q.ref_id for q in rule.data)
        assert rule.labels["severity"] in a.SEVERITIES
        # Grafana reads $ as the beginning of a variable
        assert "$" not in yaml.safe_dump(msgspec.to_builtins(rule)).replace("$$", "")
        assert a.duration_s(rule.for_) is not None


def test_every_rule_is_there_or_said_by_csf_pulse() -> None:
    catalogue = by_grafana()
    found = list(rules(read(catalogue, "thresholds")))
    told = {rule.labels["rule"] for rule in found if "rule" in rule.labels}
    said = [rule.data[0].model["query"] for rule in found if "rule" not in rule.labels]
    assert len(said) == len(a.SEVERITIES)
    assert all(f'"rule" =~ /^({"|".join(left_out(catalogue))})$$/' in query for query in said)
    assert told | set(left_out(catalogue)) == set(catalogue.alerts)
    assert not told & set(left_out(catalogue))
    assert {"mttr_red", "mttr_amber", "reliability_concern"} <= told
    assert "availability_burn_fast" in left_out(catalogue)


def test_a_limit_of_ones_own_is_the_limit_there() -> None:
    catalogue = load_catalogue()
    slow = a.ThresholdRule(id="slow", kpi="mttr", limit=7.5, window="7d", scopes=("service:a$b", "team:*"), hold="10m")
    own = by_grafana(catalogue, alerts={"slow": slow})
    (rule,) = rules(read(own, "thresholds"))
    assert rule.for_ == "10m"
    assert rule.data[0].relative_time_range.from_ == 7 * 86_400
    assert '("scope" =~ /^team:/ OR "scope" = \'service:a$$b\')' in rule.data[0].model["query"]
    (condition,) = rule.data[2].model["conditions"]
    assert condition["evaluator"] == {"type": "gt", "params": [pytest.approx(7.5, abs=1e-8)]}
    assert condition["evaluator"]["params"][0] < 7.5


def test_nobody_is_called_twice() -> None:
    """Where csf-pulse tells people, its rules are taken out of Grafana; where the judge changes, those of the other."""
    catalogue = load_catalogue()
    file = read(catalogue, "states", "Others")
    assert [*file.groups, *file.policies, *file.contact_points] == []
    every = {d.uid for d in file.delete_rules}
    for judge in ("states", "thresholds"):
        kept = read(by_grafana(catalogue), judge)
        uids = {rule.uid for rule in rules(kept)}
        assert uids | {d.uid for d in kept.delete_rules} == every
        assert not uids & {d.uid for d in kept.delete_rules}


def fires(rule: Rule, influxql: InfluxQl) -> set[tuple[str, ...]]:
    """Return the label values of the series for which a rule holds, as Grafana works it out: query, last value, comparison."""
    query, _, threshold = rule.data
    text = Chosen({}, 0, 0).fill(query.model["query"].replace("$$", "$"))
    (condition,) = threshold.model["conditions"]
    kind, limits = condition["evaluator"]["type"], condition["evaluator"]["params"]
    found = set()
    for series in influxql.series(query.datasource_uid, text):
        last = [v[1] for v in series["values"] if v[1] is not None][-1]
        beyond = {
            "gt": last > limits[0],
            "lt": last < limits[0],
            "within_range": len(limits) > 1 and limits[0] < last < limits[1],
            "outside_range": len(limits) > 1 and not limits[0] <= last <= limits[1],
        }[kind]
        if beyond:
            found.add(tuple(series["tags"].values()))
    return found


class InForce:
    """The newest values of one scope, as alerting would have them."""

    def __init__(self, store: InfluxStore, scope: str) -> None:
        windows = ("24h", "7d", "30d")
        self._values = {(v.kpi, w): v for w in windows for v in store.live(window=w, scopes=[scope])}
        self._statuses = {(s.csf, w): s for w in windows for s in store.statuses(period=w, scopes=[scope], latest=True)}

    def value(self, kpi: str, period: str) -> KpiValue | None:
        return self._values.get((kpi, period))

    def status(self, csf: str, window: str) -> CsfStatus | None:
        return self._statuses.get((csf, window))


@pytest.mark.services
def test_grafana_by_thresholds_finds_what_our_rules_find(
    influxql: InfluxQl, store: InfluxStore, organisation: Catalogue
) -> None:
    scopes = [s for s in store.scopes() if s == "org" or s.startswith("service:")]
    now = {scope: InForce(store, scope) for scope in scopes}

    def holds(rule: a.AnyRule, scope: str) -> bool:
        said = judge_rule(rule, organisation, now[scope], 0.0).holds is True
        return said and not any(holds(organisation.alerts[other], scope) for other in rule.quiet_while)

    held = 0
    for told in rules(read(by_grafana(organisation), "thresholds")):
        if "rule" not in told.labels:
            continue  # what csf-pulse says of the others
        rule = organisation.alerts[told.labels["rule"]]
        if isinstance(rule, a.ThresholdRule) and rule.kpi == "mtta":
            continue  # the store holds a newer definition of it than the catalogue
        mine = scopes if "service:*" in rule.scopes else ["org"]
        want = {(tag_value(scope),) for scope in mine if holds(rule, scope)}
        assert fires(told, influxql) == want, rule.id
        held += len(want)
    assert held > 10


@pytest.mark.services
def test_grafana_by_states_finds_what_is_open(influxql: InfluxQl, store: InfluxStore, organisation: Catalogue) -> None:
    found = {rule.labels["severity"]: fires(rule, influxql) for rule in rules(read(by_grafana(organisation), "states"))}
    assert {severity: {rule for rule, _ in open_} for severity, open_ in found.items()} == {
        "critical": {"mttr_red"}, "warning": {"csat_amber"}, "info": {"nps_forecast"},
    }  # fmt: skip
