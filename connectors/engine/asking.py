"""The questions of a stream: its requests filled in, asked page by page, and the records taken out of the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from connectors.engine.client import Answer, Call
from connectors.engine.declaration import Beside, Opaque, Stream, TooMany
from connectors.engine.declared_requests import Also, Job, OnePage, Paginator, Request, named
from connectors.engine.paginate import pages, value_at, with_parameter
from connectors.engine.peer import Peer
from connectors.engine.records import Record, completed_by, holds
from connectors.engine.texts import filled
from connectors.mapping.fields import picked
from pipeline.errors import ServiceUnavailable, SourceGone, SourceRefused


class Asking:
    """Asks what a stream declares.

    Args:
        stream: which.
        client: asks the source.
        alive: called before every request; raises where reading is to stop.
        given: variables of every request.
        where: how messages name the stream.
        clock: seconds that never go back.
    """

    def __init__(
        self, stream: Stream, client: Peer, alive: Callable[[], None], given: dict[str, str], where: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._stream, self._client, self._alive, self._given, self._where = stream, client, alive, given, where
        self._clock = clock
        self._parents: list[Record] | None = None
        #: what the request of the moment was given: further requests for a record may ask for the same window
        self._asked: dict[str, Any] = given
        self._doubted: set[str] = set()
        #: answers without the array of records, of a source that leaves empty ones out, before one that had it; and what they had
        self._without, self._had = 0, ""
        self._proven = False

    def begin(self) -> None:
        """Begin a poll: parents may have come and gone."""
        self._parents = None

    def records(
        self, given: dict[str, Any], too_many: TooMany | None = None, request: Request | None = None
    ) -> Iterator[Iterator[list[Any]]]:
        """Yield the pages of records; once, or once for each parent.

        Args:
            given: variables of this reading, such as the window's times.
            too_many: how an answer says that it is cut off.
            request: instead of the stream's.

        Raises:
            CutOff: there is more than the source gives.
            ServiceUnavailable: the source does not answer, or an export does not come.
            SourceRefused: it refuses.
        """
        asked = request or self._stream.request
        if self._stream.parents is None:
            yield self._pages_of(asked, given, too_many, None)
            return
        for parent in self._all_parents():
            yield self._pages_of(asked, {**given, **_columns(self._named(asked), "parent:", parent)}, too_many, parent)

    def followed(self, cursor: Opaque, given: dict[str, Any], token: str) -> Iterator[tuple[list[Any], str]]:
        """Yield the records of every page and the source's cursor behind them, from a cursor on.

        Args:
            cursor: how the source gives and takes it.
            given: variables of this reading.
            token: the cursor; "": begin.

        Raises:
            CutOff: the source does not know the cursor.
            ServiceUnavailable: the source does not answer.
            SourceRefused: it refuses, or gives the same cursor for ever.
        """
        self._asked = given = {**self._given, **given}
        plain = with_parameter(self.call(self._stream.request, given), cursor.limit, cursor.size)
        while True:
            call = plain
            for name, value in {cursor.parameter: token}.items() if token else cursor.begin.items():
                call = with_parameter(call, name, filled(value, given, self._where) if not token else value)
            answer = self.ask(call, cursor.lost if token else None)
            found = completed_by(self._found(answer, self._stream.records), answer.body, self._stream.beside)
            after = value_at(answer.body, cursor.path)
            ended = bool(value_at(answer.body, cursor.last)) if cursor.last else not after
            if not ended and (not after or str(after) == token):
                raise SourceRefused(
                    f"{self._where}: the source says that there is more, but no other '{cursor.path}' to ask for it by"
                )
            token = str(after) if after else token
            yield found, token
            if ended:
                return

    def _pages_of(
        self, request: Request, given: dict[str, Any], too_many: TooMany | None, parent: Record | None
    ) -> Iterator[list[Any]]:
        self._asked = given = {**self._given, **given}
        if self._stream.job is not None:
            given |= self._made(self._stream.job, given)
        found = self._pages(request, given, self._stream.records, self._stream.paginator, too_many, self._stream.beside)
        for records in found:
            yield records if parent is None else [_with(r, "parent", parent) for r in records]
        if self._stream.job is not None and self._stream.job.end is not None:
            with suppress(ServiceUnavailable, SourceRefused):  # all was read; the source forgets it by itself, later
                self.ask(self.call(self._stream.job.end, given))

    def _all_parents(self) -> list[Record]:
        """Return the parents, asked for once a poll."""
        parents = self._stream.parents
        if self._parents is None and parents is not None:
            found = self._pages(parents.request, self._given, parents.records, parents.paginator)
            self._parents = [r for page in found for r in page if isinstance(r, dict) and holds(parents.only, r)]
        return self._parents or []

    def _named(self, request: Request) -> set[str]:
        """Return the places of all requests that are made for one parent."""
        job = self._stream.job
        return set().union(
            *(
                named(each)
                for each in (request, *(each for each in (job and (job.start, job.status, job.end)) or () if each))
            )
        )

    def _made(self, job: Job, given: dict[str, Any]) -> dict[str, str]:
        """Return what names an export, once it is there."""
        started = self.ask(self.call(job.start, given))
        name = value_at(started.body, job.id)
        if name is None:
            raise SourceRefused(f"{started.url.partition('?')[0]}: starts no export: the answer has no '{job.id}'")
        if job.status is None:
            return {"job": str(name), **self._given_by(job, started)}
        given = {**given, "job": str(name)}
        end = self._clock() + job.most_s
        while True:
            answer = self.ask(self.call(job.status, given))
            body = answer.body if isinstance(answer.body, dict) else {}
            address = answer.url.partition("?")[0]
            if holds(job.done, body):
                break
            if job.failed and holds(job.failed, body):
                raise ServiceUnavailable(f"{address}: the export failed; it is started again at the next poll")
            if self._clock() >= end:
                raise ServiceUnavailable(f"{address}: the export is not there after {job.most_s:g} s")
            self._client.rest(job.every_s)
        return {"job": str(name), **self._given_by(job, answer)}

    def _given_by(self, job: Job, answer: Answer) -> dict[str, str]:
        """Return what the answer that says an export is there gives for the request that fetches it."""
        found = {}
        for variable, path in job.give.items():
            value = value_at(answer.body, path)
            if value is None:
                address = answer.url.partition("?")[0]
                raise SourceRefused(f"{address}: the export is done, but the answer has no '{path}'")
            found[variable] = str(value)
        return found

    def completed(self, record: Record) -> Record:
        """Return a record with what further requests say of it."""
        for name, also in self._stream.also.items():
            try:
                found = self._more(also, record)
            except SourceGone:
                if not also.optional:
                    raise
                found = []
            record = {**record, name: [r for r in found if isinstance(r, dict) and holds(also.only, r)]}
        return record

    def _more(self, also: Also, record: Record) -> list[Any]:
        """Return what a further request says of a record."""
        columns = {n.removeprefix("record:") for n in named(also.request) if n.startswith("record:")}
        if also.optional and None in picked(record, columns).values():
            return []
        given = {**self._asked, **self.of_record(also.request, record)}
        if not isinstance(also.paginator, OnePage):
            return [r for page in self._pages(also.request, given, also.records, also.paginator) for r in page]
        answer = self.ask(self.call(also.request, given))
        alone = isinstance(answer.body, dict) and not also.records
        return [answer.body] if alone else self._found(answer, also.records)

    @staticmethod
    def of_record(request: Request, record: Record) -> dict[str, str]:
        """Return the columns of a record that a request names."""
        return _columns(named(request), "record:", record)

    def call(self, request: Request, given: dict[str, Any]) -> Call:
        """Return a request with its places filled, as ``call_of`` does."""
        return call_of(request, self._client, given, self._where)

    def ask(self, call: Call, too_many: TooMany | None = None) -> Answer:
        """Return the answer to a call.

        Raises:
            CutOff: it says that there is too much.
            ServiceUnavailable: there is none.
            SourceRefused: the source refuses.
        """
        self._alive()
        self._client.address(call.url)

        def cut_off(status: int, text: str) -> bool:
            return too_many is not None and status == too_many.status and too_many.says.lower() in text.lower()

        return self._client.ask(call, cut_off)

    def _pages(
        self,
        request: Request,
        given: dict[str, Any],
        path: str,
        paginator: Paginator,
        too_many: TooMany | None = None,
        beside: Mapping[str, Beside] | None = None,
    ) -> Iterator[list[Any]]:
        first = self.call(request, given)
        return pages(
            first, paginator, lambda call: self.ask(call, too_many),
            lambda a: completed_by(self._found(a, path), a.body, beside or {}),
        )  # fmt: skip

    def doubted(self) -> set[str]:
        """Return what answers said, since the last call, of not being the whole truth."""
        doubted, self._doubted = self._doubted, set()
        return doubted

    def without_records(self) -> tuple[int, str]:
        """Return how many answers had nothing where the records are declared to be, and what they had instead.

        Once one had records there, the path is right, and it is none: a source that leaves empty arrays out says nothing with that.
        """
        return (0, "") if self._proven else (self._without, self._had)

    def _found(self, answer: Answer, path: str) -> list[Any]:
        found = answer.body if not path else value_at(answer.body, path)
        self._doubted |= {what for at, what in self._stream.doubts.items() if value_at(answer.body, at)}
        of_records = path == self._stream.records
        if isinstance(found, list):
            self._proven |= of_records
            return self._by_column(found, answer)
        keys = ", ".join(map(str, answer.body))[:200] if isinstance(answer.body, dict) else type(answer.body).__name__
        if found in (None, "") and self._stream.omits_empty and isinstance(answer.body, dict):
            if of_records:
                self._without, self._had = self._without + 1, keys
            return []  # an empty element of XML is an empty text
        where = f"'{path}'" if path else "a list"
        raise SourceRefused(
            f"{self._where}: the answer has no {where} to hold the records; it has: {keys or 'nothing'}"
        )

    def _by_column(self, rows: list[Any], answer: Answer) -> list[Any]:
        """Return rows of values as records, where the answer names its columns apart."""
        path = self._stream.columns
        if path is None:
            return rows
        names = value_at(answer.body, path)
        if not isinstance(names, list):
            raise SourceRefused(f"{self._where}: the answer has no list '{path}' that names the columns")
        return [
            dict(zip(map(str, names), row, strict=False)) if isinstance(row, list) and len(row) == len(names) else row
            for row in rows
        ]


def call_of(request: Request, client: Peer, given: dict[str, Any], where: str) -> Call:
    """Return a request with its places filled.

    Raises:
        ConfigError: there is nothing for one.
        SourceRefused: it would leave the source's machine.
    """
    form = filled(request.form, given, where)
    return Call(
        client.address(filled(request.path, given, where)), request.method,
        {k: str(v) for k, v in filled(dict(request.query), given, where).items()},
        filled(dict(request.headers), given, where), filled(request.body, given, where),
        None if form is None else {k: str(v) for k, v in form.items()}, request.answers,
    )  # fmt: skip


def _columns(names: set[str], kind: str, record: Any) -> dict[str, str]:
    """Return the columns that places of a kind name, by the name of their place."""
    columns = {n: n.removeprefix(kind) for n in names if n.startswith(kind)}
    row = picked(record if isinstance(record, dict) else {}, columns.values())
    return {name: str(row[column]) for name, column in columns.items()}


def _with(record: Any, name: str, value: Any) -> Any:
    return {name: value, **record} if isinstance(record, dict) else record
