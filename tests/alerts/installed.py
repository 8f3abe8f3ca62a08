"""Alerting as the console and the commands meet it: an engine, and a store that it writes into at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.alerts import inputs as i
from pipeline.catalogue.model import Catalogue
from pipeline.stores.sqlite import SqliteStore
from tests.alerts.samples import World, catalogue


@dataclass
class Installed:
    """Alerts whose changes and notes are in a SQLite file; ``order`` is what a console is given to send orders."""

    path: Path
    catalogue: Catalogue = field(default_factory=catalogue)

    def __post_init__(self) -> None:
        self.world = World(self.catalogue)
        self.write()

    async def order(self, order: i.Order) -> None:
        """Take an order as the worker does."""
        self.world.say(order)
        self.write()

    def fires(self, at: int) -> None:
        """Let a rule fire for Shop since an instant."""
        self.world.tell("delay", 200, at)
        self.world.clock(at + 60)
        self.world.advance(at + 60)
        self.write()

    def write(self) -> None:
        """Write what changed."""
        self.world.deliver()
        self.world.flush()
        store = SqliteStore(self.path)
        store.write_alerts(list(self.world.changes.values()))
        store.write_alert_notes(list(self.world.notes.values()))
        store.close()
