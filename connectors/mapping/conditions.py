"""Conditions on the columns of a row."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from connectors.mapping.model import Mapping, When
from connectors.mapping.values import Row, as_text, cleaner


def condition(when: list[When], mapping: Mapping) -> Callable[[Row], bool]:
    """Return what says whether all conditions hold of a row."""
    if not when:
        return lambda _row: True
    clean = cleaner(frozenset(mapping.missing))
    tests = [(each.column, _test(each)) for each in when]
    return lambda row: all(test(clean(row[column])) for column, test in tests)


def _test(when: When) -> Callable[[Any], bool]:
    if when.among is not None:
        among = frozenset(when.among)
        return lambda raw: raw is not None and as_text(raw) in among
    if when.not_among is not None:
        not_among = frozenset(when.not_among)
        return lambda raw: raw is None or as_text(raw) not in not_among
    if when.matches is not None:
        search = re.compile(when.matches).search
        return lambda raw: raw is not None and search(as_text(raw)) is not None
    return lambda raw: (raw is not None) == when.present
