"""Events decoded whole: envelope and typed data in one step, for types whose events come in masses.

The two steps of ``pipeline.events.validate`` cost twice as much. What this decoder refuses may still be right, or
wrong for another reason: only the two steps decide, and name the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args

import msgspec

from pipeline.events.families import TYPES
from pipeline.events.validate import NUMBER_LIMIT, NUMBERS

_Given = Annotated[str, msgspec.Meta(min_length=1)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


def _sane(kind: Any) -> Any:
    """Return a number's type with the bounds of sane numbers: a check of its own would cost a call an event."""
    inner = next(t for t in get_args(kind) if t is not type(None)) if type(None) in get_args(kind) else kind
    given = next((m for m in getattr(inner, "__metadata__", ()) if isinstance(m, msgspec.Meta)), msgspec.Meta())
    least = {"gt": given.gt} if given.gt is not None else {"ge": -NUMBER_LIMIT if given.ge is None else given.ge}
    bounded = Annotated[float, msgspec.Meta(**least, le=NUMBER_LIMIT)]
    return bounded if inner is kind else bounded | None


def _data_struct(event_type: str) -> type[msgspec.Struct]:
    """Return the struct of a type's data: its family's, with sane numbers, and of no interest to the collector."""
    struct, numbers = TYPES[event_type][1], NUMBERS.get(event_type)
    if numbers is None:
        return struct
    known = msgspec.structs.fields(struct)
    fields: list[Any] = []
    for each in known:
        kind = _sane(each.type) if each.name in numbers else each.type
        fields.append((each.name, kind) if each.required else (each.name, kind, each.default))
    names = {each.name: each.encode_name for each in known}
    return msgspec.defstruct(struct.__name__, fields, rename=names, gc=False)


@lru_cache
def whole_structs(event_types: frozenset[str]) -> dict[str, type[msgspec.Struct]]:
    """Return the struct of whole events of each of these types; no cycles, so the collector need not look at them."""
    tags: dict[str, dict[str, Any]] = {t: {"tag_field": "type", "tag": t} for t in event_types}
    if len(event_types) == 1:  # where a struct stands alone, its tag may be missing
        tags = {t: {} for t in event_types}
    made = {}
    for event_type in sorted(event_types):
        fields: list[Any] = [
            ("specversion", Literal["1.0"]),
            ("id", _Given),
            ("source", _Given),
            ("time", _Instant),
            ("data", _data_struct(event_type)),
            *([] if tags[event_type] else [("type", Literal[event_type])]),
            ("subject", str, ""),
            ("datacontenttype", str, "application/json"),
            ("sequence", int | str | None, None),
            ("partitionkey", str | None, None),
            ("csfteam", str | None, None),
        ]
        made[event_type] = msgspec.defstruct("Whole", fields, gc=False, **tags[event_type])
    return made


def whole_decoder(event_types: frozenset[str]) -> Callable[[bytes | msgspec.Raw], Any]:
    """Return a function from the bytes of an event of one of these types to the event, with its data typed.

    The function raises for anything else: the exceptions of msgspec, and those of wrong UTF-8 or deep nesting.
    """
    structs = tuple(whole_structs(event_types).values())
    return msgspec.json.Decoder(Union[structs]).decode  # noqa: UP007 - a union made at run time
