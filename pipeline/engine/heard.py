"""What one partition of partials has been told, merged: what asking and telling both read."""

from __future__ import annotations

from pipeline.engine.closing import ClosedMonths
from pipeline.engine.coverage import CoverageBook
from pipeline.engine.definitions import Definitions
from pipeline.engine.facts import Facts
from pipeline.engine.freshness import Freshness
from pipeline.engine.plan import Plan
from pipeline.engine.reported import Reported
from pipeline.engine.uptime import Uptime


class Heard:
    """Facts and all that is said beside them.

    Attributes:
        clock: the largest arrival clock heard of, epoch seconds.
        csfs: the CSFs that were spoken of.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.facts = Facts(plan)
        self.coverage = CoverageBook()
        self.uptime = Uptime(self.facts, self.coverage)
        self.freshness = Freshness(self.facts)
        self.reported = Reported()
        self.closing = ClosedMonths()
        self.definitions = Definitions(plan)
        self.clock = 0.0
        self.csfs: set[str] = set()

    def scopes_of(self, service: str) -> tuple[str, str, str]:
        """Return the scopes that a service counts in."""
        return f"service:{service}", f"team:{self.facts.team(service)}", "org"
