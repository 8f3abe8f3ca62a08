"""Requests, and how the pages of their answers follow one another, as a declaration names them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.engine.texts import places
from connectors.mapping.model import When


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One HTTP request.

    Attributes:
        path: below the base address.
        method: GET or POST; DELETE only to let a source forget what was made there (``job.end``).
        query: parameters of the address.
        headers: further headers.
        body: of a POST, sent as JSON.
        form: of a POST, sent as a form.
        answers: what comes back: ``json``; ``ndjson`` and ``csv``: a list of records; ``xml``: objects by the names of
            elements; ``metrics``: Prometheus text, a list of ``{name, labels, value}``.
    """

    path: str
    method: Literal["GET", "POST", "DELETE"] = "GET"
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    answers: Literal["json", "ndjson", "csv", "xml", "metrics"] = "json"


class OnePage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="none"):
    """Everything is in one answer."""


class Offset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="offset"):
    """Pages by the number of records before them; ends where ``more`` or ``total`` say so, or at an empty page.

    Attributes:
        offset, limit: the parameters' names.
        size: records of a page that are asked for.
        more: path of a flag in the body: there are more.
        total: path of the number of all records in the body.
        most: the vendor refuses an offset beyond this many records.
    """

    offset: str = "offset"
    limit: str = "limit"
    size: int = 100
    more: str | None = None
    total: str | None = None
    most: int | None = None


class PageNumber(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="page"):
    """Pages by their number; ends after ``pages``, or at an empty page.

    Attributes:
        page, limit: the parameters' names.
        size: records of a page that are asked for.
        first: the first page's number.
        pages: path of the number of pages in the body.
    """

    page: str = "page"
    limit: str = "per_page"
    size: int = 100
    first: int = 1
    pages: str | None = None


class LinkHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="link"):
    """The header ``Link`` names the next page (``rel="next"``); ends where it does not."""

    limit: str = "per_page"
    size: int = 100


class NextUrl(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="next"):
    """The body holds the address of the next page at ``path``; ends where it is empty.

    Attributes:
        path: where the address is.
        parameter: of the address only this parameter is taken, all else stays as in the first request: for sources
            whose address forgets the filters.
        limit: the parameter for the size of a page.
        size: records of a page that are asked for.
    """

    path: str
    parameter: str | None = None
    limit: str | None = None
    size: int = 100


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="token"):
    """The body holds a token for the next page at ``path``; ends where it is empty, ``last`` is true or ``more`` is not.

    Attributes:
        path: where the token is.
        token: the parameter that takes it: of the query, or of the body of a POST (``variables.after`` is within it).
        last: path of a flag in the body: this was the last page.
        more: path of a flag in the body: there is another page.
        limit: the parameter for the size of a page.
        size: records of a page that are asked for.
    """

    path: str
    token: str
    last: str | None = None
    more: str | None = None
    limit: str | None = None
    size: int = 100


class AfterLast(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="last"):
    """The next page is what follows the last record: its column goes into a parameter; ends at an empty page.

    Attributes:
        path: the column of the last record.
        token: the parameter that takes it: of the query, or of the body of a POST.
        limit: the parameter for the size of a page.
        size: records of a page that are asked for.
        carries: further parameters of the next request → paths in the answer, where it has them.
    """

    path: str
    token: str
    limit: str | None = None
    size: int = 100
    carries: dict[str, str] = {}


Paginator = OnePage | Offset | PageNumber | LinkHeader | NextUrl | Token | AfterLast


class Also(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A further request a record, whose records are put into it.

    Attributes:
        request: may name columns of the record as ``{record:path}``.
        records: where the array is in its answer; "": the answer itself.
        only: records of which all hold.
        optional: a record has none where there is nothing at the address (404, 410), or a column is missing that the
            request names; else that is refused.
        paginator: how its pages follow one another.
    """

    request: Request
    records: str = ""
    only: list[When] = []
    optional: bool = False
    paginator: Paginator = OnePage()


class Parents(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the records belong to: asked for at every poll; the stream's request is made once for each.

    The request names columns of a parent as ``{parent:path}``; records have the parent as their column ``parent``.

    Attributes:
        request: for the parents.
        records: where the array is in the body; "": the body itself.
        only: parents of which all hold.
        paginator: how its pages follow one another.
    """

    request: Request
    records: str = ""
    only: list[When] = []
    paginator: Paginator = OnePage()


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An export that the source makes first: started, waited for, then fetched by the stream's request.

    Attributes:
        start: the request that starts it; may name what the stream's request may.
        id: path of its name in the answer: ``{job}`` in the requests that follow.
        status: asks how far it is; left out: it is there at once.
        done: conditions on that answer that say it is there.
        failed: conditions that say it will not come.
        give: variable of the stream's request → path in the last answer: ``{file: result.fileId}``.
        end: the request that lets the source forget it, once all pages were read; what it answers does not matter.
        every_s: seconds between questions.
        most_s: seconds after which it is given up, to be started anew.
    """

    start: Request
    id: str
    status: Request | None = None
    done: list[When] = []
    failed: list[When] = []
    give: dict[str, str] = {}
    end: Request | None = None
    every_s: float = 5.0
    most_s: float = 1800.0


def named(request: Request) -> set[str]:
    """Return the names of all places of a request."""
    return places([request.path, dict(request.query), dict(request.headers), request.body, request.form])
