"""Names: which scopes there are, what they are called, which services belong to which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.catalogue.model import Catalogue

_SERVICE, _TEAM = "service:", "team:"


@dataclass(frozen=True)
class Directory:
    """Scopes of the catalogue and of the store together, as of one read of the store.

    Services that an importer registered are known by their values only: they have no tier, and no team here.
    """

    catalogue: Catalogue
    stored: tuple[str, ...] = ()

    def scopes(self) -> list[str]:
        """Return the organisation, then teams, then services, by name."""
        teams = {_TEAM + s.team for s in self.catalogue.services.values()}
        services = {_SERVICE + s for s in self.catalogue.services}
        teams |= {s for s in self.stored if s.startswith(_TEAM)}
        services |= {s for s in self.stored if s.startswith(_SERVICE)}
        return ["org", *sorted(teams), *sorted(services, key=lambda s: (self.name(s).lower(), s))]

    def name(self, scope: str) -> str:
        """Return what people call a scope."""
        kind, _, ident = scope.partition(":")
        if kind == "service":
            service = self.catalogue.services.get(ident)
            return service.name if service else ident
        return ident if kind == "team" else self.catalogue.organisation.name

    def team(self, scope: str) -> str | None:
        """Return the team of a service scope, None where it is not known."""
        service = self.catalogue.services.get(scope.removeprefix(_SERVICE))
        return service.team if service else None

    def services(self, scope: str) -> list[str]:
        """Return the service scopes inside a scope: none inside a service."""
        inside = [s for s in self.scopes() if s.startswith(_SERVICE)]
        if scope == "org":
            return inside
        return [s for s in inside if scope == f"{_TEAM}{self.team(s)}"]

    def described(self, scopes: Iterable[str]) -> list[dict[str, Any]]:
        """Return scopes as the API gives them."""
        return [{"scope": s, "kind": s.partition(":")[0], "name": self.name(s)} for s in scopes]

    def described_services(self) -> list[dict[str, Any]]:
        """Return services as the API gives them."""
        rows = []
        for scope in self.services("org"):
            ident = scope.removeprefix(_SERVICE)
            known = self.catalogue.services.get(ident)
            rows.append(
                {
                    "id": ident,
                    "scope": scope,
                    "name": self.name(scope),
                    "team": known.team if known else None,
                    "tier": known.tier if known else None,
                    "sessions": known.sessions if known else None,
                    "catalogued": known is not None,
                    "has_values": scope in self.stored,
                }
            )
        return rows
