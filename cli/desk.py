"""The register for commands: settings, register and store opened together, and who enters."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from cli.options import config_option, data_dir_option
from cli.settings import Settings, load_settings
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.evaluate.exits import clock_of
from pipeline.report.desk import Desk
from pipeline.stores.port import KpiStore
from pipeline.stores.register import Register
from pipeline.stores.register_common import new_entry_id, new_sip_id, now_ms
from pipeline.time.calendar import Calendar

VIA = "csf"
by_option = click.option("--by", help="Your name [default: the name you are logged in with].")
why_option = click.option("--why", default="", help="The reason, for the audit trail.")


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which installation is meant."""
    return config_option(data_dir_option(command))


@dataclass(frozen=True)
class Office:
    """An installation's register and KPI store, for one command.

    Attributes:
        store: None where nothing has been measured yet.
    """

    catalogue: Catalogue
    register: Register
    store: KpiStore | None

    @cached_property
    def calendar(self) -> Calendar:
        """The organisation's calendar."""
        return Calendar(self.catalogue.organisation.zone)

    @property
    def desk(self) -> Desk:
        """Where entries are made."""
        return Desk(self.register, self.store, self.catalogue, now_ms=now_ms, new_id=new_entry_id, new_sip=new_sip_id)

    @property
    def today(self) -> date:
        """The local date by this machine's clock."""
        return self.calendar.local(time.time()).date()

    @property
    def clock(self) -> float:
        """Epoch seconds to which the data have come; this machine's before the first event."""
        return (clock_of(self.store.exits()) if self.store else None) or time.time()

    def local(self, at_ms: int) -> str:
        """Return an entry's time as local RFC 3339."""
        return self.calendar.iso(at_ms // 1000)


@contextmanager
def office(config: Path | None, data_dir: Path | None, *, read_only: bool) -> Iterator[Office]:
    """Open an installation's register and store.

    Raises:
        ConfigError: the data directory cannot be used.
        StoreUnavailable, StoreRejected: register or store cannot be opened.
    """
    settings = load_settings(config, data_dir=data_dir)
    catalogue = settings.load_catalogue()
    if not read_only and settings.store == "sqlite":
        _make(settings.data_dir)
    register = settings.open_register(read_only=read_only)
    try:
        store = _store(settings)
        try:
            yield Office(catalogue, register, store)
        finally:
            if store is not None:
                store.close()
    finally:
        register.close()


def _store(settings: Settings) -> KpiStore | None:
    if settings.store == "sqlite" and not settings.store_path.exists():
        return None
    return settings.open_store(read_only=True)


def _make(data_dir: Path) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f"{data_dir} cannot be used: {e.strerror}; name another with --data-dir") from None


def author(by: str | None) -> str:
    """Return who enters: the name given, else the one logged in with.

    Raises:
        ConfigError: there is neither.
    """
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ConfigError("nobody knows your name here: say it with --by") from None
