"""Which alerts of the same trouble fire inside each other's scopes: a service's, its team's, the organisation's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from pipeline.alerts.book import AlertBook, Key
from pipeline.alerts.matching import place_of
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue

ORG = "org"
#: So many services (or teams) that fire, and such a share of those inside a scope, make it the scope's own trouble.
MANY, MANY_SHARE = 3, 0.5


class Nesting:
    """What fires inside and around scopes at one instant."""

    def __init__(self, catalogue: Catalogue, book: AlertBook) -> None:
        self._catalogue, self._book = catalogue, book
        #: services and teams that fire, by rule
        self._firing: dict[str, set[str]] = defaultdict(set)
        #: rules that fire, by scope
        self._rules: dict[str, list[str]] = defaultdict(list)
        #: (scope, kind): how many services or teams of the catalogue are inside it
        self._sizes = Counter((f"team:{s.team}", "service") for s in catalogue.services.values())
        self._sizes[ORG, "team"] = len(self._sizes)
        self._sizes[ORG, "service"] = len(catalogue.services)
        self._inside: dict[Key, list[str]] = {}
        for (rule, scope), instance in book.instances.items():
            if instance.state == "firing":
                self._rules[scope].append(rule)
                if scope != ORG:
                    self._firing[rule].add(scope)

    def fires(self, key: Key) -> bool:
        """Return whether an alert fires."""
        found = self._book.instances.get(key)
        return found is not None and found.state == "firing"

    def rules_at(self, scope: str) -> list[str]:
        """Return the rules that fire for a scope."""
        return self._rules.get(scope, [])

    def around(self, scope: str) -> list[str]:
        """Return the scopes around one, the widest first."""
        if scope == ORG:
            return []
        team, _ = place_of(scope, self._catalogue)
        return [ORG, f"team:{team}"] if scope.startswith("service:") and team else [ORG]

    def inside(self, rule: a.AnyRule, scope: str) -> list[str]:
        """Return the services inside a scope, else the teams, for which a rule or one that says more of the same fires."""
        if (rule.id, scope) not in self._inside:
            names = self.alike(rule)
            firing = {found for name in names for found in self._firing[name] if scope in self.around(found)}
            services = {found for found in firing if found.startswith("service:")}
            self._inside[rule.id, scope] = sorted(services or firing)
        return self._inside[rule.id, scope]

    def is_many(self, rule: a.AnyRule, scope: str) -> bool:
        """Return whether so much fires inside a scope that the trouble is the scope's own."""
        inside = self.inside(rule, scope)
        kind = inside[0].partition(":")[0] if inside else ""
        return len(inside) >= max(MANY, MANY_SHARE * self._sizes[scope, kind])

    def alike(self, rule: a.AnyRule) -> list[str]:
        """Return the rule, and those over the same KPI or CSF that say more than it."""
        return [rule.id, *self._more(rule)]

    def _more(self, rule: a.AnyRule) -> Iterator[str]:
        for name in rule.quiet_while:
            other = self._book.rules.get(name)
            if other is None or _about(other) != _about(rule):
                continue
            if a.SEVERITIES.index(other.severity) <= a.SEVERITIES.index(rule.severity):
                yield name


def _about(rule: a.AnyRule) -> str:
    return rule.csf if isinstance(rule, a.StatusRule) else rule.kpi
