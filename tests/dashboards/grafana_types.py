"""Check the generated boards against the types that Grafana publishes (npm ``@grafana/schema``), with TypeScript.

By hand, since it fetches packages: ``python -m tests.dashboards.grafana_types [VERSION ...]`` (9.4.7 and 12.0.1 unless told
otherwise; needs node and npm). Every piece of every board becomes a literal of its published type, in which TypeScript refuses
fields that the type does not have and values it does not allow. What a panel's own options are is published for stat, lines, bars,
legends and tables only in part; queries and transformations' options are not published.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dashboards.build import GENERATED
from tests.dashboards.grafana import panels_of

VERSIONS = ("9.4.7", "12.0.1")
#: enumerations as the words they stand for, everything optional: what must be there is tried by Grafana's own defaults
_LOOSE = (
    "type Loose<T> = T extends string ? `${T}` : T extends number ? number : T extends boolean ? T"
    " : T extends Array<infer U> ? Loose<U>[] : T extends object ? {[K in keyof T]?: Loose<T[K]>} : T;"
)
_LINES = "s.LineConfig & s.FillConfig & s.AxisConfig & s.HideableFieldConfig & {gradientMode?: s.GraphGradientMode}"
_CUSTOM = {
    "timeseries": "s.GraphFieldConfig",
    "barchart": _LINES,
    "table": "s.TableFieldOptions & {filterable?: boolean}",
    "stat": "{}",
    "state-timeline": "s.HideableFieldConfig & {lineWidth?: number, fillOpacity?: number, spanNulls?: boolean}",
}
_STAT = (
    "s.SingleStatBaseOptions & {textMode: s.BigValueTextMode, colorMode: s.BigValueColorMode,"
    " graphMode: s.BigValueGraphMode, justifyMode: s.BigValueJustifyMode}"
)
#: what Grafana does, but its published types leave out: null as the first threshold and as a special value, and the
#: tags of an annotation query and what a data source keeps in it
KNOWN = (
    r"Type 'null' is not assignable to type 'number \| undefined'",
    r"""Type '"null"' is not assignable to type '"true" \| "false" \| undefined'""",
    r"""'"type"' does not exist in type '\{ key\?: string \| undefined; datasource\?:""",
    r"""'"(refId|fromAnnotations)"' does not exist in type '\{ (limit\?: number|key\?: string) \| undefined;""",
)

Literal = tuple[str, Any]


def literals(board: dict[str, Any]) -> Iterator[Literal]:
    """Yield (type, value) of every piece of a board whose type is published."""
    apart = {"panels", "templating", "annotations"}
    yield "Omit<s.Dashboard, 'panels' | 'templating' | 'annotations'>", _without(board, apart)
    for annotation in board["annotations"]["list"]:
        yield "s.AnnotationQuery", annotation
    for variable in board["templating"]["list"]:
        yield "s.VariableModel", {k: variable[k] for k in ("type", "name", "label", "hide", "skipUrlSync")}
    for row in (p for p in board["panels"] if p["type"] == "row"):
        yield "Omit<s.RowPanel, 'panels'>", _without(row, {"panels"})
    for panel in panels_of(board):
        yield from _panel(panel)


def _panel(panel: dict[str, Any]) -> Iterator[Literal]:
    apart = {"options", "fieldConfig", "targets", "transformations", "links"}
    yield "Omit<s.Panel, 'options' | 'fieldConfig'>", _without(panel, apart)
    for transformation in panel.get("transformations", []):
        yield "s.DataTransformerConfig", transformation
    if panel["type"] == "stat":
        yield _STAT, panel["options"]
    if panel["type"] in {"timeseries", "barchart", "state-timeline"}:
        yield "s.OptionsWithLegend & s.OptionsWithTooltip", {k: panel["options"][k] for k in ("legend", "tooltip")}
    if "fieldConfig" in panel:
        yield from _fields(panel["fieldConfig"], _CUSTOM[panel["type"]])


def _fields(config: dict[str, Any], custom: str) -> Iterator[Literal]:
    yield "Omit<s.FieldConfig, 'custom'>", _without(config["defaults"], {"custom"})
    yield custom, config["defaults"]["custom"]
    for one in config["overrides"]:
        yield "s.MatcherConfig", one["matcher"]
        named = {p["id"]: p["value"] for p in one["properties"]}
        yield custom, {k.removeprefix("custom."): v for k, v in named.items() if k.startswith("custom.")}
        yield "Omit<s.FieldConfig, 'custom'>", {k: v for k, v in named.items() if not k.startswith("custom.")}


def _without(part: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {k: v for k, v in part.items() if k not in names}


def faults(version: str, folder: Path) -> tuple[int, list[str]]:
    """Return how many pieces were checked against a version's types, and what TypeScript says against them."""
    packages = [f"schema@npm:@grafana/schema@{version}", "typescript@5"]
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    subprocess.run([*install, *packages], check=True)
    lines = ['import * as s from "schema";', _LOOSE]
    for path in sorted(GENERATED.glob("*.json")):
        for kind, value in literals(json.loads(path.read_text())):
            lines.append(f"export const x{len(lines)}: Loose<{kind}> = {json.dumps(value)};")
    (folder / "boards.ts").write_text("\n".join(lines))
    compiler = [str(folder / "node_modules" / ".bin" / "tsc"), "--noEmit", "--strict", "--skipLibCheck"]
    run = subprocess.run(
        [*compiler, "--moduleResolution", "node", "--target", "es2020", "boards.ts"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in run.stdout.splitlines() if "error TS" in line]
    return len(lines) - 2, [line for line in said if not any(re.search(known, line) for known in KNOWN)]


def main(versions: list[str]) -> int:
    """Check against versions and print what is wrong; return the exit code."""
    wrong = 0
    for version in versions or VERSIONS:
        with tempfile.TemporaryDirectory() as folder:
            checked, found = faults(version, Path(folder))
        print(f"@grafana/schema {version}: {checked} pieces checked, {len(found)} faults")
        print("\n".join(line[:300] for line in found[:20]))
        wrong += len(found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
