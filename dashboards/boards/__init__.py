"""The boards, one module each."""

from __future__ import annotations

from collections.abc import Callable

from dashboards.boards import alerts, csf, health, month, number, service, wall
from dashboards.model import Board
from pipeline.catalogue.model import Catalogue

#: file name without ending → what makes the board; the order is that of the documentation
BOARDS: dict[str, Callable[[Catalogue], Board]] = {
    "noc-wall": wall.board,
    "csf-detail": csf.board,
    "service": service.board,
    "monthly-operating-view": month.board,
    "how-this-number-came-about": number.board,
    "alerts": alerts.board,
    "pipeline-health": health.board,
}
