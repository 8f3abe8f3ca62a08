"""Bodies of answers in the forms that sources use, as objects and lists of records."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import msgspec
from prometheus_client.parser import text_string_to_metric_families

#: Elements that hold one element of a list each, whatever their number: AWS's and the usual ones.
_OF_LISTS = frozenset({"member", "item", "entry"})


def decoded(raw: bytes, form: str) -> Any:
    """Return what a body says.

    Args:
        raw: the body.
        form: json, ndjson, csv, xml or metrics.

    Raises:
        ValueError: it is none of that form.
    """
    return _FORMS[form](raw) if raw.strip() else ([] if form in _LISTS else None)


def _json(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


def _ndjson(raw: bytes) -> list[Any]:
    return [msgspec.json.decode(line) for line in raw.splitlines() if line.strip()]


def _csv(raw: bytes) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as e:
        raise ValueError(f"line {reader.line_num}: {e}") from None
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"record {number - 1} has more or fewer fields than the header")
    return list(rows)


def _metrics(raw: bytes) -> list[dict[str, Any]]:
    return [
        {"name": sample.name, "labels": sample.labels, "value": sample.value}
        for family in text_string_to_metric_families(raw.decode())
        for sample in family.samples
    ]


def _xml(raw: bytes) -> Any:
    """Return an element as its text, or as name → what is in its elements; attributes and namespaces are left out."""
    try:
        root = ElementTree.fromstring(raw)  # noqa: S314 - expat refuses to expand without bound; nothing is fetched
    except ElementTree.ParseError as e:
        raise ValueError(str(e)) from None
    return {_plain(root.tag): _element(root)}


def _element(element: ElementTree.Element) -> Any:
    if not len(element):
        return (element.text or "").strip()
    names = [_plain(child.tag) for child in element]
    if set(names) <= _OF_LISTS:
        return [_element(child) for child in element]
    found: dict[str, Any] = {}
    for name, child in zip(names, element, strict=True):
        if names.count(name) > 1:
            found.setdefault(name, []).append(_element(child))
        else:
            found[name] = _element(child)
    return found


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


_FORMS: dict[str, Callable[[bytes], Any]] = {
    "json": _json, "ndjson": _ndjson, "csv": _csv, "xml": _xml, "metrics": _metrics,
}  # fmt: skip
_LISTS = frozenset({"ndjson", "csv", "metrics"})
