"""Breakdowns: one KPI by the bounded values of a field, each a KPI of its own without weight."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.catalogue import model
from pipeline.errors import CatalogueError


def _narrowed(where: str | None, field: str, value: int | str) -> str:
    own = f"{field} == {value!r}"
    return own if where is None else f"({where}) and {own}"


def expand(kpi: model.Kpi, place: str) -> Iterator[model.Kpi]:
    """Yield the KPI and those of its breakdown.

    They carry no weight, target or thresholds: what is good for the whole is not for a part.
    """
    yield kpi
    if kpi.breakdown is None:
        return
    if not isinstance(kpi.measure, model.Records | model.Stock | model.Freshness):
        kind = kpi.measure.__struct_config__.tag
        raise CatalogueError(f"{place}: breakdown: a measure of kind '{kind}' has no 'where' to narrow; remove it")
    field = kpi.breakdown.field
    if not field.isidentifier():
        raise CatalogueError(f"{place}: breakdown.field: {field!r} is no field name")
    for value in kpi.breakdown.values:
        where = _narrowed(kpi.measure.where, field, value)
        yield msgspec.structs.replace(
            kpi,
            id=f"{kpi.id}_{kpi.breakdown.prefix}{value}",
            name=f"{kpi.name}, {field} {value}",
            definition=f"{kpi.definition.rstrip('. ')}. Only those with {field} {value}.",
            measure=msgspec.structs.replace(kpi.measure, where=where),
            weight=0.0,
            target=None,
            thresholds=None,
            breakdown=None,
            breakdown_of=kpi.id,
        )
