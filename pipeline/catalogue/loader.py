"""The catalogue from its directories: the built-in one, overlaid by an organisation's own."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.catalogue import alerts, model
from pipeline.catalogue.breakdowns import expand
from pipeline.catalogue.check import check
from pipeline.catalogue.check_alerts import check_alerts
from pipeline.catalogue.check_routes import check_routes
from pipeline.catalogue.derived_alerts import derived_rules
from pipeline.catalogue.reading import entries, read_yaml, rule_kind, typed, unique
from pipeline.errors import CatalogueError

#: The catalogue that comes with the program.
BUILT_IN = Path(__file__).parent

_FILES = (
    "organisation.yaml", "csfs.yaml", "services.yaml", "targets.yaml", "goals.yaml", "channels.yaml", "routes.yaml",
)  # fmt: skip
_CURRENCY = "$currency"

#: Folders of lists that may be spread over any number of files.
_FOLDERS = ("kpis", "insights", "alerts")

Entry = TypeVar("Entry", model.Csf, model.Service, model.Goal, alerts.Channel, alerts.Route)


@dataclass
class Found:
    """What was read so far, with where each entry comes from for messages."""

    organisation: dict[str, Any] = field(default_factory=dict)
    csfs: dict[str, model.Csf] = field(default_factory=dict)
    kpis: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: dict[str, model.Service] = field(default_factory=dict)
    targets: list[model.Target] = field(default_factory=list)
    goals: dict[str, model.Goal] = field(default_factory=dict)
    insights: dict[str, model.Insight] = field(default_factory=dict)
    rules: dict[str, alerts.AnyRule] = field(default_factory=dict)
    channels: dict[str, alerts.Channel] = field(default_factory=dict)
    #: in the order in which they are tried: those of a later directory before those of an earlier one
    routes: dict[str, alerts.Route] = field(default_factory=dict)
    #: (file, id) to a place such as ``kpis/reliability.yaml: kpi 'mttr'``
    places: dict[tuple[str, str], str] = field(default_factory=dict)


def _shown(directory: Path, path: Path) -> str:
    """Return a file as messages name it: built-in files by their short name."""
    return path.relative_to(BUILT_IN).as_posix() if directory == BUILT_IN else str(path)


def _id(entry: dict[str, Any], where: str, what: str, number: int) -> str:
    name = entry.get("id")
    if not isinstance(name, str) or not name:
        raise CatalogueError(f"{where}: {what} {number}: the key 'id' is missing or no text")
    return name


def _take(
    found: dict[str, Entry], places: dict[tuple[str, str], str], path: Path, shown: str, what: str, kind: type[Entry]
) -> None:
    read = entries(read_yaml(path), shown, what)
    ids = [_id(entry, shown, what, i) for i, entry in enumerate(read, 1)]
    unique(ids, shown, f"{what} id")
    for name, entry in zip(ids, read, strict=True):
        place = places[what, name] = f"{shown}: {what} '{name}'"
        found[name] = typed(entry, kind, place)


def _take_organisation(found: Found, path: Path, shown: str) -> None:
    data = read_yaml(path)
    if data is None:
        return
    if not isinstance(data, dict):
        raise CatalogueError(f"{shown}: expected a mapping such as 'zone: Europe/Berlin'")
    typed(data, model.Organisation, shown)  # each file alone is right, so that messages name it
    found.organisation |= data
    found.places["organisation", ""] = shown


def _take_targets(found: Found, path: Path, shown: str) -> None:
    for i, entry in enumerate(entries(read_yaml(path), shown, "target"), 1):
        place = f"{shown}: target {i}"
        found.places["target", str(len(found.targets))] = place
        found.targets.append(typed(entry, model.Target, place))


def _folder(directory: Path, folder: str, what: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield id, entry and place of every entry in the files of a folder; raises for an id that is there twice."""
    seen: dict[str, str] = {}
    for path in sorted((directory / folder).glob("*.yaml")):
        shown = _shown(directory, path)
        for i, entry in enumerate(entries(read_yaml(path), shown, what), 1):
            name = _id(entry, shown, what, i)
            if name in seen:
                other = "" if seen[name] == shown else f" (also in {seen[name]})"
                raise CatalogueError(f"{shown}: the {what} id '{name}' is there twice{other}; remove or rename one")
            seen[name] = shown
            yield name, entry, f"{shown}: {what} '{name}'"


def _take_kpis(found: Found, directory: Path) -> None:
    for name, entry, place in _folder(directory, "kpis", "kpi"):
        found.kpis[name] = entry
        found.places["kpi", name] = place


def _take_insights(found: Found, directory: Path) -> None:
    for name, entry, place in _folder(directory, "insights", "insight"):
        found.insights[name] = typed(entry, model.Insight, place)
        found.places["insight", name] = place


def _take_rules(found: Found, directory: Path) -> None:
    for name, entry, place in _folder(directory, "alerts", "rule"):
        rule = found.rules[name] = typed(entry, rule_kind(entry, place), place)
        found.places["rule", name] = place
        if rule.derived:
            raise CatalogueError(f"{place}: derived: is set by the loader; remove it")


def _take_routes(found: Found, path: Path, shown: str) -> None:
    taken: dict[str, alerts.Route] = {}
    _take(taken, found.places, path, shown, "route", alerts.Route)
    found.routes = {**taken, **{name: route for name, route in found.routes.items() if name not in taken}}


