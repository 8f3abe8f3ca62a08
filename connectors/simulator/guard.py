"""Security: attacks that were noticed, and vulnerabilities that wait for a patch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from connectors.simulator.emit import SecurityIncidentUpdated, VulnerabilityUpdated, at
from connectors.simulator.organisation import ATTACKED, SERVICES
from connectors.simulator.rng import about, poisson, spread, weighted
from connectors.simulator.setting import Entity, Monthly, Update
from connectors.simulator.story import level

Severity = Literal["low", "medium", "high", "critical"]
_SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
_DAY_S = 86_400
_HOUR_S = 3600
#: Months with a breach: the phishing waves before the measure of month 7.
BREACHES = (2, 5)
#: Days that the policy allows for a patch, by severity.
_PATCH_DAYS = {"low": 60, "medium": 30, "high": 14, "critical": 7}


class Attacks(Monthly[Entity]):
    """Security incidents by month of detection."""

    name = "attacks"
    kinds = ("security_incident.updated",)
    lookback = 2
    numbered = True

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the security incidents detected in a month; in a month with a breach the first one is it."""
        if month < self.setting.calendar.first_month:
            return
        r = self.setting.rng("attacks", month)
        for n in range(max(1, about(r, level("attacks", month)))):
            breach = n == 0 and month in BREACHES
            service = "collab" if breach else weighted(r, ATTACKED)
            severity: Severity = "critical" if breach else r.choices(_SEVERITIES, (5, 8, 4, 1))[0]
            found = self.setting.office_time(r, month)
            slow = level("respond", month)
            began = found - max(300, int(spread(r, 9 * slow * _HOUR_S, 0.9)))
            answered = found + max(120, int(spread(r, 1.1 * slow * _HOUR_S, 0.6)))
            contained = answered + max(600, int(spread(r, 6 * slow * _HOUR_S, 0.7)))
            solved = contained + max(1800, min(int(spread(r, 30 * slow * _HOUR_S, 0.7)), 20 * _DAY_S))
            number = f"SIR{month:03d}{n:04d}"
            false_alarm = not breach and r.random() < 0.06
            incident = Entity(number)
            steps = [found, answered] if false_alarm else [found, answered, contained, solved]
            for k, moment in enumerate(steps):
                reached = [at(step) if i <= k else None for i, step in enumerate(steps)]
                reached += [None] * (4 - len(reached))
                data = SecurityIncidentUpdated(
                    number=number,
                    detected_at=at(found),
                    updated_at=at(moment),
                    severity=severity,
                    breach=breach and k > 0,
                    cancelled=false_alarm and k == 1,
                    occurred_at=at(began),
                    responded_at=reached[1],
                    contained_at=reached[2],
                    resolved_at=reached[3],
                )
                incident.updates.append(Update(moment, "security_incident.updated", service, data))
            yield incident


class Vulnerabilities(Monthly[Entity]):
    """Vulnerabilities by the month the scanner found them."""

    name = "vulnerabilities"
    kinds = ("vulnerability.updated",)
    lookback = 6
    numbered = True

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the vulnerabilities found in a month; how late they are fixed is the story's."""
        if month < self.setting.calendar.first_month:
            return
        r = self.setting.rng("vulnerabilities", month)
        for n in range(poisson(r, 30)):
            severity = r.choices(_SEVERITIES, (4, 10, 6, 2))[0]
            service = r.choice(list(SERVICES))
            found = self.setting.office_time(r, month)
            allowed = _PATCH_DAYS[severity] * _DAY_S
            fixed = found + max(
                _DAY_S // 4, min(int(spread(r, 0.55 * level("patching", month) * allowed, 0.5)), 2 * allowed)
            )
            number = f"VUL{month:03d}{n:04d}"
            told = [
                Update(
                    moment,
                    "vulnerability.updated",
                    service,
                    VulnerabilityUpdated(
                        number=number,
                        due_at=at(found + allowed),
                        updated_at=at(moment),
                        found_at=at(found),
                        fixed_at=at(fixed) if moment == fixed else None,
                        severity=severity,
                    ),
                )
                for moment in (found, fixed)
            ]
            yield Entity(number, told)
