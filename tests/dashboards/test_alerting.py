"""Grafana's own alerting: files of the shape that 9.4 reads, whose rules say of a real InfluxDB what csf-pulse's say."""

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import pytest
import yaml

from dashboards.alerting import alerting_yaml, left_out
from dashboards.build import boards
from dashboards.policies import RULES_FOLDER, channels_left_out
from pipeline.alerts.book import AlertBook
from pipeline.alerts.conditions import judge_rule
from pipeline.alerts.desk import Desk
from pipeline.catalogue import alerts as a
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue, Service
from pipeline.errors import ConfigError
from pipeline.stores.influx import InfluxStore
from pipeline.stores.influx_lines import tag_value
from pipeline.values import CsfStatus, KpiValue
from tests.dashboards.grafana import Chosen, InfluxQl


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class Range(_Strict):
    from_: int = msgspec.field(name="from")
    to: int


class Query(_Strict):
    ref_id: str
    query_type: str
    relative_time_range: Range
    datasource_uid: Literal["csf-live", "csf-history", "__expr__"]
    model: dict[str, Any]


class Rule(_Strict):
    uid: str
    title: str
    condition: str
    data: list[Query]
    no_data_state: Literal["NoData", "Alerting", "OK"]
    exec_err_state: Literal["Alerting", "Error", "OK"]
    for_: str = msgspec.field(name="for")
    annotations: dict[str, str]
    labels: dict[str, str]


class Group(_Strict):
    org_id: int
    name: str
    folder: str
    interval: str
    rules: list[Rule]


class Receiver(_Strict):
    uid: str
    type: Literal["webhook", "prometheus-alertmanager"]
    settings: dict[str, str]
    disable_resolve_message: bool = False


class ContactPoint(_Strict):
    org_id: int
    name: str
    receivers: list[Receiver]


class Policy(msgspec.Struct, forbid_unknown_fields=True):
    """A notification policy; its keys are written with underscores, unlike those around it."""

    receiver: str
    object_matchers: list[tuple[str, Literal["=", "!=", "=~", "!~"], str]] = []
    group_by: list[str] = []
    group_wait: str | None = None
    group_interval: str | None = None
    repeat_interval: str | None = None
    mute_time_intervals: list[str] = []
    routes: list["Policy"] = []
    continue_: bool = msgspec.field(name="continue", default=False)


class RootPolicy(Policy, forbid_unknown_fields=True, kw_only=True):
    org_id: int = msgspec.field(name="orgId")


class Times(msgspec.Struct, forbid_unknown_fields=True):
    start_time: str
    end_time: str


class TimeInterval(msgspec.Struct, forbid_unknown_fields=True):
    times: list[Times]


class MuteTime(msgspec.Struct, forbid_unknown_fields=True):
    org_id: int = msgspec.field(name="orgId")
    name: str
    time_intervals: list[TimeInterval]


class Deleted(_Strict):
    org_id: int
    uid: str


class File(_Strict):
    """After Grafana's documentation of file provisioning of alerting resources (9.4)."""

    api_version: Literal[1]
    delete_rules: list[Deleted]
    contact_points: list[ContactPoint] = []
    groups: list[Group] = []
    mute_times: list[MuteTime] = []
    policies: list[RootPolicy] = []


def read(catalogue: Catalogue, judge: Any, root: str | None = None) -> File:
    return msgspec.convert(yaml.safe_load(alerting_yaml(catalogue, judge, root)), File)


def by_grafana(catalogue: Catalogue | None = None, **changes: Any) -> Catalogue:
    """Return a catalogue of an organisation that is told by Grafana."""
    found = catalogue or load_catalogue()
    organisation = msgspec.structs.replace(found.organisation, told_by="grafana")
    return msgspec.structs.replace(found, organisation=organisation, **changes)


def rules(file: File) -> Iterator[Rule]:
    for group in file.groups:
        yield from group.rules


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


