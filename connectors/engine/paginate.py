"""Pages: from a first request to all its answers, each paginator a few lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from connectors.engine.client import Answer, Call, CutOff
from connectors.engine.declared_requests import (
    AfterLast,
    LinkHeader,
    NextUrl,
    Offset,
    OnePage,
    PageNumber,
    Paginator,
    Token,
)
from connectors.mapping.fields import field_at
from pipeline.errors import SourceRefused

#: More pages than this follow one another only where a source leads in a circle.
MOST_PAGES = 100_000
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_NEXT = re.compile(r"""\brel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|'[^']*\bnext\b[^']*'|next\b)""", re.IGNORECASE)
Ask = Callable[[Call], Answer]
Records = Callable[[Answer], list[Any]]
#: From an answer and its records to the call for the next page; None at the end.
Turn = Callable[[Answer, list[Any]], Call | None]


def pages(first: Call, paginator: Paginator, ask: Ask, records: Records) -> Iterator[list[Any]]:
    """Yield the records of every page; a short page is not taken for the last one.

    Raises:
        CutOff: the source gives no more though there is more.
        SourceRefused: pages never end.
    """
    asked, turn = _STARTS[type(paginator)](first, paginator)
    for _ in range(MOST_PAGES):
        answer = ask(asked)
        found = records(answer)
        yield found
        following = turn(answer, found)
        if following is None:
            return
        if following == asked:
            raise SourceRefused(
                f"{first.url.partition('?')[0]}: names the same page as the next one; it would never end"
            )
        asked = following
    raise SourceRefused(f"{first.url.partition('?')[0]}: has more than {MOST_PAGES} pages; ask for less at once")


def with_parameter(call: Call, name: str | None, value: object) -> Call:
    """Return a call with a parameter: of the query, or of the body or form where it has one."""
    if name is None:
        return call
    if call.body is not None:
        return replace(call, body=_put(call.body, name, value))
    if call.form is not None:
        return replace(call, form={**call.form, name: str(value)})
    return replace(call, query={**call.query, name: str(value)})


def _put(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a body with a value at a path, as far as the objects on it are there."""
    head, _, rest = path.partition(".")
    if rest and isinstance(body.get(head), dict):
        return {**body, head: _put(body[head], rest, value)}
    return {**body, path: value}


def value_at(body: Any, path: str) -> Any:
    """Return what a path of a body leads to; None where it leads nowhere."""
    return field_at(body, path) if isinstance(body, dict) else None


def _number_at(answer: Answer, path: str | None) -> int | None:
    """Return a number of a body; None where it says none (some sources say null instead of counting)."""
    said = value_at(answer.body, path) if path else None
    try:
        return None if said is None else int(said)
    except (TypeError, ValueError):
        raise SourceRefused(
            f"{answer.url.partition('?')[0]}: '{path}' is {str(said)[:80]!r}, which is no number"
        ) from None


def _one(first: Call, _paginator: OnePage) -> tuple[Call, Turn]:
    return first, lambda _answer, _found: None


def _offset(first: Call, p: Offset) -> tuple[Call, Turn]:
    first = with_parameter(first, p.limit, p.size)
    at = 0

    def turn(answer: Answer, found: list[Any]) -> Call | None:
        nonlocal at
        count = len(found)
        at += count
        total = _number_at(answer, p.total)
        if p.more is not None:
            going_on = bool(value_at(answer.body, p.more)) and count > 0
        elif total is not None:
            going_on = at < total and count > 0
        else:
            going_on = count > 0
        if not going_on:
            return None
        if p.most is not None and at + p.size > p.most:
            raise CutOff(max(1, total - at) if total is not None else 1)
        return with_parameter(first, p.offset, at)

    return with_parameter(first, p.offset, 0), turn


def _page(first: Call, p: PageNumber) -> tuple[Call, Turn]:
    first = with_parameter(first, p.limit, p.size)
    number = p.first

    def turn(answer: Answer, found: list[Any]) -> Call | None:
        nonlocal number
        known = _number_at(answer, p.pages)
        number += 1
        if not found or (known is not None and number - p.first >= known):
            return None
        return with_parameter(first, p.page, number)

    return with_parameter(first, p.page, number), turn


def _link(first: Call, p: LinkHeader) -> tuple[Call, Turn]:
    def turn(answer: Answer, _found: list[Any]) -> Call | None:
        url = next_link(answer.headers.get("link", ""))
        return Call(urljoin(answer.url, url), headers=first.headers) if url else None

    return with_parameter(first, p.limit, p.size), turn


def next_link(header: str) -> str | None:
    """Return the address that a ``Link`` header names as the next page."""
    return next((url for url, rest in _LINK.findall(header) if _NEXT.search(rest)), None)


def _next(first: Call, p: NextUrl) -> tuple[Call, Turn]:
    first = with_parameter(first, p.limit, p.size)

    def turn(answer: Answer, _found: list[Any]) -> Call | None:
        url = value_at(answer.body, p.path)
        if not url:
            return None
        if p.parameter is None:
            return Call(urljoin(answer.url, str(url)), headers=first.headers)
        said = dict(parse_qsl(urlsplit(str(url)).query)).get(p.parameter)
        if said is None:
            where, found = first.url.partition("?")[0], str(url)[:200]
            raise SourceRefused(f"{where}: the address of the next page has no parameter '{p.parameter}': {found}")
        return with_parameter(first, p.parameter, said)

    return first, turn


def _token(first: Call, p: Token) -> tuple[Call, Turn]:
    first = with_parameter(first, p.limit, p.size)

    def turn(answer: Answer, _found: list[Any]) -> Call | None:
        token = value_at(answer.body, p.path)
        if not token or (p.last is not None and value_at(answer.body, p.last)):
            return None
        if p.more is not None and not value_at(answer.body, p.more):
            return None
        return with_parameter(first, p.token, token)

    return first, turn


def _last(first: Call, p: AfterLast) -> tuple[Call, Turn]:
    first = with_parameter(first, p.limit, p.size)

    def turn(answer: Answer, found: list[Any]) -> Call | None:
        if not found:
            return None
        last = value_at(found[-1], p.path)
        if last is None:
            raise SourceRefused(
                f"{first.url.partition('?')[0]}: the last record has no '{p.path}' to ask for the next page by"
            )
        call = with_parameter(first, p.token, last)
        for name, path in p.carries.items():
            if (said := value_at(answer.body, path)) is not None:
                call = with_parameter(call, name, said)
        return call

    return first, turn


_STARTS: dict[type, Callable[[Call, Any], tuple[Call, Turn]]] = {
    OnePage: _one, Offset: _offset, PageNumber: _page, LinkHeader: _link, NextUrl: _next, Token: _token,
    AfterLast: _last,
}  # fmt: skip
