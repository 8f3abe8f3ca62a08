"""Values brought from elsewhere: what must be true of a row before it becomes a ``kpi.reported`` event."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime
from typing import Any

from connectors.mapping.values import BadValue
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.report.measures import lawful

#: What rounding may add to a bound.
_ROUNDING = 1e-9
_SCOPE = re.compile(r"org|(team|service):\S.*")


class ReportedRows:
    """Checks the rows of one file against the catalogue and against each other.

    The engine would refuse an unknown KPI too, but as a dead letter of an event; here the row is named, and a file of
    which nothing fits is refused before anything is sent.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._held: dict[tuple[str, str, str], Any] = {}

    def check(self, event_type: str, data: dict[str, Any]) -> None:
        """Let pass what is no reported value, or a sound one.

        Raises:
            BadValue: the KPI is not in the catalogue, the scope or month is none, the value (or target) is none that the KPI
                can have, or the file says two things of one.
        """
        if event_type != "kpi.reported":
            return
        kpi, scope, month = data.get("kpi"), data.get("scope", "org"), data.get("month", "")
        if kpi not in self._catalogue.kpis:
            close = difflib.get_close_matches(str(kpi), self._catalogue.kpis, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise BadValue("kpi", kpi, f"it is not in the catalogue{hint}; `csf catalogue list` names all")
        if not _SCOPE.fullmatch(str(scope)):
            hint = f" (did you mean service:{scope}?)" if scope in self._catalogue.services else ""
            raise BadValue("scope", scope, f"it must be org, team:ID or service:ID{hint}")
        if month > f"{datetime.now(UTC):%Y-%m}":
            raise BadValue("month", month, "it is yet to come")
        for name in ("value", "target"):
            _can_be(self._catalogue.kpis[kpi], name, data.get(name))
        count = data.get("count")
        if count is not None and count < 0:
            raise BadValue("count", count, "it must be 0 or more")
        said = [data.get(name) for name in ("value", "target", "numerator", "denominator", "count")]
        if self._held.setdefault((kpi, scope, month), said) != said:
            before = self._held[(kpi, scope, month)][0]
            raise BadValue("value", data.get("value"), f"an earlier row says {before:g} of {kpi}, {scope}, {month}")


def _can_be(kpi: Kpi, column: str, value: float | None) -> None:
    """Raise BadValue for a number that the KPI's measure or scale cannot give, such as 120 % of all answers."""
    if value is None:
        return
    least, most = lawful(kpi)
    for wrong, bound, way in (
        (most is not None and value > most + _ROUNDING, most, "above"),
        (least is not None and value < least - _ROUNDING, least, "below"),
    ):
        if wrong:
            raise BadValue(
                column, value, f"{kpi.name} cannot be {way} {bound:g}; bring it in the catalogue's unit, {kpi.unit}"
            )
