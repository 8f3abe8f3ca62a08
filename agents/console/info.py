"""What the console is told about the process it runs in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from agents.console.connectors import SourcesNow
from agents.console.reports import ReportSource
from pipeline.alerts.inputs import Order
from pipeline.stores.register import Register

#: Gives how far the pipeline is behind, as the JSON object of ``/api/v1/progress``.
ProgressSource = Callable[[], Awaitable[Mapping[str, Any]]]


def _installed_version() -> str:
    try:
        return metadata.version("csf-pulse")
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


@dataclass(frozen=True, kw_only=True)
class ConsoleInfo:
    """What the page says about the installation.

    Attributes:
        demo: what is shown is a demonstration; the page marks it.
        version: of this program; default: the installed one.
        progress: serves ``/api/v1/progress``; None where the host application serves that path itself.
        register: opens the register of SIPs and comments for writing; None: there is none.
        reports: builds and renders reports; None: there are none.
        order: sends an order about alerts to alerting; None: the page takes none.
        token: whether the server asks for a token.
        sources: gives how connectors are doing; None: the page has nothing to say of them.
    """

    demo: bool = False
    version: str = ""
    progress: ProgressSource | None = None
    register: Callable[[], Register] | None = None
    reports: ReportSource | None = None
    order: Callable[[Order], Awaitable[None]] | None = None
    token: bool = False
    sources: SourcesNow | None = None

    @classmethod
    def of(cls, info: ConsoleInfo | Mapping[str, Any]) -> ConsoleInfo:
        """Return ``info`` as it is, or the keys of a mapping that the console knows; others are ignored."""
        if isinstance(info, ConsoleInfo):
            return info
        return cls(
            demo=bool(info.get("demo", False)),
            version=str(info.get("version", "")),
            progress=info.get("progress"),
            register=info.get("register"),
            reports=info.get("reports"),
            order=info.get("order"),
            token=bool(info.get("token", False)),
            sources=info.get("sources"),
        )

    def version_text(self) -> str:
        """Return the version to show."""
        return self.version or _installed_version()
