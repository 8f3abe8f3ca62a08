"""Who is told by Grafana: contact points and notification policies bring every alert to whom the routes say."""

import re

import msgspec
import pytest

from dashboards.alerting import alerting_yaml
from dashboards.policies import RULES_FOLDER, channels_left_out
from pipeline.alerts.book import AlertBook
from pipeline.alerts.desk import Desk
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue, Service
from pipeline.errors import ConfigError
from tests.dashboards.alerting_file import Policy, by_grafana, read, rules

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
