"""JSON Schemas of every event type, envelope included, and a page that lists them: all from the structs."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from pipeline.events.envelope import Envelope
from pipeline.events.families import TYPES, event_topic

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ENVELOPE_WORDS = {
    "id": "Identifies the event together with source; a second event of the same pair is a duplicate.",
    "source": "Who says it: a system, a file.",
    "type": "The event type.",
    "time": "Event time, RFC 3339 with an offset.",
    "subject": "The service, by its id or by a vendor's id of it. Control events need none.",
    "sequence": "Orders what one source says.",
    "partitionkey": "The Kafka message key: what must stay in order shares one.",
    "csfteam": "The team of the subject: registers a service that the catalogue does not name.",
}


def _defined(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a struct and the definitions it refers to."""
    schema = msgspec.json.schema(kind)
    definitions = schema.pop("$defs", {})
    name = schema["$ref"].rsplit("/", 1)[1]
    return definitions.pop(name), definitions


def _envelope() -> type[msgspec.Struct]:
    """Return the envelope without ``data``, whose raw default no schema can show."""
    return msgspec.defstruct(
        "Event",
        [
            (f.name, f.type) if f.default is msgspec.NODEFAULT else (f.name, f.type, f.default)
            for f in msgspec.structs.fields(Envelope)
            if f.name != "data"
        ],
    )


def event_schema(event_type: str) -> dict[str, Any]:
    """Return the JSON Schema of one event type as it stands in Kafka, envelope and data."""
    _, struct = TYPES[event_type]
    envelope, _ = _defined(_envelope())
    data, definitions = _defined(struct)
    properties: dict[str, Any] = {
        name: {**schema, "description": _ENVELOPE_WORDS[name]} if name in _ENVELOPE_WORDS else schema
        for name, schema in envelope["properties"].items()
    }
    properties["specversion"] = {"const": "1.0"}
    properties["type"] = {"const": event_type, "description": _ENVELOPE_WORDS["type"]}
    properties["data"] = data
    for name in ("id", "source"):
        properties[name]["minLength"] = 1
    return {
        "$schema": _DRAFT,
        "$id": f"urn:csf-pulse:event:{event_type}",
        "title": event_type,
        "description": data.get("description", ""),
        "type": "object",
        # data stands in for an empty object only where none of its fields is required
        "required": [*envelope["required"], *(["data"] if data.get("required") else [])],
        "properties": properties,
        **({"$defs": definitions} if definitions else {}),
    }


def _words(schema: dict[str, Any]) -> str:
    """Return in a few words what a field may hold."""
    if "anyOf" in schema:
        return " or ".join(_words(part) for part in schema["anyOf"] if part.get("type") != "null")
    if "enum" in schema:
        return "one of " + ", ".join(f"`{word}`" for word in schema["enum"] if word is not None)
    if schema.get("format") == "date-time":
        return "time"
    if schema.get("type") == "array":
        return f"list of {_words(schema['items'])}"
    name = {"boolean": "true or false", "integer": "whole number", "string": "text", "object": "mapping"}
    kind = str(schema.get("type", "any"))
    limits = [f"from {schema['minimum']}"] if "minimum" in schema else []
    limits += [f"above {schema['exclusiveMinimum']}"] if "exclusiveMinimum" in schema else []
    limits += [f"to {schema['maximum']}"] if "maximum" in schema else []
    return " ".join([name.get(kind, kind), *limits])


def _fields(event_type: str) -> list[str]:
    data = event_schema(event_type)["properties"]["data"]
    required = set(data.get("required", []))
    lines = ["| field | holds | needed |", "| --- | --- | --- |"]
    for name, schema in data["properties"].items():
        default = schema.get("default")
        absent = "unknown if absent" if default is None else f"if absent: `{json.dumps(default)}`"
        lines.append(f"| `{name}` | {_words(schema)} | {'yes' if name in required else absent} |")
    return lines


def events_page() -> str:
    """Return the Markdown page that lists every event type with its fields."""
    lines = [
        "# Events",
        "",
        "<!-- made by `csf catalogue docs`: change the structs in pipeline/events, not this page -->",
        "",
        "Every event is a CloudEvents 1.0 JSON object, alone or in a JSON array (a batch). The files beside this page",
        "are JSON Schemas (draft 2020-12) of the whole event; the tables name the fields of `data`. Fields that are",
        "not listed are tolerated. What is checked beyond the shape (impossible times, scores outside their scale,",
        "numbers beyond 1e12) stands in [semantics](../semantics.md).",
    ]
    for event_type, (family, struct) in TYPES.items():
        doc = " ".join((struct.__doc__ or "").split())
        lines += ["", f"## {event_type}", "", f"Topic `{event_topic(family)}`. {doc}", ""]
        lines += [*_fields(event_type), "", f"Schema: [{event_type}.json]({event_type}.json)"]
    return "\n".join(lines) + "\n"


def schema_files() -> dict[str, str]:
    """Return the generated files of docs/events: name to text."""
    files = {f"{name}.json": json.dumps(event_schema(name), indent=2, ensure_ascii=False) + "\n" for name in TYPES}
    return {**files, "README.md": events_page()}