def test_channels_become_contact_points_and_their_secrets_stay_where_they_are() -> None:
    channels = [
        a.Channel(id="hook", kind="webhook", url_env="HOOK"),
        a.Channel(id="am", kind="alertmanager", url="http://am:9093/$x"),
        a.Channel(id="sec", kind="webhook", url_file="/run/secrets/hook"),
        a.Channel(id="mail", kind="apprise", url_env="MAIL"),
    ]
    catalogue = by_grafana(channels={c.id: c for c in channels})
    told = {p.name: p.receivers[0] for p in read(catalogue, "states").contact_points}
    assert {name: (r.type, r.settings["url"]) for name, r in told.items()} == {
        "csf-pulse hook": ("webhook", "$__env{HOOK}"),
        "csf-pulse am": ("prometheus-alertmanager", "http://am:9093/$$x"),
        "csf-pulse sec": ("webhook", "$__file{/run/secrets/hook}"),
    }
    assert channels_left_out(catalogue) == ["mail"]


# --- who is told ---

SERVICES = [
    Service(id="shop", name="Shop", team="web", tier=1),
    Service(id="blog.x", name="Blog", team="web", tier=3),
    Service(id="mail-in", name="Mail", team="work", tier=1),
]
CHANNELS = [
    a.Channel(id="hook", kind="webhook", url="http://hook"),
    a.Channel(id="am", kind="alertmanager", url="http://am"),
    a.Channel(id="oncall", kind="apprise", url_env="ONCALL", grafana="On-call"),
    a.Channel(id="mail", kind="apprise", url_env="MAIL"),
]
ROUTES = [
    a.Route(id="hush", match=a.Match(csf=["security"], severity=["info"]), channels=[]),
    a.Route(
        id="tier1", match=a.Match(severity=["critical"], tier=[1]), channels=["hook", "mail", "oncall"], group_by=("team",),
        group_wait="5s", group_interval="0s", repeat="0s",
    ),
    a.Route(id="web", match=a.Match(team=["web"]), channels=["hook"], resolved=False),
    a.Route(id="blog", match=a.Match(scope=["service:*"], rule=["mttr_red", "mttr_amber"]), channels=["am"]),
    a.Route(id="teams", match=a.Match(scope=["org"], csf=["reliability", "security"]), channels=["oncall"]),
]  # fmt: skip


def routed() -> Catalogue:
    services, channels = {s.id: s for s in SERVICES}, {c.id: c for c in CHANNELS}
    return by_grafana(services=services, channels=channels, routes=ROUTES)


def template(text: str, labels: dict[str, str]) -> str:
    """Return what Grafana makes of the templates of labels that are used here."""
    if ".Labels.scope }}{{ reReplaceAll" in text:
        return labels["scope"].removeprefix("service:") if labels["scope"].startswith("service:") else ""
    if not text.startswith("{{"):
        return text
    assert text.endswith("{{ end }}")
    for case in re.finditer(r'{{ (?:else )?if eq \.Labels\.(\w+)((?: "[^"]+")+) }}([^{]*)', text):
        if labels[case[1]] in re.findall(r'"([^"]+)"', case[2]):
            return case[3]
    return ""


def takers(policy: Policy, labels: dict[str, str], muted: tuple[str, ...] = ()) -> list[str]:
    """Return the contact points that an alert comes to, as an Alertmanager finds them: the deepest that match."""
    for label, operator, wanted in policy.object_matchers:
        assert operator in {"=", "=~"}
        pattern = re.escape(wanted) if operator == "=" else wanted
        if not re.fullmatch(pattern, labels.get(label, "")):
            return []
    found: list[str] = []
    for child in policy.routes:
        below = takers(child, labels)
        found += below
        if below and not child.continue_:
            break
    return found or ["nobody" if policy.mute_time_intervals else policy.receiver]


