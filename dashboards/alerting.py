"""Grafana's own alerting, for who wants it: contact points and alert rules as provisioning files of the format of Grafana 9.4.

Two ways. *states*: Grafana is told what csf-pulse's alerting says, every rule of it, and only routes. *thresholds*: Grafana
judges by itself, by the catalogue's limits; burn rates, absence, forecasts, trends, clear limits, data clocks and maintenance it
does not know. Policies are not written: Grafana would put them in the place of those that are there.

In these files Grafana reads ``$`` as the beginning of a variable; ours are doubled, and templates go without.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Literal

import yaml

from dashboards.alert_queries import open_by_rule
from dashboards.model import DataSource
from dashboards.panels import HISTORY_SOURCE, LIVE_SOURCE
from dashboards.queries import holding_status, known_values
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.stores.influx_lines import LEVELS
from pipeline.values import WINDOWS

#: the folder of rules; no board and no other folder has this title
RULES_FOLDER = "csf-pulse rules"
Judge = Literal["states", "thresholds"]
Evaluator = dict[str, Any]

_EXPRESSION = {"type": "__expr__", "uid": "__expr__"}
_UID_LENGTH = 40
#: Grafana compares with beyond; a value at the limit is beyond one that is less by this
_AT = 1e-9


def alerting_yaml(catalogue: Catalogue, judge: Judge) -> str:
    """Return the provisioning file: contact points of the catalogue's channels, and rules."""
    rules = _states() if judge == "states" else _thresholds(catalogue)
    groups = [
        {"orgId": 1, "name": name, "folder": RULES_FOLDER, "interval": "1m", "rules": found}
        for name, found in rules.items()
        if found
    ]
    whole = {"apiVersion": 1, "contactPoints": _contact_points(catalogue), "groups": groups}
    return "# Written by csf dashboards provision --alerting; it is replaced when that runs again.\n" + yaml.safe_dump(
        _doubled(whole), sort_keys=False, allow_unicode=True, width=10_000
    )


def left_out(catalogue: Catalogue) -> list[str]:
    """Return the ids of rules that Grafana cannot judge by itself."""
    return [rule.id for rule in catalogue.alerts.values() if not _is_judged(rule)]


def channels_left_out(catalogue: Catalogue) -> list[str]:
    """Return the ids of channels that are no contact point of Grafana."""
    return [channel.id for channel in catalogue.channels.values() if channel.kind == "apprise"]


# --- contact points ---


def _contact_points(catalogue: Catalogue) -> list[dict[str, Any]]:
    kinds = {"webhook": "webhook", "alertmanager": "prometheus-alertmanager"}
    return [
        {
            "orgId": 1,
            "name": f"csf-pulse {channel.id}",
            "receivers": [{"uid": _uid("channel", channel.id), "type": kinds[channel.kind], "settings": _settings(channel)}],
        }
        for channel in catalogue.channels.values()
        if channel.kind in kinds
    ]  # fmt: skip


class _Reference(str):
    """What Grafana itself shall fill in: its ``$`` stays."""

    __slots__ = ()


def _settings(channel: a.Channel) -> dict[str, Any]:
    if channel.url is not None:
        url = channel.url
    elif channel.url_env is not None:
        url = _Reference(f"$__env{{{channel.url_env}}}")
    else:
        url = _Reference(f"$__file{{{channel.url_file}}}")
    return {"url": url, "httpMethod": "POST"} if channel.kind == "webhook" else {"url": url}


