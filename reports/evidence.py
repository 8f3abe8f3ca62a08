"""The entities behind a report's figures, from the event archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from pipeline.archive import ArchiveReader
from pipeline.archive.errors import ArchiveDamaged
from pipeline.archive.files import list_files
from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue
from pipeline.engine.plan import build_plan
from pipeline.report.evidence import NAMED, EvidenceFold, has_evidence, topics
from pipeline.report.inputs import ReportInputs
from pipeline.time.calendar import Calendar

#: Without being asked, no more of the archive than this is folded for a report, bytes as they lie on the disk: about a
#: second's work.
UNASKED_BYTES = 2**21
_WHAT = "Numbers of the incidents, changes and vulnerabilities behind the figures"
#: How many entities are named of a KPI that was asked for.
NAMED_ASKED = 1_000


def with_evidence(
    inputs: ReportInputs, catalogue: Catalogue, archive: Path | None, asked: Sequence[str] = (), *, whole: bool = False
) -> ReportInputs:
    """Return inputs with the incident, change and vulnerability numbers behind the figures, or with why there are none.

    Args:
        inputs: of a month and scope.
        catalogue: whose measures decide.
        archive: its folder; None where it is off.
        asked: KPIs of which a long list is wanted, however large the archive is; empty: a short one of every KPI that is
            made of entities, from a small archive.
        whole: a short list of every KPI, however large the archive is.
    """
    made_of_entities = build_plan(catalogue)
    kpis = [k for k in (asked or catalogue.kpis) if has_evidence(made_of_entities, k)]
    # only what these KPIs read is folded
    plan = build_plan(msgspec.structs.replace(catalogue, kpis={k: catalogue.kpis[k] for k in kpis}))
    wanted = topics(plan, kpis)
    files = [] if archive is None else list_files(archive, wanted)
    known = {v.kpi for v in inputs.values if v.value is not None and not v.reported}
    if not known.intersection(kpis):
        return inputs
    reason = ""
    if archive is None:
        reason = "the event archive is off (setting archive)"
    elif not files:
        reason = "the event archive holds no events of these kinds"
    elif sum(f.size for f in files) > UNASKED_BYTES and not asked and not whole:
        reason = "the event archive is large; `csf report --evidence KPI` lists those of a KPI, an issue has them all"
    if reason:
        return msgspec.structs.replace(inputs, evidence_note=f"{_WHAT} are not listed: {reason}.")
    damaged: list[ArchiveDamaged] = []
    fold = EvidenceFold(plan)
    for record in ArchiveReader(archive or Path(), damaged.append).records(wanted):
        fold.add(record.topic, record.partition, record.offset, record.arrival_ms, record.value)
    calendar = Calendar(catalogue.organisation.zone)
    start = calendar.parse_month(inputs.month)
    scopes = {inputs.scope, *Directory(catalogue, inputs.stored).services(inputs.scope)}
    services = frozenset(s.removeprefix("service:") for s in scopes) if inputs.scope != "org" else None
    found = fold.of_month(
        kpis, start, calendar.next_month(start), services, NAMED_ASKED if asked else NAMED
    )  # fmt: skip
    note = f"{_WHAT} are not all listed: a part of the event archive is damaged." if damaged else ""
    return msgspec.structs.replace(inputs, evidence=found, evidence_note=note)
