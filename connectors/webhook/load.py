"""Finding and reading forms of webhooks and the configuration of a receiver, every mistake in one sentence."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import Any

import msgspec

from connectors.engine.config import Entry, Reading, options_of
from connectors.engine.load import mapping_of
from connectors.engine.reading import converted, suggestion
from connectors.engine.secrets import Secrets, read_secret
from connectors.engine.texts import with_options
from connectors.webhook.form import Form, Told
from connectors.webhook.signature import check_signature, key_of
from pipeline.catalogue.reading import read_yaml, unique
from pipeline.engine.plan import ENTITY_TYPES
from pipeline.errors import ConfigError

_FOLDER = Path(__file__).resolve().parent / "forms"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\s]+)):(?P<port>\d{1,5})")
_MOST_SECRETS = 4


class HookEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One sender of an organisation.

    Attributes:
        name: the last part of its address, and with the form's name the source of its events, so it stays.
        form: a shipped one, or the path of a declaration.
        secrets: where the secrets are, as ``{env: NAME}`` or ``{file: PATH}``; any of them lets in, so that one can be changed.
        options: what the form asks for.
        services, other_service, team, values: as for a pull connector.
    """

    name: str
    form: str
    secrets: list[Any]
    options: dict[str, str | int | float | list[str]] = {}
    services: dict[str, str] = {}
    other_service: str | None = None
    team: str | None = None
    values: dict[str, dict[str, dict[str, Any]]] = {}


class ReceiverEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A receiver's configuration.

    Attributes:
        listen: ``host:port``; port 0: a free one.
        behind_proxy: the address of a client is the last one in X-Forwarded-For: only for a proxy that sets it.
        requests_s: how many requests one address may make a second; ten times as many at once after a pause.
        hooks: who may send.
    """

    listen: str = "127.0.0.1:8787"
    behind_proxy: bool = False
    requests_s: float = 50.0
    hooks: list[HookEntry]


@dataclass(frozen=True)
class Hook:
    """One sender, ready to be received.

    Attributes:
        entry: services, team and name, as records of pull connectors are mapped by them.
        form: its declaration.
        keys: any of them proves a delivery.
        readings: what it tells, options filled in.
        secrets: what no message may hold.
    """

    entry: Entry
    form: Form
    keys: tuple[bytes, ...]
    readings: tuple[tuple[Told, Reading], ...]
    secrets: Secrets

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.entry.name

    @property
    def source(self) -> str:
        """What its events name as their source."""
        return f"webhook/{self.form.name}/{self.entry.name}"


@dataclass(frozen=True)
class Receiver:
    """A receiver's configuration, ready to run."""

    host: str
    port: int
    behind_proxy: bool
    requests_s: float
    hooks: tuple[Hook, ...]


def shipped_forms() -> dict[str, Path]:
    """Return the forms that come with the program: name → file."""
    return {path.parent.name: path for path in sorted(_FOLDER.glob("*/form.yaml"))}


def load_form(name: str, beside: Path | None = None) -> Form:
    """Return a form by the name of a shipped one, or by the path of its file (or of a folder with form.yaml).

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    path = shipped_forms().get(name)
    if path is None:
        path = (beside or Path()) / name
        path = path if isfile(path) else path / "form.yaml"
        if not isfile(path):
            close = difflib.get_close_matches(name, shipped_forms(), 1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(
                f"there is no form '{name}'{hint} (there are: {', '.join(shipped_forms())}; or name a .yaml file)"
            )
    form = converted(read_yaml(path), Form, str(path))
    _check(form, str(path))
    return form


def _check(form: Form, where: str) -> None:
    if not _NAME.fullmatch(form.name):
        raise ConfigError(f"{where}: name: '{form.name}' must be of a-z, 0-9 and '-'")
    check_signature(form.signature, f"{where}: signature")
    if form.cloudevents == bool(form.told):
        raise ConfigError(f"{where}: say under told what is sent, or cloudevents: true where it is events of ours")
    unique((t.name for t in form.told), where, "kind under told")
    shown: dict[str, str | list[str]] = {n: ["x"] if o.many else "x" for n, o in form.options.items()}
    for told in form.told:
        at = f"{where}: told {told.name}"
        if not told.id:
            raise ConfigError(f"{at}: id: name the columns that name a record")
        converted(with_options({**msgspec.to_builtins(told), "mapping": {}}, shown, at), Told, at)
        mapping = mapping_of(told.stream(), shown, at)
        if len({e.type in ENTITY_TYPES for e in mapping.events}) > 1:
            raise ConfigError(f"{at}: mapping: entities and other events need kinds of their own")


def load_receiver(path: Path) -> Receiver:
    """Return the receiver that a file configures, secrets read.

    Raises:
        ConfigError: naming file, hook and key.
    """
    entry = converted(read_yaml(path), ReceiverEntry, str(path))
    if not entry.hooks:
        raise ConfigError(f"{path}: hooks: name at least one sender")
    if not entry.requests_s > 0:
        raise ConfigError(f"{path}: requests_s must be greater than 0")
    unique((h.name for h in entry.hooks), str(path), "hook")
    listen = _LISTEN.fullmatch(entry.listen)
    if listen is None or int(listen["port"]) > 65_535:
        raise ConfigError(f"{path}: listen: '{entry.listen}' must be host:port, for example 127.0.0.1:8787")
    hooks = tuple(prepare_hook(h, path) for h in entry.hooks)
    return Receiver(listen["six"] or listen["host"], int(listen["port"]), entry.behind_proxy, entry.requests_s, hooks)


def prepare_hook(entry: HookEntry, path: Path) -> Hook:
    """Return a sender ready to be received.

    Raises:
        ConfigError: an option, a secret or the form is wrong.
    """
    where = f"{path}: {entry.name}"
    if not _NAME.fullmatch(entry.name):
        raise ConfigError(f"{where}: name: must be of a-z, 0-9 and '-': it is part of an address")
    form = load_form(entry.form, path.parent)
    if not 1 <= len(entry.secrets) <= _MOST_SECRETS:
        raise ConfigError(f"{where}: secrets: name one, or up to {_MOST_SECRETS} while one is changed")
    secrets = Secrets([])
    keys = []
    for i, said in enumerate(entry.secrets):
        at = f"{where}: secrets[{i}]"
        secret = read_secret(said, at)
        secrets.add(secret)
        keys.append(key_of(secret, form.signature, at))
    options = options_of(entry.options, form.options, where)
    as_pulled = Entry(
        name=entry.name, connector=form.name, services=entry.services, other_service=entry.other_service, team=entry.team,
    )  # fmt: skip
    readings = tuple(_reading(told, entry, options, f"{where}: {told.name}") for told in form.told)
    for name in entry.values:
        if name not in {t.name for t in form.told}:
            raise ConfigError(f"{where}: values: there is no '{name}'{suggestion(name, [t.name for t in form.told])}")
    return Hook(as_pulled, form, tuple(keys), readings, secrets)


def _reading(told: Told, entry: HookEntry, options: dict[str, str | list[str]], where: str) -> tuple[Told, Reading]:
    filled = converted(with_options({**msgspec.to_builtins(told), "mapping": {}}, options, where), Told, where)
    mapping = mapping_of(told.stream(), options, where, entry.values.get(told.name))
    return filled, Reading(told.name, filled.stream(), mapping, {})
