"""Routes of the register: Service Improvement Programmes and comments, read and entered (``docs/api.md``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from agents.console.changing import Changes
from agents.console.desk import Office, OfficeThread
from agents.console.selection import BadParameterError, parameters_of
from agents.console.web import guarded, json_answer
from pipeline.catalogue.directory import Directory
from pipeline.errors import EntryRefused
from pipeline.report.desk import sip_id
from pipeline.report.entering import CommentDraft, SipChange, SipDraft
from pipeline.report.programmes import in_report
from pipeline.report.register import Entry, Sip, fold_comments, fold_sips
from pipeline.report.trail import changes, did


class Opening(SipDraft, frozen=True, kw_only=True):
    """Body that opens a SIP."""

    who: str = ""


class Changing(SipChange, frozen=True, kw_only=True):
    """Body that changes a SIP; ``seen`` is the version its author looked at."""

    who: str = ""
    seen: str | None = None


class Closing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body that closes a SIP."""

    why: str
    who: str = ""
    seen: str | None = None


class Commenting(CommentDraft, frozen=True, kw_only=True):
    """Body that sets or withdraws a comment."""

    who: str = ""


class Programmes:
    """Handlers of SIPs and comments.

    Args:
        office: the register's thread.
        token: whether the server asks for a token: then a change without a name is the token's.
        entered: called after each change, so that what shows the register is made anew.
    """

    def __init__(self, office: OfficeThread, *, token: bool, entered: Callable[[], None]) -> None:
        self._office, self._token, self._entered = office, token, entered
        self._changes = Changes()

    def routes(self, api: str) -> list[web.RouteDef]:
        """Return the routes below an address."""
        return [
            web.get(f"{api}/sips", guarded(self.sips)),
            web.post(f"{api}/sips", guarded(self.open)),
            web.get(f"{api}/sips/{{sip}}", guarded(self.sip)),
            web.post(f"{api}/sips/{{sip}}", guarded(self.update)),
            web.post(f"{api}/sips/{{sip}}/close", guarded(self.close)),
            web.get(f"{api}/baseline", guarded(self.baseline)),
            web.get(f"{api}/comments", guarded(self.comments)),
            web.post(f"{api}/comments", guarded(self.comment)),
        ]

    async def sips(self, request: web.Request) -> web.Response:
        """All SIPs with their results, those that started last first."""
        scope = parameters_of(request, ("scope",)).get("scope", "org")

        def question(office: Office) -> list[dict[str, Any]]:
            found = fold_sips(office.register.entries()).values()
            shown = [s for s in reversed(found) if in_report([s], office.catalogue, scope, s.start[:7])]
            return _described(office, shown)

        return json_answer({"scope": scope, "sips": await self._office.ask(question)}, kept=False)

    async def sip(self, request: web.Request) -> web.Response:
        """One SIP with its audit trail."""
        parameters_of(request, ())
        subject = sip_id(request.match_info["sip"])

        def question(office: Office) -> dict[str, Any] | None:
            entries = office.register.entries(subject=subject)
            found = fold_sips(entries).get(subject)
            if found is None:
                return None
            (described,) = _described(office, [found])
            return {"sip": described, "entries": [_told(office, e, found) for e in entries]}

        answer = await self._office.ask(question)
        if answer is None:
            return json_answer({"error": f"there is no programme {subject[:80]}"}, 404)
        return json_answer(answer, kept=False)

    async def open(self, request: web.Request) -> web.Response:
        """Open a SIP."""
        body = await self._changes.body(request, Opening)
        who, via = self._signed(body.who)
        return await self._enter(lambda office: office.desk.open(body, who, via), 201)

    async def update(self, request: web.Request) -> web.Response:
        """Change a SIP."""
        body = await self._changes.body(request, Changing)
        who, via = self._signed(body.who)
        ident = request.match_info["sip"]
        return await self._enter(lambda office: office.desk.update(ident, body, who, via, body.seen))

    async def close(self, request: web.Request) -> web.Response:
        """Close a SIP."""
        body = await self._changes.body(request, Closing)
        who, via = self._signed(body.who)
        ident = request.match_info["sip"]
        return await self._enter(lambda office: office.desk.close(ident, body.why, who, via, body.seen))

    async def baseline(self, request: web.Request) -> web.Response:
        """What a SIP for a KPI would start from."""
        parameters = parameters_of(request, ("kpi", "scope", "start"))

        def question(office: Office) -> dict[str, Any]:
            rules = office.desk.rules()
            kpi, scope = rules.kpi(parameters.get("kpi", "")), rules.scope(parameters.get("scope", "org"))
            found = office.desk.baseline(kpi.id, scope, rules.start(parameters.get("start")))
            return {"value": found.value, "month": found.month}

        try:
            return json_answer(await self._office.ask(question))
        except EntryRefused as e:
            raise BadParameterError(str(e)) from None

    async def comments(self, request: web.Request) -> web.Response:
        """The comments of a month's report of a scope."""
        parameters = parameters_of(request, ("month", "scope"))
        key = (parameters.get("month", ""), parameters.get("scope", "org"))

        def question(office: Office) -> list[dict[str, Any]]:
            found = fold_comments(office.register.entries(), office.calendar).get(key, {})
            return [msgspec.to_builtins(c) for c in found.values()]

        return json_answer({"month": key[0], "scope": key[1], "comments": await self._office.ask(question)}, kept=False)

    async def comment(self, request: web.Request) -> web.Response:
        """Set or withdraw a comment."""
        body = await self._changes.body(request, Commenting)
        who, via = self._signed(body.who)
        entry = await self._office.ask(lambda office: office.desk.comment(body, who, via))
        self._entered()
        return json_answer({"csf": body.csf, "author": entry.who, "text": body.text}, 201)

    async def _enter(self, change: Callable[[Office], Sip], status: int = 200) -> web.Response:
        def question(office: Office) -> dict[str, Any]:
            return _described(office, [change(office)])[0]

        described = await self._office.ask(question)
        self._entered()
        return json_answer({"sip": described}, status, kept=False)

    def _signed(self, who: str) -> tuple[str, str]:
        """Return whose a change is and how it came: without a name it is the token's, where there is one."""
        if self._token:
            return who.strip() or "token", "console with token"
        return who, "console"


def _described(office: Office, sips: list[Sip]) -> list[dict[str, Any]]:
    """Return SIPs as the API gives them: as the report has them, and what the page needs besides."""
    directory = Directory(office.catalogue)
    found = []
    for sip, report in zip(sips, office.reported(sips), strict=True):
        kpi = office.catalogue.kpis.get(sip.kpi)
        found.append(
            {
                **msgspec.to_builtins(report),
                "actions": msgspec.to_builtins(sip.actions),
                "scope_name": directory.name(sip.scope),
                "csf": kpi.csf if kpi else None,
                "decimals": kpi.decimals if kpi else 2,
                "direction": kpi.direction if kpi else "zero",
                "baseline_month": sip.baseline_month,
                "closed_on": sip.closed_on,
                "version": sip.version,
                "changed_at": office.local(sip.changed_at),
                "changed_by": sip.changed_by,
            }
        )
    return found


def _told(office: Office, entry: Entry, sip: Sip) -> dict[str, Any]:
    return {
        "id": entry.id, "at": office.local(entry.at), "who": entry.who, "via": entry.via, "kind": entry.kind,
        "did": did(entry), "changes": changes(entry, sip, office.catalogue.kpis.get(sip.kpi)), "why": entry.why,
    }  # fmt: skip
