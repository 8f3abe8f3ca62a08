"""Pages of the shipped connectors, made from their declarations so that they cannot drift from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from connectors.engine.auth import needed
from connectors.engine.declaration import Declaration, Opaque, Stream, Window
from connectors.engine.load import load_declaration, shipped
from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.plan import build_plan
from pipeline.events.families import TYPES

#: fields that the incidents' states say where a source does not
_DERIVED = {"acknowledged_at"}
#: fields of which absence means that there is none
_NONE_IF_ABSENT = ("breach", "reopen_count")
#: The line that says of a page how it is made.
MADE = "<!-- made by `csf connector docs` from {what}: change that, not this page -->"
_TESTED = {
    "peer": "Tested against the real thing.",
    "shapes": "*Shape-tested*: against answers of the documented shape only, never against a live tenant. Say so where you rely on it.",
}


def pages() -> dict[Path, str]:
    """Return the pages, by their place below the project's folder."""
    declarations = {name: load_declaration(name) for name in shipped()}
    found = {
        Path("connectors") / name / "README.md": _page(d, shipped()[name].parent) for name, d in declarations.items()
    }
    return {**found, Path("docs/connectors/sources.md"): _index(declarations)}


def _types(stream: Stream) -> list[str]:
    return sorted({str(event["type"]) for event in stream.mapping["events"]})


def _fields(stream: Stream) -> list[str]:
    return sorted({str(field) for event in stream.mapping["events"] for field in event["data"]})


def _index(declarations: dict[str, Declaration]) -> str:
    rows = [
        f"| [{d.title}](../../connectors/{name}/README.md) | {d.what} | {', '.join(sorted({t for s in d.streams for t in _types(s)}))} "
        f"| {'real peer' if d.tested == 'peer' else 'shapes only'} |"
        for name, d in declarations.items()
    ]
    return "\n".join(
        [
            "# Sources that can be read", "", MADE.format(what="connectors/*/connector.yaml"), "",
            "How they are configured and run: [pull connectors](pulling.md). Any other system with a JSON API: [writing a "
            "connector](../writing-a-connector.md).", "",
            "| source | reads | events | tested against |", "| --- | --- | --- | --- |", *rows, "",
        ]
    )  # fmt: skip


