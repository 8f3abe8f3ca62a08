"""``csf catalogue``: check, list and document the KPI catalogue."""

from __future__ import annotations

from pathlib import Path

import click

from cli.output import counted, print_rows, say
from pipeline.catalogue.insight_reference import insight_reference
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue
from pipeline.catalogue.reference import reference
from pipeline.events.schemas import schema_files

_DIRECTORY = click.argument("directory", required=False, type=click.Path(path_type=Path))
_COLUMNS = [
    *("csf", "kpi", "name", "unit", "direction", "target", "amber", "red"),
    *("weight", "min_sample", "breakdown_of", "version"),
]


@click.group()
def catalogue() -> None:
    """Check, list and document the catalogue of CSFs and KPIs."""


@catalogue.command()
@_DIRECTORY
def check(directory: Path | None) -> None:
    """Check the built-in catalogue, or that overlaid by DIRECTORY; say what is wrong and where."""
    loaded = load_catalogue(directory)
    parts = sum(kpi.breakdown_of is not None for kpi in loaded.kpis.values())
    say(
        f"The catalogue is right: {len(loaded.csfs)} CSFs, {len(loaded.kpis) - parts} KPIs and {parts} breakdowns, "
        f"{counted(len(loaded.services), 'service')}, {counted(len(loaded.targets), 'target')}, "
        f"{counted(len(loaded.goals), 'goal')}, {counted(len(loaded.insights), 'insight rule')} "
        f"(digest {loaded.digest[:12]})."
    )


def _rows(loaded: Catalogue) -> list[dict[str, object]]:
    return [
        {
            "csf": kpi.csf,
            "kpi": kpi.id,
            "name": kpi.name,
            "unit": kpi.unit,
            "direction": kpi.direction,
            "target": kpi.target,
            "amber": kpi.thresholds.amber if kpi.thresholds else None,
            "red": kpi.thresholds.red if kpi.thresholds else None,
            "weight": kpi.weight,
            "min_sample": kpi.min_sample,
            "breakdown_of": kpi.breakdown_of,
            "version": kpi.version,
        }
        for csf in loaded.csfs
        for kpi in loaded.kpis.values()
        if kpi.csf == csf
    ]


@catalogue.command("list")
@_DIRECTORY
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="How to print.",
    show_default=True,
)
def list_kpis(directory: Path | None, fmt: str) -> None:
    """List the KPIs of the built-in catalogue, or of that overlaid by DIRECTORY."""
    print_rows(_rows(load_catalogue(directory)), _COLUMNS, fmt)


def _stale(files: dict[Path, str]) -> list[Path]:
    """Return the files that are not as they would be written."""
    return [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]


@catalogue.command()
@_DIRECTORY
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if a file is not current.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("docs"), help="Where to.", show_default=True
)
def docs(directory: Path | None, only_check: bool, out: Path) -> None:
    """Write kpi-reference.md, insights.md and the JSON Schemas of all events."""
    loaded = load_catalogue(directory)
    files = {out / "kpi-reference.md": reference(loaded), out / "insights.md": insight_reference(loaded)}
    files |= {out / "events" / name: text for name, text in schema_files().items()}
    stale = _stale(files)
    # only named, never removed: the directory may be anyone's
    strange = [path for path in sorted((out / "events").glob("*.json")) if path not in files]
    for path in strange:
        say(f"{path} is the schema of no event type; remove it", err=True)
    if only_check:
        for path in stale:
            say(f"{path} is not current; run: csf catalogue docs", err=True)
        if stale or strange:
            raise click.exceptions.Exit(1)
        say(f"{len(files)} files in {out} are current.")
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], "utf-8")
        say(f"wrote {path}")
    if not stale:
        say(f"{len(files)} files in {out} were current already.")