def _doubled(part: Any) -> Any:
    """Return a part of the file in which no text of ours is read as a variable."""
    if isinstance(part, dict):
        return {key: _doubled(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_doubled(value) for value in part]
    if isinstance(part, _Reference):
        return str(part)
    return part.replace("$", "$$") if isinstance(part, str) else part


def _uid(*names: str) -> str:
    """Return a uid: the names where they are short and plain, else a digest of them."""
    text = "-".join(("csf", *names))
    if len(text) <= _UID_LENGTH and text.replace("-", "").replace("_", "").isalnum() and text.isascii():
        return text
    return f"csf-{blake2b(text.encode(), digest_size=12).hexdigest()}"


# --- rules ---


def _states() -> dict[str, list[dict[str, Any]]]:
    """Return a rule a severity over the alerts that csf-pulse says are open."""
    return {
        "csf-pulse": [
            _rule(
                _uid("open", severity),
                f"csf-pulse: {severity}",
                HISTORY_SOURCE,
                open_by_rule(level),
                {"type": "gt", "params": [0]},
                labels={"severity": severity},
                annotations={"summary": "{{ .Labels.rule }} of {{ .Labels.scope }}"},
            )
            for severity, level in LEVELS.items()
        ]
    }


def _is_judged(rule: a.AnyRule) -> bool:
    if isinstance(rule, a.StatusRule):
        return "unknown" not in rule.states
    return isinstance(rule, a.ThresholdRule) and not rule.min_coverage


def _thresholds(catalogue: Catalogue) -> dict[str, list[dict[str, Any]]]:
    """Return the rules that Grafana can judge by the catalogue's limits, a group a CSF."""
    groups: dict[str, list[dict[str, Any]]] = {csf.name: [] for csf in catalogue.csfs.values()}
    for rule in catalogue.alerts.values():
        if not _is_judged(rule):
            continue
        if isinstance(rule, a.StatusRule):
            csf = catalogue.csfs[rule.csf]
            query = holding_status(rule.csf, rule.window, rule.scopes, rule.states)
            told = _told(rule, csf.name, {"csf": csf.id})
            groups[csf.name].append(
                _rule(_uid(rule.id), told["title"], LIVE_SOURCE, query, {"type": "gt", "params": [0]}, rule.window, rule.hold, **told["more"])
            )  # fmt: skip
        elif isinstance(rule, a.ThresholdRule):
            kpi = catalogue.kpis[rule.kpi]
            least = kpi.min_sample if rule.min_sample is None else rule.min_sample
            query = known_values(kpi.id, kpi.version, rule.window, rule.scopes, least)
            told = _told(rule, kpi.name, {"csf": kpi.csf, "kpi": kpi.id})
            groups[catalogue.csfs[kpi.csf].name].append(
                _rule(_uid(rule.id), told["title"], LIVE_SOURCE, query, _evaluator(rule, kpi, catalogue), rule.window, rule.hold, **told["more"])
            )  # fmt: skip
    return groups


def _told(rule: a.AnyRule, what: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return how a rule is called, and its labels and annotations."""
    annotations = {
        "summary": f"{rule.name or rule.id}: {{{{ .Labels.scope }}}}",
        "description": rule.description or f"{what}: rule {rule.id} of csf-pulse's catalogue.",
        **({"runbook_url": rule.runbook} if rule.runbook else {}),
    }
    owner = {"owner": rule.owner} if rule.owner else {}
    labels = {"rule": rule.id, "severity": rule.severity, **labels, **owner}
    return {"title": rule.name or rule.id, "more": {"labels": labels, "annotations": annotations}}


def _evaluator(rule: a.ThresholdRule, kpi: Kpi, catalogue: Catalogue) -> Evaluator:
    """Return when a value is at the limit or beyond; not where a rule of the same values that says more holds."""
    limit = rule.limit
    if kpi.direction == "zero":
        return {"type": "outside_range", "params": [-(abs(limit) - _AT), abs(limit) - _AT]}
    down = kpi.direction == "down"
    worse = [
        other.limit
        for name in rule.quiet_while
        if isinstance(other := catalogue.alerts.get(name), a.ThresholdRule)
        and (other.kpi, other.window, other.scopes) == (rule.kpi, rule.window, rule.scopes)
    ]
    if not worse:
        return {"type": "gt", "params": [limit - _AT]} if down else {"type": "lt", "params": [limit + _AT]}
    if down:
        return {"type": "within_range", "params": [limit - _AT, min(worse) - _AT]}
    return {"type": "within_range", "params": [max(worse) + _AT, limit + _AT]}


def _rule(
    uid: str, title: str, source: DataSource, query: str, evaluator: Evaluator, window: str = "1h", hold: str = "0s", *,
    labels: dict[str, str], annotations: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    """Return a rule: a query (A), the last value of each of its series (B), and a comparison (C)."""
    seconds = {"from": WINDOWS[window], "to": 0}
    return {
        "uid": uid,
        "title": title,
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "queryType": "",
                "relativeTimeRange": seconds,
                "datasourceUid": source.uid,
                "model": {
                    "refId": "A",
                    "datasource": {"type": source.type, "uid": source.uid},
                    "query": query,
                    "rawQuery": True,
                    "resultFormat": "time_series",
                    "intervalMs": 60_000,
                    "maxDataPoints": 43_200,
                },
            },
            _step("B", {"type": "reduce", "expression": "A", "reducer": "last", "settings": {"mode": "dropNN"}}),
            _step("C", {"type": "threshold", "expression": "B", "conditions": [_condition(evaluator)]}),
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": hold,
        "annotations": annotations,
        "labels": labels,
    }


def _step(ref: str, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": ref,
        "queryType": "",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {"refId": ref, "datasource": _EXPRESSION, **model},
    }


def _condition(evaluator: Evaluator) -> dict[str, Any]:
    return {
        "type": "query",
        "evaluator": evaluator,
        "operator": {"type": "and"},
        "query": {"params": ["C"]},
        "reducer": {"type": "last", "params": []},
    }
