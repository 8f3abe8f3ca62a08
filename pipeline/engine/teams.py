"""Teams: the services that were heard of or are listed, and whose they are."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping

from pipeline.catalogue.model import UNASSIGNED


class Teams:
    """Services by team, in order.

    Args:
        listed: the team of each service that the catalogue lists; of others the team heard of first counts.
    """

    def __init__(self, listed: Mapping[str, str]) -> None:
        self._teams: dict[str, str] = {}
        self._by_team: dict[str, list[str]] = {}
        self._services: list[str] = []
        for service, team in listed.items():
            self.know(service, team)

    def know(self, service: str, team: str) -> None:
        """Note a service and its team."""
        if service in self._teams:
            return
        self._teams[service] = team
        insort(self._by_team.setdefault(team, []), service)
        insort(self._services, service)

    def knows(self, service: str) -> bool:
        """Return whether anything was heard of a service, or the catalogue lists it."""
        return service in self._teams

    def team(self, service: str) -> str:
        """Return the team of a service."""
        return self._teams.get(service, UNASSIGNED)

    def services(self, scope: str) -> list[str]:
        """Return the known services of a scope, in order."""
        if scope == "org":
            return self._services
        kind, _, name = scope.partition(":")
        return self._by_team.get(name, []) if kind == "team" else [name]

    def scopes(self) -> list[str]:
        """Return every scope with known services."""
        teams = [f"team:{t}" for t in sorted(self._by_team)]
        return ["org", *teams, *(f"service:{s}" for s in self._services)]

    def __iter__(self) -> Iterator[str]:
        """Yield the teams of all known services."""
        return iter(self._by_team)

    def __len__(self) -> int:
        return len(self._by_team)
