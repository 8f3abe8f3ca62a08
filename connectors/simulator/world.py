"""The whole world: all its streams as one, in order of time, without end."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import takewhile
from typing import Protocol

from connectors.simulator.calendar import WorldCalendar
from connectors.simulator.delivery import Changes, Features
from connectors.simulator.desk import Incidents
from connectors.simulator.emit import Item
from connectors.simulator.feedback import Surveys
from connectors.simulator.guard import Attacks, Vulnerabilities
from connectors.simulator.insight import Decisions, Predictions, Reports
from connectors.simulator.load import Requests, Scalings
from connectors.simulator.monitoring import Checks, Polls
from connectors.simulator.organisation import ZONE
from connectors.simulator.setting import Setting
from connectors.simulator.sharing import Reconciliations, Syncs
from connectors.simulator.story import MONTHS
from connectors.simulator.trouble import Maintenance, Outages
from connectors.simulator.visits import Visits
from pipeline.errors import ConfigError


class _Stream(Protocol):
    def items(self, stream: int, start: int) -> Iterator[Item]:
        """Yield the events from an instant on, without end."""


class World:
    """A simulated organisation: the same seed, anchor and months give the same events, byte for byte.

    Args:
        seed: chooses the world.
        anchor: where history ends and live begins, epoch seconds.
        months: finished months of history before the one that holds the anchor, 0 to 13.
    """

    def __init__(self, seed: int, anchor: int, months: int = MONTHS) -> None:
        if not 0 <= months <= MONTHS:
            raise ConfigError(f"--months is {months}; the story has {MONTHS} months, so choose 0 to {MONTHS}")
        self.calendar = WorldCalendar(ZONE, anchor, months)
        self.setting = setting = Setting(seed, anchor, self.calendar)
        self.changes = Changes(setting)
        self.features = Features(setting)
        self.outages = Outages(setting, self.changes)
        self.maintenance = Maintenance(setting)
        self.incidents = Incidents(setting, self.outages, self.changes)
        self.attacks = Attacks(setting)
        self.vulnerabilities = Vulnerabilities(setting)
        self.visits = Visits(setting, self.outages)
        self.requests = Requests(setting, self.outages)
        self.scalings = Scalings(setting)
        self.surveys = Surveys(setting, self.outages, self.changes)
        self.predictions = Predictions(setting)
        self.decisions = Decisions(setting)
        self.reports = Reports(setting)
        self.syncs = Syncs(setting)
        self.reconciliations = Reconciliations(setting)
        self.checks = Checks(setting, self.outages, self.maintenance)
        self.polls = Polls(setting)

    @property
    def start(self) -> int:
        """Start of history, epoch seconds."""
        return self.calendar.start

    @property
    def anchor(self) -> int:
        """Where history ends and live begins, epoch seconds."""
        return self.setting.anchor

    def tell(self, start: int) -> Iterator[Item]:
        """Yield all events from an instant on, in order of time, without end and in bounded memory."""
        streams: tuple[_Stream, ...] = (
            self.checks, self.maintenance, self.incidents, self.attacks, self.vulnerabilities, self.visits,
            self.requests, self.surveys, self.changes, self.features, self.scalings, self.predictions,
            self.decisions, self.syncs, self.reconciliations, self.reports, self.polls,
        )  # fmt: skip
        start = max(start, self.start)
        return heapq.merge(*(stream.items(number, start) for number, stream in enumerate(streams)))

    def events(self, start: int, end: int) -> Iterator[Item]:
        """Yield the events of [start, end) in order of time."""
        return takewhile(lambda item: item[0] < end, self.tell(start))
