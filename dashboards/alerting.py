"""Grafana's own alerting, for who wants it: contact points, policies and alert rules as a provisioning file for Grafana 9.4.

Two ways. *states*: Grafana is told what csf-pulse's alerting says, every rule of it, and only routes. *thresholds*: Grafana
judges by itself, by the catalogue's limits, what it can; clear limits, data clocks and maintenance it does not know. Of the other rules
(burn rates, absence, forecasts, trends) it is told what csf-pulse says.

Where csf-pulse tells people itself, the file takes our rules out of Grafana: nobody shall be called twice. In these files Grafana reads
``$`` as the beginning of a variable; ours are doubled, and templates go without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import yaml

from dashboards.alert_queries import open_by_rule
from dashboards.model import DataSource, Json
from dashboards.panels import HISTORY_SOURCE, LIVE_SOURCE
from dashboards.policies import (
    RULES_FOLDER,
    contact_points,
    doubled,
    labels_of_rule,
    labels_of_scope,
    mute_times,
    policies,
    uid,
)
from dashboards.queries import holding_status, known_values
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.stores.influx_lines import LEVELS
from pipeline.values import WINDOWS

Judge = Literal["states", "thresholds"]
Evaluator = dict[str, Any]

_EXPRESSION = {"type": "__expr__", "uid": "__expr__"}
#: Grafana compares with beyond; a value at the limit is beyond one that is less by this
_AT = 1e-9


def alerting_yaml(catalogue: Catalogue, judge: Judge, root: str | None = None) -> str:
    """Return the provisioning file.

    Args:
        catalogue: its organisation says who tells people; where that is csf-pulse, the file takes our rules out.
        judge: who judges the catalogue's thresholds.
        root: the contact point of alerts that are not ours; where given, policies by the catalogue's routes are written.

    Raises:
        ConfigError: a route would tell nobody.
    """
    groups = _states(catalogue) if judge == "states" else _thresholds(catalogue)
    parts: Json
    if catalogue.organisation.told_by == "grafana":
        policies_too = {} if root is None else {"muteTimes": mute_times(), "policies": policies(catalogue, root)}
        rules = [
            {"orgId": 1, "name": name, "folder": RULES_FOLDER, "interval": "1m", "rules": found}
            for name, found in groups.items()
            if found
        ]
        kept = {rule["uid"] for found in groups.values() for rule in found}
        parts = {"contactPoints": contact_points(catalogue), **policies_too, "groups": rules}
    else:
        kept, parts = set(), {}
    gone = [{"orgId": 1, "uid": name} for name in _everyuid(catalogue) if name not in kept]
    whole = {"apiVersion": 1, **parts, "deleteRules": gone}
    return "# Written by csf dashboards provision --alerting; it is replaced when that runs again.\n" + yaml.safe_dump(
        doubled(whole), sort_keys=False, allow_unicode=True, width=10_000
    )


def _everyuid(catalogue: Catalogue) -> list[str]:
    """Return the uids of all rules that this catalogue can make in Grafana."""
    every = {**_states(catalogue), **_thresholds(catalogue)}
    return sorted({rule["uid"] for found in every.values() for rule in found} | {_openuid(s) for s in a.SEVERITIES})


def left_out(catalogue: Catalogue) -> list[str]:
    """Return the ids of rules that Grafana cannot judge by itself."""
    return [rule.id for rule in catalogue.alerts.values() if not _is_judged(rule)]


# --- rules ---


def _openuid(severity: str) -> str:
    return uid("open", severity)


def _states(catalogue: Catalogue, only: Sequence[str] | None = None) -> dict[str, list[Json]]:
    """Return a rule a severity over the alerts that csf-pulse says are open; ``only``: of some rules."""
    labels = {**labels_of_rule(catalogue), **labels_of_scope(catalogue)}
    found = [
        _rule(
            _openuid(severity),
            f"csf-pulse: {severity}",
            HISTORY_SOURCE,
            open_by_rule(level, only),
            {"type": "gt", "params": [0]},
            labels={"severity": severity, **labels},
            annotations={"summary": "{{ .Labels.rule }} of {{ .Labels.scope }}"},
        )
        for severity, level in LEVELS.items()
        if only is None or only
    ]
    return {"csf-pulse": found}


def _is_judged(rule: a.AnyRule) -> bool:
    if isinstance(rule, a.StatusRule):
        return "unknown" not in rule.states
    return isinstance(rule, a.ThresholdRule) and not rule.min_coverage


def _thresholds(catalogue: Catalogue) -> dict[str, list[dict[str, Any]]]:
    """Return the rules that Grafana can judge by the catalogue's limits, a group a CSF."""
    groups: dict[str, list[dict[str, Any]]] = {csf.name: [] for csf in catalogue.csfs.values()}
    of_scope = labels_of_scope(catalogue)
    for rule in catalogue.alerts.values():
        if not _is_judged(rule):
            continue
        places = {} if rule.scopes == ("org",) else of_scope
        if isinstance(rule, a.StatusRule):
            csf = catalogue.csfs[rule.csf]
            query = holding_status(rule.csf, rule.window, rule.scopes, rule.states)
            told = _told(rule, csf.name, {"csf": csf.id, **places})
            groups[csf.name].append(
                _rule(uid(rule.id), told["title"], LIVE_SOURCE, query, {"type": "gt", "params": [0]}, rule.window, rule.hold, **told["more"])
            )  # fmt: skip
        elif isinstance(rule, a.ThresholdRule):
            kpi = catalogue.kpis[rule.kpi]
            least = kpi.min_sample if rule.min_sample is None else rule.min_sample
            query = known_values(kpi.id, kpi.version, rule.window, rule.scopes, least)
            told = _told(rule, kpi.name, {"csf": kpi.csf, "kpi": kpi.id, **places})
            groups[catalogue.csfs[kpi.csf].name].append(
                _rule(uid(rule.id), told["title"], LIVE_SOURCE, query, _evaluator(rule, kpi, catalogue), rule.window, rule.hold, **told["more"])
            )  # fmt: skip
    return {**groups, **_states(catalogue, left_out(catalogue))}


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
