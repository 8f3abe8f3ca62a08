"""The peers' work as a catalogue: per service count, errors, sum, p95 and distinct users of page views."""

from __future__ import annotations

from msgspec.structs import replace

from pipeline.catalogue import model
from pipeline.catalogue.loader import load_catalogue

SERVICES = 50
_PAGES = ["page.viewed"]
MEASURES: dict[str, model.AnyMeasure] = {
    "duration": model.Mean(events=_PAGES, value="duration_ms"),
    "errors": model.Share(events=_PAGES, of="status >= 500"),
    "duration_p95": model.Quantile(events=_PAGES, value="duration_ms", q=0.95),
    "users": model.Distinct(events=_PAGES, value="user"),
}


def peer_catalogue(services: int = SERVICES) -> model.Catalogue:
    """Return the built-in catalogue with these KPIs alone, and the workload's services."""
    whole = load_catalogue()
    kpis = {
        name: model.Kpi(
            id=name, csf=model.CSF_IDS[0], name=name, definition=f"{name} of page views", unit="-", direction="up",
            measure=measure,
        )
        for name, measure in MEASURES.items()
    }  # fmt: skip
    named = {f"svc-{i:03d}": model.Service(id=f"svc-{i:03d}", name=f"svc-{i:03d}") for i in range(services)}
    return replace(whole, kpis=kpis, services=named, targets=[], alerts={})