def contacts(route: a.Route | None) -> list[str]:
    names = {"hook": "csf-pulse hook", "am": "csf-pulse am", "oncall": "On-call"}
    if route is None or not route.channels:
        return ["nobody"]
    return [names[c] + ("" if route.resolved else " (raises only)") for c in route.channels if c in names]


@pytest.mark.parametrize("judge", ["states", "thresholds"])
def test_policies_bring_every_alert_to_whom_the_routes_say(judge: str) -> None:
    catalogue = routed()
    file = read(catalogue, judge, "Others")
    (root,) = file.policies
    desk = Desk(catalogue, AlertBook(catalogue))
    seen = set()
    for told in rules(file):
        # states and the rules that csf-pulse judges: any rule of that severity; thresholds: the one it is of
        own = told.labels.get("rule")
        of = (
            [catalogue.alerts[own]]
            if own
            else [r for r in catalogue.alerts.values() if r.severity == told.labels["severity"]]
        )
        for rule in of:
            for scope in ("org", "team:web", "service:shop", "service:blog.x", "service:mail-in", "service:new"):
                if not (scope in rule.scopes or f"{scope.partition(':')[0]}:*" in rule.scopes):
                    continue
                found = {"rule": rule.id, "scope": scope}
                labels = {**found, **{name: template(text, found) for name, text in told.labels.items()}}
                labels["grafana_folder"] = RULES_FOLDER
                route = desk.route_of((rule.id, scope))
                assert takers(root, labels) == contacts(route), (rule.id, scope, labels)
                want = {"csf": desk.labels((rule.id, scope))["csf"], "team": desk.labels((rule.id, scope))["team"]}
                assert {name: labels.get(name, "") for name in want} == want
                seen.add(route.id if route else "none")
    assert seen == {"hush", "tier1", "web", "blog", "teams", "none"}
    assert takers(root, {"alertname": "of others", "severity": "critical", "tier": "1"}) == ["Others"]


def test_policies_keep_what_grafana_asks_of_them() -> None:
    """As its validation does: a receiver everywhere, and only ones that exist; no zero intervals; no label twice."""
    file = read(routed(), "states", "Others")
    known = {"Others", "On-call", *(point.name for point in file.contact_points)}
    (mute,) = file.mute_times
    assert [(t.start_time, t.end_time) for i in mute.time_intervals for t in i.times] == [("00:00", "24:00")]
    assert len({r.uid for p in file.contact_points for r in p.receivers}) == len(file.contact_points)
    (root,) = file.policies
    assert not root.object_matchers
    assert not root.mute_time_intervals
    waiting: list[Policy] = [root]
    while waiting:
        policy = waiting.pop()
        assert policy.receiver in known
        assert set(policy.mute_time_intervals) <= {mute.name}
        assert len(set(policy.group_by)) == len(policy.group_by)
        for interval in (policy.group_interval, policy.repeat_interval):
            assert interval is None or (a.duration_s(interval) or 0) > 0
        waiting += policy.routes
    (ours,) = root.routes
    tier1 = ours.routes[1]
    assert (tier1.group_by, tier1.group_wait, tier1.group_interval, tier1.repeat_interval) == (
        ["team"],
        "5s",
        "1s",
        "432000s",
    )
    raises = [p for p in file.contact_points if p.receivers[0].disable_resolve_message]
    assert [p.name for p in raises] == ["csf-pulse hook (raises only)"]


def test_a_route_that_would_tell_nobody_is_refused() -> None:
    mail = a.Route(id="mails", channels=["mail"])
    with pytest.raises(
        ConfigError, match="route 'mails': Grafana has no counterpart of its channels \\(mail\\), so nobody"
    ):
        alerting_yaml(msgspec.structs.replace(routed(), routes=[mail]), "states", "Others")
    assert not read(msgspec.structs.replace(routed(), routes=[mail]), "states").policies  # whoever routes there by hand


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


# --- on a real InfluxDB ---


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
