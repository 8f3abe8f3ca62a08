"""What a connector declares: one YAML file a source, ``connectors/<source>/connector.yaml``.

Texts may hold ``{option:name}``, filled once from the configuration, and requests ``{name}``, filled for every request:
``since``, ``until`` (also in the ``forms`` of the window), ``length`` (seconds between them), ``time`` and ``id`` (the last
record of a keyset), ``each`` names and what was asked for at the start.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.mapping.model import When


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a configuration says under ``options``.

    Attributes:
        what: one sentence for people.
        default: its value where the configuration says none; without one it must be said.
        example: a value as it may look.
        many: it is a list.
    """

    what: str
    default: str | list[str] | None = None
    example: str = ""
    many: bool = False


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One HTTP request.

    Attributes:
        path: below the base address.
        method: GET or POST.
        query: parameters of the address.
        headers: further headers.
        body: of a POST, sent as JSON.
    """

    path: str
    method: Literal["GET", "POST"] = "GET"
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: dict[str, Any] | None = None


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
    """The body holds a token for the next page at ``path``; ends where it is empty, or ``last`` is true.

    Attributes:
        path: where the token is.
        token: the parameter that takes it: of the query, or of the body of a POST.
        last: path of a flag in the body: this was the last page.
        limit: the parameter for the size of a page.
        size: records of a page that are asked for.
    """

    path: str
    token: str
    last: str | None = None
    limit: str | None = None
    size: int = 100


class AfterLast(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="last"):
    """The next page is what follows the last record: its column goes into a parameter; ends at an empty page.

    Attributes:
        path: the column of the last record.
        token: the parameter that takes it: of the query, or of the body of a POST.
        limit: the parameter for the size of a page.
        size: records of a page that are asked for.
    """

    path: str
    token: str
    limit: str | None = None
    size: int = 100


Paginator = OnePage | Offset | PageNumber | LinkHeader | NextUrl | Token | AfterLast


class TooMany(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an answer says that it is cut off: a status whose body holds a text, or so many records of one window."""

    status: int | None = None
    says: str = ""
    rows: int | None = None


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="window"):
    """Records by time, from ``since`` to ``until``; the cursor moves once all pages of a window are delivered.

    Attributes:
        format: how the request writes times: iso, epoch_s, epoch_ms or strftime's form.
        zone: of times by strftime's form.
        forms: further ways to write the window's times, name → strftime's form: ``month: "%Y-%m-01"`` gives requests
            ``since_month`` and ``until_month``, so that buckets of a source are asked for whole.
        lag_s: the newest seconds are left for the next poll: rows committed late with an older time.
        overlap_s: seconds before the window that are read again.
        step_s: longest window of one request.
        narrowest_s: shortest window that is asked for where an answer is cut off.
        newest_first: the source has no filter by time: records are read until this column is older than the window.
        too_many: how an answer says that it is cut off.
    """

    format: str = "iso"
    zone: str = "UTC"
    forms: dict[str, str] = {}
    lag_s: float = 60.0
    overlap_s: float = 0.0
    step_s: float = 30 * 86_400.0
    narrowest_s: float = 1.0
    newest_first: str | None = None
    too_many: TooMany | None = None


class Keyset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="keyset"):
    """Records after the last one, by (time, id); the cursor moves with every page.

    Attributes:
        time: the column that records are ordered by, in the form that requests take.
        id: the column that orders records of one time.
        format, zone: how the request writes ``until`` and the first ``time``.
        ties: query parameters that ask for the records of the last time with a greater id; where the request itself
            asks for both, it is left out.
        lag_s: as for a window.
    """

    time: str
    id: str
    format: str = "iso"
    zone: str = "UTC"
    ties: dict[str, str] = {}
    lag_s: float = 60.0


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="snapshot"):
    """The source shows what is there now; every poll reads all of it.

    Records have the column ``polled_at``, the time of the poll, for states that no time of the source belongs to.
    """


Cursor = Window | Keyset | Snapshot


class Also(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A further request a record, whose records are put into it.

    Attributes:
        request: may name columns of the record as ``{record:path}``.
        records: where the array is in its answer; "": the answer itself.
        only: records of which all hold.
    """

    request: Request
    records: str = ""
    only: list[When] = []


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A CSV file of the organisation; records that no row belongs to say nothing.

    Attributes:
        file: its path, from the folder of the configuration.
        match: column of the record → column of the file that holds the same, capitals or not.
    """

    file: str
    match: dict[str, str]


class Fold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"of": "list"}):
    """A column made of a list in the record.

    Attributes:
        of: the column that holds the list (``list``); where it holds none, the column is missing.
        take: the number of its elements, or the earliest or latest time among them.
        column: of an element: its time, ISO 8601; elements without one do not count.
    """

    of: str
    take: Literal["count", "earliest", "latest"]
    column: str = ""


