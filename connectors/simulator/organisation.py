"""The organisation that is simulated: its teams, services and the systems that report on them.

Harbourline Mutual, an insurer that does not exist. ``catalogue/services.yaml`` says the same to the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "Harbourline Mutual"
ZONE = "Europe/Amsterdam"


@dataclass(frozen=True)
class Service:
    """One simulated service.

    Attributes:
        checks: names of its availability checks; all must be up.
        on_change: its monitoring logs changes only (``valid_until: next``).
        incidents: incidents a month in an ordinary month.
        outages: unplanned outages a month, besides those the story tells.
    """

    id: str
    team: str
    tier: int
    checks: tuple[str, ...] = ("http",)
    on_change: bool = False
    incidents: float = 20.0
    outages: float = 0.3


SERVICES: dict[str, Service] = {
    s.id: s
    for s in (
        Service("web-shop", "digital", 1, checks=("home", "checkout"), incidents=34, outages=0.5),
        Service("customer-portal", "digital", 1, incidents=40, outages=0.5),
        Service("mobile-app", "digital", 1, incidents=26, outages=0.4),
        Service("payments", "core", 1, incidents=18, outages=0.3),
        Service("claims", "core", 1, incidents=36, outages=0.4),
        Service("policy-admin", "core", 2, on_change=True, incidents=24, outages=0.4),
        Service("data-platform", "data", 2, on_change=True, incidents=18, outages=0.5),
        Service("crm", "data", 2, on_change=True, incidents=22, outages=0.4),
        Service("identity", "workplace", 1, incidents=30, outages=0.25),
        Service("collab", "workplace", 2, on_change=True, incidents=38, outages=0.3),
        Service("network", "workplace", 1, on_change=True, incidents=24, outages=0.3),
        Service("hr", "workplace", 3, on_change=True, incidents=12, outages=0.5),
    )
}

#: Services whose requests are measured, and their requests a second in the busiest hour of the first month.
REQUESTS: dict[str, float] = {"web-shop": 34.0, "customer-portal": 18.0, "mobile-app": 46.0}
#: Services whose visits are seen page by page, and visits on an ordinary working day (a sample of all visitors).
VISITS: dict[str, float] = {"web-shop": 17.0, "customer-portal": 16.0, "claims": 6.0}
#: The service whose own analytics counts sessions (``sessions: reported``), and its sessions a day.
REPORTED_VISITS: dict[str, float] = {"mobile-app": 26.0}
#: Deployments: share of each service.
DEPLOYED: dict[str, float] = {
    "web-shop": 5, "customer-portal": 5, "mobile-app": 3, "payments": 2, "claims": 3, "policy-admin": 2,
    "data-platform": 3, "crm": 1.5, "identity": 1, "hr": 0.5,
}  # fmt: skip
#: Security incidents: share of each service.
ATTACKED: dict[str, float] = {
    "collab": 6, "identity": 5, "customer-portal": 3, "web-shop": 3, "network": 2, "payments": 1, "hr": 1,
}  # fmt: skip
#: Surveys: kind to answers a day of each service.
SURVEYED: dict[str, dict[str, float]] = {
    "csat": {"customer-portal": 5, "web-shop": 5, "mobile-app": 4, "claims": 2},
    "nps": {"customer-portal": 2.5, "web-shop": 2.5, "mobile-app": 2},
    "ces": {"customer-portal": 2.5, "web-shop": 2.5, "mobile-app": 1.5},
}


@dataclass(frozen=True)
class Source:
    """A system that reports: the CloudEvents source, the types it delivers, the services it covers (none: all)."""

    id: str
    types: tuple[str, ...]
    services: tuple[str, ...] | None = None

    @property
    def uri(self) -> str:
        """The source attribute of its events."""
        return f"/simulator/{self.id}"


SOURCES: tuple[Source, ...] = (
    Source("monitoring", ("uptime.checked",)),
    Source("itsm", ("incident.updated", "maintenance.scheduled")),
    Source("siem", ("security_incident.updated",)),
    Source("scanner", ("vulnerability.updated",)),
    Source("analytics", ("page.viewed", "task.finished", "session.ended"), (*VISITS, *REPORTED_VISITS)),
    Source("apm", ("request.measured",), tuple(REQUESTS)),
    Source("surveys", ("survey.answered",), ("customer-portal", "web-shop", "mobile-app", "claims")),
    Source("delivery", ("change.updated", "feature.updated"), tuple(DEPLOYED)),
    Source("autoscaler", ("scaling.completed",), tuple(REQUESTS)),
    Source("planning", ("prediction.scored", "decision.evaluated"), ("web-shop", "claims", "data-platform")),
    Source("integration-hub", ("record.synced", "reconciliation.completed"), ("data-platform", "claims", "identity")),
)
#: Event type to the source attribute of its events.
SOURCE_OF: dict[str, str] = {kind: source.uri for source in SOURCES for kind in source.types} | {
    "kpi.reported": "/simulator/hr-survey",
    "month.closed": "/simulator/calendar",
}


def catalogue_dir() -> Path:
    """Return the directory of the demo catalogue: the organisation, its services and its targets."""
    return Path(__file__).parent / "catalogue"
