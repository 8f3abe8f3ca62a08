"""What a connector declares: one YAML file a source, ``connectors/<source>/connector.yaml``.

Texts may hold ``{option:name}``, filled once from the configuration, and requests ``{name}``, filled for every request:
``since``, ``until`` (also in the ``forms`` of the window), ``length`` (seconds between them), ``time`` and ``id`` (the last
record of a keyset), ``each`` names, what was asked for at the start, and columns of ``parents`` as ``{parent:path}``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.engine.declared_auth import Auth
from connectors.engine.declared_requests import Also, Job, OnePage, Paginator, Parents, Request
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
        keeps_s: the source keeps records so long; what is older counts as not covered, and is told.
        narrowest_s: shortest window that is asked for where an answer is cut off.
        newest_first: the source has no filter by time: records are read until this column is older than the window.
        too_many: how an answer says that it is cut off.
        tells_by: of the records that ``shape`` makes only those count whose this column (epoch seconds) lies in the window,
            its beginning not included: for requests that read further back than the window, since what is told spans some
            time. Each is then told by one window.
    """

    format: str = "iso"
    zone: str = "UTC"
    forms: dict[str, str] = {}
    lag_s: float = 60.0
    overlap_s: float = 0.0
    step_s: float = 30 * 86_400.0
    keeps_s: float | None = None
    narrowest_s: float = 1.0
    newest_first: str | None = None
    too_many: TooMany | None = None
    tells_by: str | None = None


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


class Opaque(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="opaque"):
    """The source gives a cursor of its own with every page: it is kept, and the next poll asks on from it.

    Attributes:
        path: where an answer has it.
        parameter: as which requests take it.
        begin: query parameters of the first request, which has none yet (``{since}``); they are left out of all others.
        last: where an answer says that there is no more now; left out: it is so where an answer has no cursor.
        limit, size: parameter and number of records of a page.
        lost: how the source says that it does not know a cursor any more: reading begins again by ``begin``.
        again_s: so long before the end of the last poll it then begins, seconds.
        format, zone: how the request writes ``since``.
        lag_s: the newest seconds that the source leaves out, and that count as not covered yet.
    """

    path: str
    parameter: str
    begin: dict[str, str]
    last: str | None = None
    limit: str | None = None
    size: int = 1000
    lost: TooMany | None = None
    again_s: float = 3600.0
    format: str = "iso"
    zone: str = "UTC"
    lag_s: float = 60.0


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="snapshot"):
    """The source shows what is there now; every poll reads all of it.

    Records have the column ``polled_at``, the time of the poll, for states that no time of the source belongs to.

    Attributes:
        changes: columns: a record counts only where one of them differs from the poll before. What they were is its
            column ``before``, absent where it is seen for the first time, and ``moved`` says ``up`` or ``down`` where the
            first of them is a number; one that is gone counts once more, as it was
            last seen, with ``gone: true``.
        most: entities of which the last state is kept.
        keeps_s: as for a window: what happened is shown for so long.
    """

    changes: list[str] = []
    keeps_s: float | None = None
    most: int = 2000

    @property
    def change(self) -> list[str]:
        """The columns that name a change: what it went from, since when, and to; whoever sees it, it is the same."""
        return ["before_at", *self.changes, "gone"] if self.changes else []


Cursor = Window | Keyset | Snapshot | Opaque


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A CSV file of the organisation; records that no row belongs to say nothing.

    Attributes:
        file: its path, from the folder of the configuration.
        match: column of the record → column of the file that holds the same, capitals or not.
    """

    file: str
    match: dict[str, str]


class Beside(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A second array of the same answer; its elements are put into the records that they belong to.

    Attributes:
        records: where the array is; an answer may lack it. "": the answer itself.
        match: column of the record → column of the element that holds the same.
    """

    records: str
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

    One that is not there any more (404, 410) is told once more, as its kept columns with ``gone: true`` and ``polled_at``,
    where the mapping reads the column ``gone``.

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
        beside: name → a second array of the answer whose elements belong to records.
        folds: name → what is made of a list in the record.
        shape: a module of the connector's folder whose ``shaped`` makes of all records of a window, or of a look, those
            that events are made of: for what is beyond a declaration.
        parents: what the records belong to: the request is made for each.
        job: an export that has to be made before the request fetches it.
        paginator, cursor: how pages and polls follow one another.
        id: columns that name the entity, check or sample.
        version: columns that name its version; where there are none, what is said of it.
        covers: ``all``: the source speaks for every service; ``seen``: for those it named so far.
        unfinished: entities that are asked for again.
        permissions: what the credentials must be allowed.
        on_request: it is read only where a configuration names it under ``streams``.
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
    beside: dict[str, Beside] = {}
    folds: dict[str, Fold] = {}
    shape: str | None = None
    parents: Parents | None = None
    job: Job | None = None
    paginator: Paginator = OnePage()
    cursor: Cursor
    id: list[str]
    version: list[str] = []
    covers: Literal["all", "seen"] = "all"
    unfinished: Unfinished | None = None
    permissions: list[str] = []
    on_request: bool = False
    mapping: dict[str, Any]


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


class RefusedBy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"among": "in"}):
    """How a body refuses though its status says that all is well.

    Attributes:
        column: of the body.
        among: what it holds where the body is a refusal (``in``).
        says: the column that holds the reason.
    """

    column: str
    among: list[str]
    says: str


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
        facts: where it was read that the source is as declared here, one sentence each.
        lacks: KPIs that its events do not feed though their fields would do, because of a limit.
        base: the address that paths are below.
        options: what a configuration says under ``options``.
        auth: ways to be let in; a configuration names one where there are several.
        ask: variable → (request, path in the answer): asked once at the start.
        rate_limit: the vendor's headers; Retry-After is always honoured.
        refused_as_limit: a 403 that names one of these texts is a rate limit, not a refusal.
        refused_by: how a body refuses though its status is 200.
        poll_s: seconds between polls.
        streams: what is read.
    """

    name: str
    title: str
    what: str
    tested: Literal["peer", "shapes"] = "shapes"
    limits: list[str] = []
    facts: list[str] = []
    lacks: list[str] = []
    base: str
    options: dict[str, Option] = {}
    auth: dict[str, Auth]
    ask: dict[str, Ask] = {}
    rate_limit: RateLimit | None = None
    refused_as_limit: list[str] = []
    refused_by: RefusedBy | None = None
    poll_s: float = 60.0
    streams: list[Stream]
