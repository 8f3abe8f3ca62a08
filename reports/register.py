"""What people decided, for a report: the programmes it shows with their results, and managers' comments."""

from __future__ import annotations

import msgspec

from pipeline.catalogue.model import Catalogue
from pipeline.report.inputs import ReportInputs
from pipeline.report.programmes import in_report, read_months, sip_reports
from pipeline.report.register import fold_comments, fold_sips
from pipeline.stores.port import KpiStore
from pipeline.stores.register import Register
from pipeline.time.calendar import Calendar


def with_register(inputs: ReportInputs, catalogue: Catalogue, register: Register, store: KpiStore) -> ReportInputs:
    """Return a report's inputs with the SIPs of its month and scope, and the comments on it.

    Results are those of the month reported; a SIP is overdue by the data's clock.

    Raises:
        StoreUnavailable, StoreRejected: as the register or the store says.
    """
    entries = register.entries()
    calendar = Calendar(catalogue.organisation.zone)
    sips = in_report(fold_sips(entries).values(), catalogue, inputs.scope, inputs.month)
    months = read_months(store, sips, catalogue, inputs.month, inputs.clock)
    today = calendar.local(inputs.clock).date()
    comments = fold_comments(entries, calendar).get((inputs.month, inputs.scope), {})
    return msgspec.structs.replace(inputs, sips=sip_reports(sips, months, catalogue, today), comments=comments)
