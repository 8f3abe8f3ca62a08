"""The console's routes: the page, and the JSON API over the KPI store (``docs/api.md``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from agents.console.alerts import alerts_document
from agents.console.connectors import Connectors, connectors_document
from agents.console.describe import definition
from agents.console.desk import OfficeThread
from agents.console.exits import exits_document
from agents.console.info import ConsoleInfo
from agents.console.orders import Orders
from agents.console.programmes import Programmes
from agents.console.reader import StoreReader
from agents.console.reports import Reports
from agents.console.rows import ROW_PARAMETERS, SERIES_PARAMETERS, parse_range, rows_question, series_question
from agents.console.selection import (
    SELECTION_PARAMETERS,
    BadParameterError,
    Selection,
    one_of,
    parameters_of,
    select,
)
from agents.console.source import FRESH_S, Source
from agents.console.stream import MOST_STREAMS, Streams
from agents.console.web import Handler, Page, add_headers, guarded, json_answer, load_pages
from pipeline.catalogue.model import Catalogue
from pipeline.stores.port import KpiStore
from pipeline.values import WINDOWS

API = "/api/v1"
_CHECK_S = 10.0
#: How far back ``series`` goes for a rolling window where ``last`` is absent: as many window lengths, at least an hour.
_LIVE_LENGTHS = 2


class Console:
    """Handlers of the API."""

    def __init__(
        self, source: Source, info: ConsoleInfo, pages: dict[str, Page], more: Sequence[web.RouteDef] = ()
    ) -> None:
        self._source = source
        self._more = more
        self._info = info
        self._pages = pages
        self.connected = Connectors(info.sources) if info.sources is not None else None
        self.streams = Streams(source)

    def routes(self) -> list[web.RouteDef]:
        """Return all routes of the console."""
        api: dict[str, Handler] = {
            "info": self.info,
            "csfs": self.csfs,
            "csfs/{csf}": self.csf,
            "kpis": self.kpis,
            "series": self.series,
            "scopes": self.scopes,
            "services": self.services,
            "catalogue": self.catalogue,
            "alerts": self.alerts,
            "exits": self.exits,
            "health": self.health,
            "stream": self.stream,
        }
        if self._info.progress is not None:
            api["progress"] = self.progress
        if self.connected is not None:
            api["connectors"] = self.connectors
        # a HEAD of the stream would stay open for ever
        found = [web.get(f"{API}/{p}", guarded(handler), allow_head=p != "stream") for p, handler in api.items()]
        found += self._more
        found.append(web.get(f"{API}/{{rest:.*}}", guarded(self.no_route)))
        for path in ("/", "/csf/{csf}", "/alerts", "/connectors", "/pipeline", "/report", "/sips", "/sips/{sip}"):
            found.append(web.get(path, self.index))
        found.append(web.get("/static/{name}", self.static))
        found.append(web.get("/{rest:.*}", self.no_page))
        return found

    async def _selection(self, parameters: Mapping[str, str]) -> Selection:
        directory = await self._source.directory()
        return select(parameters, directory.scopes(), self._source.calendar)

    async def _envelope(self) -> dict[str, Any]:
        organisation = self._source.catalogue.organisation
        clock = await self._source.clock()
        return {**clock.fields(), "demo": self._info.demo, "organisation": organisation.name}

    async def info(self, request: web.Request) -> web.Response:
        """What the installation is, and what can be chosen."""
        parameters_of(request, ())
        organisation = self._source.catalogue.organisation
        return json_answer(
            {
                **await self._envelope(),
                "version": self._info.version_text(),
                "zone": organisation.zone,
                "currency": organisation.currency,
                "aligned_score": organisation.aligned_score,
                "at_risk_score": organisation.at_risk_score,
                "windows": list(WINDOWS),
                "months": await self._source.months(),
                "register": self._info.register is not None,
                "reports": self._info.reports is not None,
                "orders": self._info.order is not None,
                "token": self._info.token,
                "connectors": self.connected is not None,
            }
        )

    async def csfs(self, request: web.Request) -> web.Response:
        """The eight tiles."""
        selection = await self._selection(parameters_of(request, SELECTION_PARAMETERS))
        document, tiles = await self._source.overview(selection)
        envelope = await self._envelope()
        return json_answer({**document, **envelope, "exits": await self._source.totals(), "csfs": tiles})

    async def csf(self, request: web.Request) -> web.Response:
        """One CSF: all KPIs, their months, its services."""
        selection = await self._selection(parameters_of(request, SELECTION_PARAMETERS))
        csf = one_of("csf", request.match_info["csf"], self._source.catalogue.csfs)
        return json_answer({**await self._source.page(csf, selection), **await self._envelope()})

    async def kpis(self, request: web.Request) -> web.Response:
        """Values as rows."""
        parameters = parameters_of(request, ROW_PARAMETERS)
        source = self._source
        scopes = (await source.directory()).scopes()
        asked = parse_range(parameters, source.catalogue, scopes, source.calendar, await source.data_now())
        question = rows_question(asked, source.calendar)
        return json_answer(await source.reader.shared(("kpis", asked), FRESH_S, question))

    async def series(self, request: web.Request) -> web.Response:
        """One line: a KPI's values, or the score of a CSF."""
        parameters = parameters_of(request, SERIES_PARAMETERS)
        source = self._source
        if ("kpi" in parameters) == ("csf" in parameters):
            raise BadParameterError("series needs a kpi or a csf; allowed: one of the two")
        if any("," in parameters.get(name, "") for name in ("kpi", "csf", "scope")):
            raise BadParameterError("series gives one line; allowed: one kpi or csf, and one scope")
        since = self._since(parameters, await source.data_now())
        parameters.setdefault("scope", "org")
        for name in {"kpi", "csf", "scope"} & parameters.keys():
            parameters[name] = parameters[name].strip()  # as of a list, which parse_range takes it for
        last = parameters.pop("last", None)
        scopes = (await source.directory()).scopes()
        asked = parse_range(parameters, source.catalogue, scopes, source.calendar, await source.data_now())
        csf = parameters.get("csf")
        question = series_question(asked, csf, since, source.calendar)
        key = ("series", asked, csf, last)
        points = await source.reader.shared(key, FRESH_S, question)
        kpi = source.catalogue.kpis[parameters["kpi"]] if csf is None else None
        return json_answer(
            {
                "kpi": kpi.id if kpi else None,
                "csf": kpi.csf if kpi else csf,
                "scope": parameters["scope"],
                "period": asked.period,
                "unit": kpi.unit if kpi else "points (0-100)",
                "decimals": kpi.decimals if kpi else 0,
                "direction": kpi.direction if kpi else "up",
                "points": points,
            }
        )

    @staticmethod
    def _since(parameters: Mapping[str, str], now_s: float) -> int | None:
        """Return the first end of live values to give, from the parameter ``last``; None for periods."""
        last = parameters.get("last")
        if "window" not in parameters:
            if last is not None:
                raise BadParameterError("last belongs to window; allowed: from and to for periods")
            return None
        window = one_of("window", parameters["window"], WINDOWS)
        span = max(3600, _LIVE_LENGTHS * WINDOWS[window])
        if last is not None:
            span = WINDOWS[one_of("last", last, WINDOWS)]
        return int(now_s) - span

    async def scopes(self, request: web.Request) -> web.Response:
        """The organisation, its teams and services."""
        parameters_of(request, ())
        directory = await self._source.directory()
        return json_answer({"scopes": directory.described(directory.scopes())})

    async def services(self, request: web.Request) -> web.Response:
        """Services with team and tier."""
        parameters_of(request, ())
        return json_answer({"services": (await self._source.directory()).described_services()})

    async def catalogue(self, request: web.Request) -> web.Response:
        """What CSFs and KPIs mean."""
        parameters_of(request, ())
        catalogue = self._source.catalogue
        return json_answer(
            {
                "digest": catalogue.digest,
                "csfs": [
                    {"id": c.id, "name": c.name, "statement": c.statement, "description": c.description}
                    for c in catalogue.csfs.values()
                ],
                "kpis": [definition(k, catalogue) for k in catalogue.kpis.values()],
            }
        )

    async def alerts(self, request: web.Request) -> web.Response:
        """What fires in a scope, and what changed there lately."""
        parameters = parameters_of(request, ("scope",))
        source = self._source
        changes, notes, names = await source.alerts(), await source.alert_notes(), await source.directory()
        scope = one_of("scope", parameters.get("scope", "org"), names.scopes())
        document = alerts_document(changes, notes, names, scope, source.calendar, source.now())
        return json_answer({**document, **(await source.clock()).fields()}, kept=False)  # an order must show at once

    async def exits(self, request: web.Request) -> web.Response:
        """Where every event ended."""
        parameters_of(request, ())
        document = exits_document(await self._source.exits(), self._source.calendar)
        return json_answer({**document, **(await self._source.clock()).fields()})

    async def connectors(self, request: web.Request) -> web.Response:
        """How every stream of every connector is doing."""
        parameters_of(request, ())
        assert self.connected is not None
        source = self._source
        document = connectors_document(await self.connected.now(), source.calendar, source.now())
        return json_answer({**document, **(await source.clock()).fields()})

    async def health(self, request: web.Request) -> web.Response:
        """Whether the store is well, in its own words."""
        parameters_of(request, ())
        line = await self._source.reader.shared("check", _CHECK_S, lambda store: store.check())
        return json_answer({"store": line, "streams": self.streams.open, **(await self._source.clock()).fields()})

    async def progress(self, request: web.Request) -> web.Response:
        """How far the pipeline is behind, as the worker says."""
        parameters_of(request, ())
        if self._info.progress is None:
            raise web.HTTPNotFound
        return json_answer(dict(await self._info.progress()))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """What changes, as server-sent events."""
        parameters = parameters_of(request, (*SELECTION_PARAMETERS, "csf"))
        csf = parameters.pop("csf", None)
        if csf is not None:
            one_of("csf", csf, self._source.catalogue.csfs)
        selection = await self._selection(parameters)
        if self.streams.open >= MOST_STREAMS:
            return json_answer({"error": f"{MOST_STREAMS} viewers are served already; ask csfs again and again"}, 503)
        return await self.streams.serve(request, selection, csf)

    async def no_route(self, request: web.Request) -> web.Response:
        """Say what there is instead."""
        names = (
            "info, csfs, csfs/ID, kpis, series, scopes, services, catalogue, alerts, connectors, exits, health, progress, "
            "stream, sips, sips/ID, baseline, comments, report, reports"
        )
        asked = request.match_info["rest"][:80]
        return json_answer({"error": f"there is no {API}/{asked}; allowed: {names}"}, 404)

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page."""
        return self._pages["index.html"].answer(request)

    async def no_page(self, request: web.Request) -> web.StreamResponse:
        """Say in the page that there is none of that name."""
        answer = self._pages["index.html"].answer(request)
        if answer.status == 200:
            answer.set_status(404)
        return answer

    async def static(self, request: web.Request) -> web.StreamResponse:
        """A file of the page."""
        page = self._pages.get(request.match_info["name"])
        if page is None:
            raise web.HTTPNotFound
        return page.answer(request)


def setup(
    app: web.Application,
    store_factory: Callable[[], KpiStore],
    catalogue: Catalogue,
    info: ConsoleInfo | Mapping[str, Any],
) -> None:
    """Mount page and API into an application; the store is opened at the first question, in a thread.

    Args:
        app: not yet started; routes it already has win over the console's.
        store_factory: opens the KPI store for reading.
        catalogue: whose CSFs, KPIs and services are shown.
        info: about the installation, or a mapping with its fields.
    """
    known = ConsoleInfo.of(info)
    reader = StoreReader(store_factory)
    reports = Reports(known.reports) if known.reports is not None else None
    more = reports.routes(API) if reports is not None else []
    office = None
    if known.register is not None:
        office = OfficeThread(known.register, store_factory, catalogue)
        entered = reports.forget if reports is not None else lambda: None
        more += Programmes(office, token=known.token, entered=entered).routes(API)
    source = Source(reader, catalogue)
    if known.order is not None:
        more += Orders(source, known.order, token=known.token).routes(API)
    console = Console(source, known, load_pages(), more)
    app.on_response_prepare.append(add_headers)
    app.add_routes(console.routes())

    async def end_streams(_app: web.Application) -> None:
        console.streams.end()

    async def close_stores(_app: web.Application) -> None:
        await reader.close()
        if console.connected is not None:
            await console.connected.close()
        if office is not None:
            await office.close()

    app.on_shutdown.append(end_streams)
    app.on_cleanup.append(close_stores)
