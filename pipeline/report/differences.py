"""What differs between two issues of a report: figures, targets, definitions, verdicts, words, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.report import words
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import CsfReport, Difference, Report, SipReport

_NOT_THERE = "not in the report"


def differences(old: Report, new: Report) -> list[Difference]:
    """Return what a reader of the old issue must know of the new one; empty where nothing a reader sees has changed.

    When it was issued, up to when events are in it, and how many there were, are no differences. Figures that are
    written the same are the same. The two may be of different months or scopes; that is then the first difference.
    """
    return list(_all(old, new))


def _all(old: Report, new: Report) -> Iterator[Difference]:
    yield from _changed("Month", words.month(old.month), words.month(new.month))
    yield from _changed("Scope", old.scope_name, new.scope_name)
    yield from _changed("State", _state(old), _state(new))
    verdict = words.VERDICTS
    yield from _changed("Overall verdict", verdict[old.summary.verdict], verdict[new.summary.verdict])
    before = {c.id: c for c in old.csfs}
    for csf in new.csfs:
        was = before.pop(csf.id, None)
        if was is None:
            yield Difference(what=csf.name, old=_NOT_THERE, new=verdict[csf.verdict])
        else:
            yield from _csf(was, csf, _Why(old, new))
    for csf in before.values():
        yield Difference(what=csf.name, old=verdict[csf.verdict], new=_NOT_THERE)
    yield from _sips(old.sips, new.sips)


def _changed(what: str, old: str, new: str, reason: str = "") -> Iterator[Difference]:
    if old != new:
        yield Difference(what=what, old=old, new=new, reason=reason)


def _state(report: Report) -> str:
    names = {"to_date": "to date", "closed": "closed", "restated": "restated"}
    return names[report.state] + (f", revision {report.revision}" if report.revision else "")


class _Why:
    """Reasons of changed figures."""

    def __init__(self, old: Report, new: Report) -> None:
        self._same_month = (old.month, old.scope) == (new.month, new.scope)
        self._was_running = old.state == "to_date"
        self._reasons: dict[str, str] = {}
        for r in sorted(new.quality.restatements, key=lambda r: r.revision):
            if r.month == new.month and r.scope == new.scope:
                self._reasons[r.kpi] = r.reason

    def value(self, was: KpiReport, now: KpiReport) -> str:
        """Return why a value is another one; empty where nobody knows, or it is of another month."""
        if was.definition_version != now.definition_version:
            return f"its definition is version {now.definition_version} instead of {was.definition_version}"
        if not self._same_month:
            return ""
        if now.id in self._reasons and now.revision > max(was.revision, 1):
            return self._reasons[now.id]
        if self._was_running:
            return "the month was not closed yet"
        return "another value was reported" if now.reported else ""


def _csf(was: CsfReport, now: CsfReport, why: _Why) -> Iterator[Difference]:
    verdict = words.VERDICTS
    yield from _changed(f"{now.name}: status", verdict[was.status], verdict[now.status])
    yield from _changed(f"{now.name}: verdict", verdict[was.verdict], verdict[now.verdict], now.verdict_reason)
    before = {k.id: k for k in was.kpis}
    for kpi in now.kpis:
        known = before.pop(kpi.id, None)
        if known is not None:
            yield from _kpi(known, kpi, why)
        else:
            yield Difference(what=kpi.name, old=_NOT_THERE, new=_figure(kpi), reason="it is new in the catalogue")
    for kpi in before.values():
        yield Difference(what=kpi.name, old=_figure(kpi), new=_NOT_THERE, reason="it is no longer in the catalogue")
    yield from _changed(f"{now.name}: insight", was.insight, now.insight)
    yield from _changed(f"{now.name}: concerns", " ".join(was.concerns), " ".join(now.concerns))
    yield from _changed(f"{now.name}: suggestions", " ".join(was.suggestions), " ".join(now.suggestions))
    yield from _changed(f"{now.name}: comment", _comment(was), _comment(now))


def _figure(kpi: KpiReport) -> str:
    return words.quantity(kpi.value, kpi.unit, kpi.decimals)


def _comment(csf: CsfReport) -> str:
    return "none" if csf.comment is None else f"{csf.comment.text} ({csf.comment.author})"


def _kpi(was: KpiReport, now: KpiReport, why: _Why) -> Iterator[Difference]:
    yield from _changed(now.name, _figure(was), _figure(now), why.value(was, now))
    if was.target != now.target:
        yield from _changed(f"{now.name}: target", _target(was), _target(now))
    yield from _changed(
        f"{now.name}: target state", words.TARGET_STATES[was.target_state], words.TARGET_STATES[now.target_state]
    )
    yield from _changed(f"{now.name}: movement", words.MOVEMENTS[was.movement], words.MOVEMENTS[now.movement])
    yield from _changed(
        f"{now.name}: definition", f"version {was.definition_version}", f"version {now.definition_version}"
    )
    if was.definition_version == now.definition_version:
        yield from _changed(f"{now.name}: definition", was.definition, now.definition)


def _target(kpi: KpiReport) -> str:
    return "none" if kpi.target is None else words.bound(kpi.target, kpi.unit, kpi.decimals)


def _sips(old: Sequence[SipReport], new: Sequence[SipReport]) -> Iterator[Difference]:
    before = {s.id: s for s in old}
    for sip in new:
        was = before.pop(sip.id, None)
        yield from _changed(f"{sip.id} {sip.title}", _NOT_THERE if was is None else _sip(was), _sip(sip))
    for sip in before.values():
        yield Difference(what=f"{sip.id} {sip.title}", old=_sip(sip), new=_NOT_THERE)


def _sip(sip: SipReport) -> str:
    return f"{words.SIP_STATUSES[sip.status]}, {words.SIP_RESULTS[sip.result].lower()}"
