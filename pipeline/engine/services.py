"""Which service an event's subject means, and which team owns it."""

from __future__ import annotations

import re
from hashlib import blake2b

from pipeline.catalogue.model import UNASSIGNED, Catalogue

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LONGEST = 64
#: Subjects remembered with their service.
_TOLD = 10_000
_OTHER = re.compile(r"[^a-z0-9._-]+")


def service_id(subject: str) -> str | None:
    """Return a subject as a service id, None where nothing usable is left of it.

    One that is too long is cut, and told apart by a hash of the whole.
    """
    cleaned = _OTHER.sub("-", subject.lower()).strip("-._")
    if len(cleaned) > _LONGEST:
        cleaned = f"{cleaned[: _LONGEST - 9]}-{blake2b(subject.encode(), digest_size=4).hexdigest()}"
    return cleaned if _ID.fullmatch(cleaned) else None


class ServiceBook:
    """Services of the catalogue, and those that importers registered in this partition."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._services = catalogue.services
        self._limit = catalogue.organisation.discovered_services
        #: subject → service, of the catalogue
        self.known = {s: s for s in catalogue.services}
        for service in catalogue.services.values():
            for vendor_id in service.vendor_ids:
                self.known.setdefault(vendor_id, service.id)
        #: service id → team, of services the catalogue does not name
        self.discovered: dict[str, str] = {}
        #: why the last subject that ``find`` did not know is none
        self.refused = ""
        self._unsaid: list[str] = []
        #: services whose own ``session.ended`` events are their sessions
        self.reporting = {s.id for s in catalogue.services.values() if s.sessions == "reported"}
        #: subjects that came with a team → their service
        self.told: dict[str, str] = {}

    def restore(self, discovered: dict[str, str]) -> None:
        """Take the recovered registrations."""
        self.discovered = discovered

    def find(self, subject: str, team: str | None) -> str | None:
        """Return the service a subject means; with a team an unknown one is registered, within the limit."""
        found = self.known.get(subject)
        if found is not None or not team:
            self.refused = "unknown-service"
            return found
        told = self.told.get(subject)
        if told is not None:
            return told
        name = service_id(subject)
        self.refused = "unknown-service"
        if name is None:
            return None
        if name not in self._services and name not in self.discovered:
            owner = service_id(team)
            if owner is None:
                return None
            if len(self.discovered) >= self._limit:
                self.refused = "service-limit"
                return None
            self.discovered[name] = owner
            self._unsaid.append(name)
        if len(self.told) >= _TOLD:
            self.told.clear()
        self.told[subject] = name
        return name

    def unsaid(self) -> list[str]:
        """Return the services registered since the last call."""
        unsaid, self._unsaid = self._unsaid, []
        return unsaid

    def team(self, service: str) -> str:
        """Return the team of a service."""
        known = self._services.get(service)
        return known.team if known else self.discovered.get(service, UNASSIGNED)