def _refuse_unread(directory: Path) -> None:
    """Raise for a file of YAML, or a name that is nearly one of ours: it would be overlooked silently."""
    ours = [*_FILES, *_FOLDERS]
    for path in sorted(p for p in directory.iterdir() if p.name not in ours):
        near = difflib.get_close_matches(path.name, ours, n=1, cutoff=0.85)
        yaml = path.suffix in {".yaml", ".yml"} and path.is_file()
        folder = difflib.get_close_matches(path.stem, _FOLDERS, n=1, cutoff=0.85) if yaml else []
        if folder:
            raise CatalogueError(f"{path}: is not read; such lists lie in a folder: move it to '{folder[0]}/own.yaml'")
        if near:
            raise CatalogueError(f"{path}: is not read; did you mean '{near[0]}'? Rename it")
        if yaml:
            folders = ", ".join(f"{name}/*.yaml" for name in _FOLDERS)
            raise CatalogueError(f"{path}: is not read; a catalogue holds {', '.join(_FILES)} and {folders}")
    for path in sorted(p for folder in _FOLDERS for p in (directory / folder).glob("*.yml")):
        raise CatalogueError(f"{path}: is not read; rename it to '{path.stem}.yaml'")


def _read(found: Found, directory: Path) -> None:
    if not directory.is_dir():
        raise CatalogueError(f"{directory}: no such catalogue directory; create it or name another")
    _refuse_unread(directory)
    readers: dict[str, Callable[[Path, str], None]] = {
        "organisation.yaml": lambda p, s: _take_organisation(found, p, s),
        "csfs.yaml": lambda p, s: _take(found.csfs, found.places, p, s, "csf", model.Csf),
        "services.yaml": lambda p, s: _take(found.services, found.places, p, s, "service", model.Service),
        "goals.yaml": lambda p, s: _take(found.goals, found.places, p, s, "goal", model.Goal),
        "targets.yaml": lambda p, s: _take_targets(found, p, s),
        "channels.yaml": lambda p, s: _take(found.channels, found.places, p, s, "channel", alerts.Channel),
        "routes.yaml": lambda p, s: _take_routes(found, p, s),
    }
    for name, reader in readers.items():
        path = directory / name
        if path.exists():
            reader(path, _shown(directory, path))
    _take_kpis(found, directory)
    _take_insights(found, directory)
    _take_rules(found, directory)


def _with_currency(measure: object, currency: str) -> object:
    """Return a measure with ``$currency`` in its expressions replaced by the organisation's currency as text."""
    if not isinstance(measure, dict):
        return measure
    return {k: v.replace(_CURRENCY, repr(currency)) if isinstance(v, str) else v for k, v in measure.items()}


def _kpi(entry: dict[str, Any], organisation: model.Organisation, place: str) -> model.Kpi:
    kpi = typed({**entry, "measure": _with_currency(entry.get("measure"), organisation.currency)}, model.Kpi, place)
    if kpi.breakdown_of is not None:
        raise CatalogueError(f"{place}: breakdown_of: is set by the loader; use 'breakdown' at the other KPI")
    unit = kpi.unit.replace(_CURRENCY, organisation.currency)
    return kpi if unit == kpi.unit else msgspec.structs.replace(kpi, unit=unit)


def _digest(catalogue: model.Catalogue) -> str:
    return hashlib.sha256(msgspec.json.encode(catalogue, order="deterministic")).hexdigest()


def load_catalogue(*directories: Path | None) -> model.Catalogue:
    """Return the built-in catalogue overlaid by directories, in order (None is skipped).

    An entry of a later directory replaces the whole entry of the same id; targets are added; the organisation
    merges key by key. A directory may hold any of the files.

    Raises:
        CatalogueError: one sentence with file, key, what is wrong and what is allowed.
    """
    found = Found()
    for directory in (BUILT_IN, *(Path(d) for d in directories if d is not None)):
        try:
            _read(found, directory)
        except OSError as error:
            raise CatalogueError(f"{directory}: cannot be read: {error.strerror or error}") from None
    place = found.places.get(("organisation", ""), "organisation.yaml")
    organisation = typed(found.organisation, model.Organisation, place)
    kpis: dict[str, model.Kpi] = {}
    for name, entry in found.kpis.items():
        at = found.places["kpi", name]
        kpi = _kpi(entry, organisation, at)
        for each in expand(kpi, at):
            if each.id in kpis or (each.id != name and each.id in found.kpis):
                raise CatalogueError(f"{at}: breakdown: gives the id '{each.id}', which another KPI has")
            kpis[each.id] = each
            found.places.setdefault(("kpi", each.id), at)
    catalogue = model.Catalogue(
        organisation, found.csfs, kpis, found.services, found.targets, found.goals, found.insights
    )
    check(catalogue, found.places)
    catalogue = _with_alerts(catalogue, found)
    return msgspec.structs.replace(catalogue, digest=_digest(catalogue))


def _with_alerts(catalogue: model.Catalogue, found: Found) -> model.Catalogue:
    """Return the catalogue with what alerts: rules that follow from it, in whose place own ones of the same id are."""
    derived = derived_rules(catalogue) if catalogue.organisation.derived_alerts else ()
    rules: dict[str, alerts.AnyRule] = {rule.id: rule for rule in derived} | found.rules
    whole = msgspec.structs.replace(
        catalogue, alerts=rules, channels=found.channels, routes=list(found.routes.values())
    )
    check_alerts(whole, found.places)
    check_routes(whole, found.places)
    return msgspec.structs.replace(whole, alerts={name: rule for name, rule in rules.items() if rule.enabled})