def _page(d: Declaration, folder: Path) -> str:
    lines = [
        f"# {d.title}", "", MADE.format(what="connector.yaml and sample.yaml"), "", f"Reads {d.what}. {_TESTED[d.tested]}", "",
        "```yaml", (folder / "sample.yaml").read_text("utf-8").rstrip(), "```", "",
        f"`csf connector test NAME`, `csf connector run NAME`; all keys: [pull connectors](../../docs/connectors/pulling.md). Polled every {d.poll_s:g} s.", "",
        "## Options", "", "| option | what | default |", "| --- | --- | --- |",
        *(f"| `{name}` | {_cell(o.what)} | {'`' + _cell(str(o.default)) + '`' if o.default is not None else 'needed' + _example(o.example)} |"
          for name, o in d.options.items()), "",
        "## Credentials", "", *(_way(name, needed(way), sole=len(d.auth) == 1) for name, way in d.auth.items()), "",
        "## Streams", "", *(line for stream in d.streams for line in _stream(stream)),
        "## KPIs", "", _kpis(d), "",
    ]  # fmt: skip
    if d.limits:
        lines += ["## Limits", "", *(f"* {limit}" for limit in d.limits), ""]
    if d.facts:
        lines += ["## Where this was read", "", *(f"* {fact}" for fact in d.facts), ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _example(example: str) -> str:
    return f", for example `{_cell(example)}`" if example else ""


def _way(name: str, keys: tuple[set[str], set[str]], *, sole: bool) -> str:
    must, may = (", ".join(f"`{k}`" for k in sorted(each)) for each in keys)
    use = "" if sole else f"`use: {name}`: "
    return f"* {use}{must or 'nothing is asked'}{f', maybe {may}' if may else ''}"


def _stream(stream: Stream) -> list[str]:
    lines = [
        f"### {stream.name}", "", f"{stream.what[:1].upper()}{stream.what[1:]}: `{stream.request.method} {stream.request.path}`.", "",
        f"* Events: {', '.join(f'`{t}`' for t in _types(stream))} with {', '.join(_fields(stream))}",
        *(f"* Needs: {permission}" for permission in stream.permissions),
        *(["* Read only where `streams` names it"] if stream.on_request else []),
    ]  # fmt: skip
    if isinstance(stream.cursor, Window):
        lines.append(f"* By time, {_span(stream.cursor.lag_s)} behind; {_span(stream.cursor.overlap_s)} are read again")
    if isinstance(stream.cursor, Opaque):
        lines.append(f"* By the source's own cursor, which is kept; {_span(stream.cursor.lag_s)} behind")
    if stream.unfinished is not None:
        lines.append(f"* What is not final is asked for again at every poll, at most {stream.unfinished.most} of them")
    return [*lines, ""]


def _span(seconds: float) -> str:
    """Return a length of time in the largest unit that it is whole numbers of."""
    for unit, length in (("days", 86_400), ("h", 3600)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _kpis(d: Declaration) -> str:
    plan = build_plan(load_catalogue(None))
    told_fields = _told(d)
    kpis = [
        k
        for k in plan.catalogue.kpis.values()
        if k.breakdown_of is None and plan.types_of_kpi[k.id] & told_fields.keys()
    ]
    names = [k.id for k in kpis if _feeds(k.measure, told_fields) and k.id not in d.lacks]
    told = []
    if names:
        told.append(f"Its events feed {_names(names)}.")
    if lacking := [k.id for k in kpis if k.id not in names]:
        told.append(f"They lack what {_names(lacking)} would need.")
    if silent := [k.id for k in kpis if k.id in names and _silent(k.measure, told_fields)]:
        told.append(f"They do not say what {_names(silent)} counts; none is counted from them.")
    if reported := _reported(d):
        told.append(
            f"It reports {_names(reported)} by the month; a value that is computed from events beats a reported one."
        )
    return " ".join(told)


def _told(d: Declaration) -> dict[str, dict[str, set[str]]]:
    """Return the event types that are told, their fields, and of each the values that are always the same."""
    found: dict[str, dict[str, set[str]]] = {}
    for event in (e for stream in d.streams for e in stream.mapping["events"]):
        fields = found.setdefault(str(event["type"]), {})
        for name, value in event["data"].items():
            constants = fields.setdefault(str(name), set())
            if isinstance(value, dict):
                constants |= {str(said) for said in (value.get("const"), *(value.get("map") or {}).values()) if said}
    return found


def _feeds(measure: object, told: dict[str, dict[str, set[str]]]) -> bool:
    """Return whether one event type has all fields that a measure needs and that are unknown where they are not told.

    What a measure derives where it is not told (an acknowledgement from the states of an incident) is not needed.
    """
    said: dict[str, Any] = msgspec.to_builtins(measure)
    expressions = " ; ".join(str(said[part]) for part in ("where", "at", "of", "value") if said.get(part))
    types = [t for t in said.get("events", ()) if t in told]
    return not types or any(_suffices(expressions, t, told[t]) for t in types)


def _silent(measure: object, told: dict[str, dict[str, set[str]]]) -> bool:
    """Return whether no event type tells what a measure counts, and absence means "none" there."""
    said: dict[str, Any] = msgspec.to_builtins(measure)
    counted = {name for part in ("where", "of") for name in _NONE_IF_ABSENT if name in str(said.get(part) or "")}
    return bool(counted) and not any(counted & told[t].keys() for t in said.get("events", ()) if t in told)


def _suffices(expressions: str, kind: str, fields: dict[str, set[str]]) -> bool:
    optional = {f.encode_name for f in msgspec.structs.fields(TYPES[kind][1]) if f.default is None} - _DERIVED
    wanted = set(re.findall(r"[a-z_]+", re.sub(r"'[^']*'", "", expressions)))
    alternatives = set(re.findall(r"([a-z_]+) is not None", expressions))
    equal = re.findall(r"([a-z_]+) == '([^']*)'", expressions)
    return (wanted & optional) - alternatives <= fields.keys() and all(
        value in fields[name] for name, value in equal if fields.get(name)
    )


def _names(kpis: list[str]) -> str:
    return ", ".join(f"`{kpi}`" for kpi in kpis)


def _reported(d: Declaration) -> list[str]:
    """Return the KPIs whose monthly values a connector brings ready-made."""
    said = [e["data"]["kpi"] for s in d.streams for e in s.mapping["events"] if e["type"] == "kpi.reported"]
    return list(dict.fromkeys(str(kpi["const"]) for kpi in said if isinstance(kpi, dict) and "const" in kpi))
