"""Contact points and notification policies of Grafana 9.4, made of the catalogue's channels and routes.

Policies match labels, and so rules carry what routes ask for: ``service``, ``team`` and ``tier`` follow from ``scope`` and,
where Grafana is told of open alerts only, ``csf`` and ``kpi`` from ``rule``; Grafana's templates work them out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from dashboards.model import Json
from pipeline.alerts.matching import place_of
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.stores.influx_lines import tag_value

#: the folder of rules; no board and no other folder has this title
RULES_FOLDER = "csf-pulse rules"
#: what a Grafana that was never told otherwise has
DEFAULT_CONTACT = "grafana-default-email"
#: a mute timing that is always on: Grafana has no contact point that tells nobody
NOBODY = "csf-pulse: nobody is told"
#: a repeat interval must be above 0; Grafana forgets after five days whom it told, and tells again then, seconds
_NEVER_S = 120 * 3_600
_KINDS = {"webhook": "webhook", "alertmanager": "prometheus-alertmanager"}
_UID_LENGTH = 40


class Reference(str):
    """What Grafana itself shall fill in: its ``$`` stays."""

    __slots__ = ()


def uid(*names: str) -> str:
    """Return a uid: the names where they are short and plain, else a digest of them."""
    text = "-".join(("csf", *names))
    if len(text) <= _UID_LENGTH and text.replace("-", "").replace("_", "").isalnum() and text.isascii():
        return text
    return f"csf-{blake2b(text.encode(), digest_size=12).hexdigest()}"


# --- contact points ---


def channels_left_out(catalogue: Catalogue) -> list[str]:
    """Return the ids of channels that neither are nor name a contact point of Grafana."""
    return [channel.id for channel in catalogue.channels.values() if not _names(channel)]


def contact_points(catalogue: Catalogue) -> list[Json]:
    """Return the contact points of channels; where a route tells no clears, another that does not either."""
    quiet = {name for route in catalogue.routes if not route.resolved for name in route.channels}
    loud = {name for route in catalogue.routes if route.resolved for name in route.channels}
    return [
        _contact_point(channel, resolved=resolved)
        for channel in catalogue.channels.values()
        if channel.kind in _KINDS and channel.grafana is None
        for resolved in (True, False)
        if (channel.id in loud or channel.id not in quiet if resolved else channel.id in quiet)
    ]


def _contact_point(channel: a.Channel, *, resolved: bool) -> Json:
    own = uid("channel", channel.id) if resolved else uid("channel", channel.id, "raises")
    receiver = {"uid": own, "type": _KINDS[channel.kind], "settings": _settings(channel)}
    return {
        "orgId": 1,
        "name": _name(channel, resolved=resolved),
        "receivers": [receiver if resolved else {**receiver, "disableResolveMessage": True}],
    }


def _names(channel: a.Channel) -> bool:
    return channel.grafana is not None or channel.kind in _KINDS


def _name(channel: a.Channel, *, resolved: bool) -> str:
    if channel.grafana is not None:
        return channel.grafana
    return f"csf-pulse {channel.id}" if resolved else f"csf-pulse {channel.id} (raises only)"


def _settings(channel: a.Channel) -> Json:
    if channel.url is not None:
        url = channel.url
    elif channel.url_env is not None:
        url = Reference(f"$__env{{{channel.url_env}}}")
    else:
        url = Reference(f"$__file{{{channel.url_file}}}")
    return {"url": url, "httpMethod": "POST"} if channel.kind == "webhook" else {"url": url}


# --- policies ---


def policies(catalogue: Catalogue, root: str) -> list[Json]:
    """Return the whole tree of policies: the root for what is of others, and below it the catalogue's routes for our rules.

    Args:
        catalogue: whose routes are told, the first that matches as here; what none takes is told to nobody.
        root: the contact point of what is not of our rules.

    Raises:
        ConfigError: a route would tell nobody, since no channel of it is or names a contact point of Grafana.
    """
    ours: Json = {
        "receiver": root,
        "object_matchers": [["grafana_folder", "=", RULES_FOLDER]],
        "routes": [*(_policy(route, catalogue, root) for route in catalogue.routes), _to_nobody(root, [])],
    }
    return [{"orgId": 1, "receiver": root, "group_by": ["grafana_folder", "alertname"], "routes": [ours]}]


def mute_times() -> list[Json]:
    """Return the mute timing of what nobody is told of."""
    return [{"orgId": 1, "name": NOBODY, "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]}]


def _to_nobody(root: str, matchers: list[list[str]]) -> Json:
    policy: Json = {"receiver": root, "mute_time_intervals": [NOBODY]}
    return {**policy, "object_matchers": matchers} if matchers else policy


def _policy(route: a.Route, catalogue: Catalogue, root: str) -> Json:
    matchers = _matchers(route.match)
    if not route.channels:
        return _to_nobody(root, matchers)
    channels = [catalogue.channels[name] for name in route.channels if _names(catalogue.channels[name])]
    if not channels:
        raise ConfigError(
            f"route '{route.id}': Grafana has no counterpart of its channels ({', '.join(route.channels)}), so nobody would"
            " be told; name the contact point that stands for one of them with the key 'grafana' in channels.yaml"
        )
    told = [_name(channel, resolved=route.resolved) for channel in channels]
    policy: Json = {
        "receiver": told[0],
        **({"object_matchers": matchers} if matchers else {}),
        "group_by": list(route.group_by),
        "group_wait": route.group_wait,
        "group_interval": "1s" if a.duration_s(route.group_interval) == 0 else route.group_interval,
        "repeat_interval": f"{_repeat_s(route)}s",
    }
    if len(told) > 1:  # each of them takes what the route takes
        policy["routes"] = [{"receiver": name, "continue": name != told[-1]} for name in told]
    return policy


def _repeat_s(route: a.Route) -> int:
    """Return the repeat interval of a policy, seconds: that of the most urgent alerts which its route takes."""
    severities = route.match.severity or a.SEVERITIES
    return min(route.repeat_s(severity) or _NEVER_S for severity in severities)


def _matchers(match: a.Match) -> list[list[str]]:
    """Return label, operator, value of what a route matches; Grafana's patterns match as a whole."""
    found: list[list[str]] = []
    for name in ("severity", "tier", "team", "csf", "rule", "scope"):
        values = getattr(match, name)
        if values is not None:
            texts = [str(value) if name == "tier" else tag_value(value) for value in values]
            found.append([name, "=~", "|".join(_pattern(name, text) for text in texts)])
    return found