class Unfinished(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Entities that are not final are asked for again, at every poll, until they are.

    Attributes:
        request: for one of them, named by ``{record:path}``, of what ``keep`` keeps.
        record: where it is in the answer; "": the answer itself.
        keep: columns that the request needs.
        final: conditions that hold of one that will not change any more.
        most: at most so many are remembered; beyond it the oldest are given up, and counted.
    """

    request: Request
    record: str = ""
    keep: list[str]
    final: list[When]
    most: int = 2000


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of record.

    Attributes:
        name: of the stream.
        what: one sentence for people.
        each: variable → option that lists its values: the stream is read once for each.
        request: how records are asked for.
        records: where the array is in the body, a path; "": the body itself.
        omits_empty: an answer without the array holds no record; else it is refused.
        columns: where the names of the columns are in the body, where records are arrays of values.
        doubts: where an answer says that it is not the whole truth (a flag, a list that is not empty) → what that means.
        explode: a column that holds an array: every element becomes a record of its own, the element as ``each``.
        join: a file whose rows say what of the records is the organisation's.
        also: name → further request a record.
        folds: name → what is made of a list in the record.
        paginator, cursor: how pages and polls follow one another.
        id: columns that name the entity, check or sample.
        version: columns that name its version; where there are none, what is said of it.
        covers: ``all``: the source speaks for every service; ``seen``: for those it named so far.
        unfinished: entities that are asked for again.
        permissions: what the credentials must be allowed.
        mapping: from record to events, in the language of file imports, without the keys that describe a file.
    """

    name: str
    what: str
    request: Request
    records: str = ""
    omits_empty: bool = False
    columns: str | None = None
    each: dict[str, str] = {}
    doubts: dict[str, str] = {}
    explode: str | None = None
    join: Join | None = None
    also: dict[str, Also] = {}
    folds: dict[str, Fold] = {}
    paginator: Paginator = OnePage()
    cursor: Cursor
    id: list[str]
    version: list[str] = []
    covers: Literal["all", "seen"] = "all"
    unfinished: Unfinished | None = None
    permissions: list[str] = []
    mapping: dict[str, Any]


class NoAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="none"):
    """No credentials."""


class Basic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="basic"):
    """``username`` and ``password`` of the configuration."""


class Bearer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="bearer"):
    """``token`` of the configuration, as ``Authorization: Bearer``; from a file, it is read for every request."""


class HeaderAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="header"):
    """Headers that hold secrets, each named in braces: ``Authorization: "Token token={token}"``."""

    headers: dict[str, str]


class ParameterAuth(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="parameter"
):
    """Parameters that hold secrets, each named in braces: ``api_key: "{key}"``; of a form where one is sent, else of the query."""

    parameters: dict[str, str]


class OAuth2(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="oauth2"):
    """OAuth 2: ``client_id`` and ``client_secret`` for a token; with ``refresh_token`` in the configuration by that.

    Attributes:
        token_url: where tokens are given.
        scope: what is asked for.
        parameters: further fields of the request.
        client: how the client names itself: in the ``body`` of the request, or by ``basic``.
    """

    token_url: str
    scope: str = ""
    parameters: dict[str, str] = {}
    client: Literal["body", "basic"] = "body"


class GitHubApp(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="github_app"
):
    """A GitHub App: ``app_id``, ``installation_id`` and ``private_key`` of the configuration; ``address``: of the API."""

    address: str


class GoogleAccount(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="google"
):
    """A service account of Google: ``service_account`` of the configuration is its key file; ``scope``: what is asked for."""

    scope: str


class AwsSigned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="aws"):
    """Signature Version 4 of AWS, by ``access_key_id`` and ``secret_access_key`` (maybe ``session_token``), or a role.

    Attributes:
        service: as AWS calls it in signatures, such as autoscaling.
        region: of the service.
    """

    service: str
    region: str


Auth = NoAuth | Basic | Bearer | HeaderAuth | ParameterAuth | OAuth2 | GitHubApp | GoogleAccount | AwsSigned


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Headers of a vendor that say how many requests are left, and when there are more.

    Attributes:
        remaining: the header that counts down to 0.
        reset: the header that says when.
        form: seconds from now, epoch seconds, or an ISO time.
    """

    remaining: str
    reset: str
    form: Literal["seconds", "epoch_s", "iso"] = "seconds"


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something the source is asked once: ``take`` is its path in the answer."""

    request: Request
    take: str


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole connector.

    Attributes:
        name: of the connector.
        title: the source's name for people.
        what: one sentence: what it reads.
        tested: ``peer``: against the real thing; ``shapes``: against answers of the documented shape only.
        limits: what it cannot see, one sentence each.
        base: the address that paths are below.
        options: what a configuration says under ``options``.
        auth: ways to be let in; a configuration names one where there are several.
        ask: variable → (request, path in the answer): asked once at the start.
        rate_limit: the vendor's headers; Retry-After is always honoured.
        refused_as_limit: a 403 that names one of these texts is a rate limit, not a refusal.
        poll_s: seconds between polls.
        streams: what is read.
    """

    name: str
    title: str
    what: str
    tested: Literal["peer", "shapes"] = "shapes"
    limits: list[str] = []
    base: str
    options: dict[str, Option] = {}
    auth: dict[str, Auth]
    ask: dict[str, Ask] = {}
    rate_limit: RateLimit | None = None
    refused_as_limit: list[str] = []
    poll_s: float = 60.0
    streams: list[Stream]
