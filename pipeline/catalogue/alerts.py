"""The vocabulary of alerting: rules, the channels that carry notifications, and the routes that choose them.

A rule says when a KPI or CSF of a scope is to be told of; each *kind* is one way to look at it. Windows are rolling
ones (``pipeline.values.WINDOWS``); durations are texts such as ``5m`` or ``4h``. Percentages are 0-100.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Severity = Literal["critical", "warning", "info"]
#: From the most urgent on.
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
#: What fires is told again after so long, seconds, unless its route says otherwise; 0: never. What is not urgent, such as a
#: month that will miss its target, stays so for weeks, and whoever is told of it six times a day reads none of it.
REPEAT_S: dict[Severity, int] = {"critical": 4 * 3_600, "warning": 86_400, "info": 0}

_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def duration_s(text: str) -> int | None:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``4h`` or ``7d``; None for what is none."""
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _UNIT_S[found[2]] if found else None


class Rule(
    msgspec.Struct, tag_field="kind", frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}
):
    """What every rule says; each subclass is one ``kind``.

    Attributes:
        scopes: ``org``, ``team:ID``, ``service:ID``, or ``team:*`` and ``service:*`` for each of them.
        severity: how urgent it is; routes choose channels by it.
        hold: (key ``for``) how long the condition must hold before it is raised.
        clear_for: how long it must be over before what fires is.
        min_sample: below this sample size nothing is known (default: the KPI's own).
        min_coverage: below this coverage in percent nothing is known, where a source says its coverage.
        quiet_while: rules that, firing for the same scope, make this one hold its tongue.
        owner: who is to act (default: the KPI's owner).
        runbook: address of what is to be done.
        enabled: false switches a rule off, also one that follows from thresholds.
        derived: set by the loader: the rule follows from the catalogue's thresholds and targets.
    """

    id: str
    name: str = ""
    description: str = ""
    scopes: tuple[str, ...] = ("org", "service:*")
    severity: Severity = "warning"
    hold: str = "0s"
    clear_for: str = "0s"
    min_sample: int | None = None
    min_coverage: float = 0.0
    quiet_while: tuple[str, ...] = ()
    owner: str | None = None
    runbook: str | None = None
    enabled: bool = True
    derived: bool = False

    @property
    def hold_s(self) -> int:
        """Seconds for which the condition must hold."""
        return duration_s(self.hold) or 0

    @property
    def clear_s(self) -> int:
        """Seconds for which it must be over."""
        return duration_s(self.clear_for) or 0


class KpiRule(Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}):
    """What every rule over a KPI says."""

    kpi: str


class ThresholdRule(
    KpiRule, tag="threshold", frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}
):
    """The KPI's value over a window is at a limit or beyond it, in the KPI's bad direction.

    Attributes:
        limit: in the KPI's unit (direction ``zero``: a distance from 0).
        clear: it is over when the value is better than this (default: the limit); never worse than the limit.
    """

    limit: float
    window: str = "24h"
    clear: float | None = None


class AbsenceRule(
    KpiRule, tag="absence", frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}
):
    """The sources of a KPI deliver nothing, or too little of the time, over a window.

    Attributes:
        below_coverage: percent of the window that the sources must have delivered.
        budget_share: without ``for``, the delay is the time in which a source that fell silent, were it all
            failures, would burn this percentage of the 30-day error budget.
    """

    window: str = "5m"
    below_coverage: float = 50.0
    budget_share: float = 10.0


class StatusRule(Rule, tag="status", frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}):
    """The status of a CSF over a window is one of some states.

    Attributes:
        clear: it is over at this score or a better one (default: at any status that is none of the states).
    """

    csf: str
    window: str = "24h"
    states: tuple[Literal["at_risk", "concern", "unknown"], ...] = ("concern",)
    clear: float | None = None


class ForecastRule(
    KpiRule, tag="forecast", frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}
):
    """The month will miss its target if its rest goes like a recent window.

    Attributes:
        recent: the rolling window that stands for the rest of the month.
        after: percent of the month that must have passed, earlier than that it is too early to tell.
        clear_by: it is over when the forecast is better than the target by so much, in the KPI's unit.
    """

    recent: str = "7d"
    after: float = 25.0
    clear_by: float = 0.0


class TrendRule(KpiRule, tag="trend", frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}):
    """The KPI over a recent window is worse than over a longer one by some percent of the longer one's value.

    Attributes:
        worse_by: percent; clear_below: it is over below this percentage (default: ``worse_by``).
    """

    worse_by: float
    recent: str = "24h"
    baseline: str = "7d"
    clear_below: float | None = None


class BurnRateRule(
    KpiRule, tag="burn_rate", frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"hold": "for"}
):
    """The error budget of a ratio objective burns ``factor`` times too fast, over a long window and still over a short one.

    Multi-window, multi-burn-rate: The Site Reliability Workbook (Beyer et al., 2018), chapter 5, approach 6. The burn
    rate is the share of bad events divided by the share that the target allows, 1 - target.
    """

    long: str
    short: str
    factor: float


AnyRule = ThresholdRule | AbsenceRule | StatusRule | ForecastRule | TrendRule | BurnRateRule


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where notifications go. Addresses with secrets in them come from the environment or from files.

    Attributes:
        kind: ``apprise`` (mail, chat, SMS, paging by an Apprise URL), ``webhook`` (signed JSON), or ``alertmanager``.
        url: the address, where nothing in it is secret; else url_env or url_file name where it is.
        secret_env, secret_file: key of a webhook's signature.
        expire_after: a notification older than this is not delivered any more but marked expired.
        grafana: the contact point in Grafana that stands for it where Grafana tells people (default: one that is made).
    """

    id: str
    kind: Literal["apprise", "webhook", "alertmanager"]
    url: str | None = None
    url_env: str | None = None
    url_file: str | None = None
    secret_env: str | None = None
    secret_file: str | None = None
    expire_after: str = "24h"
    grafana: str | None = None

    @property
    def expire_s(self) -> int:
        """Seconds after which a notification is too old to be delivered."""
        return duration_s(self.expire_after) or 0


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a route takes: every list that is given must name the alert's own; none given takes all."""

    severity: list[Severity] | None = None
    tier: list[int] | None = None
    team: list[str] | None = None
    csf: list[str] | None = None
    rule: list[str] | None = None
    scope: list[str] | None = None


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which channels an alert goes to; the first route that matches takes it.

    Attributes:
        channels: ids; an empty list takes the alert and tells nobody.
        group_by: alerts that agree in these are told together.
        group_wait: how long the first alert of a group waits for others.
        group_interval: least time between two raises of one group; what is more urgent than all it was told waits for nothing.
        repeat: what fires is told again after this; ``0s``: never (default: by its severity, ``REPEAT_S``).
        resolved: tell too when it is over.
    """

    id: str
    match: Match = Match()
    channels: list[str]
    group_by: tuple[Literal["rule", "kpi", "csf", "scope", "team", "severity"], ...] = ("csf", "scope")
    group_wait: str = "1s"
    group_interval: str = "5m"
    repeat: str | None = None
    resolved: bool = True

    def repeat_s(self, severity: Severity) -> int:
        """Return after how many seconds an alert of a severity is told again, 0 for never."""
        return REPEAT_S[severity] if self.repeat is None else duration_s(self.repeat) or 0