def _pattern(name: str, text: str) -> str:
    if name == "scope" and text.endswith(":*"):
        return re.escape(text.removesuffix("*")) + ".*"
    return re.escape(text)


# --- labels ---


def labels_of_scope(catalogue: Catalogue) -> dict[str, str]:
    """Return templates of ``service``, ``team`` and ``tier``, by the label ``scope``; empty where a scope has none."""
    services = catalogue.services.values()
    scopes = [*(f"service:{s.id}" for s in services), *dict.fromkeys(f"team:{s.team}" for s in services)]
    places = {tag_value(scope): place_of(scope, catalogue) for scope in scopes}
    found = {
        "team": _chosen("scope", ((scope, tag_value(team)) for scope, (team, _) in places.items() if team)),
        "tier": _chosen("scope", ((scope, str(tier)) for scope, (_, tier) in places.items() if tier is not None)),
    }
    service = '{{ if match "^service:" .Labels.scope }}{{ reReplaceAll "^service:" "" .Labels.scope }}{{ end }}'
    return {"service": service, **{name: text for name, text in found.items() if text}}


def labels_of_rule(catalogue: Catalogue) -> dict[str, str]:
    """Return templates of ``csf`` and ``kpi``, by the label ``rule``."""
    rules = catalogue.alerts.values()
    kpis = {rule.id: "" if isinstance(rule, a.StatusRule) else rule.kpi for rule in rules}
    csfs = {rule.id: rule.csf if isinstance(rule, a.StatusRule) else catalogue.kpis[rule.kpi].csf for rule in rules}
    found = {"csf": _chosen("rule", csfs.items()), "kpi": _chosen("rule", ((r, k) for r, k in kpis.items() if k))}
    return {name: text for name, text in found.items() if text}


def _chosen(label: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return the template that stands for a text by a label's value; empty where there is nothing to choose from."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for value, text in pairs:
        by_text[text].append(value)
    if not by_text:
        return ""
    cases = [
        f"{{{{ {'if' if not n else 'else if'} eq .Labels.{label} {' '.join(_quoted(v) for v in values)} }}}}{text}"
        for n, (text, values) in enumerate(by_text.items())
    ]
    return f"{''.join(cases)}{{{{ end }}}}"


def _quoted(text: str) -> str:
    """Return a text as a string of Go's templates; armoured tags hold neither backslash nor the end of a line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def doubled(part: Any) -> Any:
    """Return a part of a file in which no text of ours is read as a variable."""
    if isinstance(part, dict):
        return {key: doubled(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [doubled(value) for value in part]
    if isinstance(part, Reference):
        return str(part)
    return part.replace("$", "$$") if isinstance(part, str) else part
