"""The configuration of a connector for files: an entry of ``connectors.yaml`` with ``connector: files``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.access_log import LogMapper
from connectors.engine.config import Entry, options_of
from connectors.engine.declaration import Option
from connectors.engine.reading import suggestion
from connectors.engine.secrets import Secrets, read_secret
from connectors.mapping.load import load_mapping, shipped
from connectors.objects.forms import AccessLogs, Form, MappedFiles
from connectors.objects.places import Bucket, FilePlace, Folder
from pipeline.errors import ConfigError

NAME = "files"
_LOG = "access-log"
_NONE = "none"
OPTIONS: dict[str, Option] = {
    "place": Option(what="a folder, or s3://bucket/prefix", example="/var/exports"),
    "pattern": Option(what="names of files below it; * also stands for /", default="*"),
    "mapping": Option(
        what=f"a mapping of file imports, shipped or a .yaml file beside this one, or {_LOG}", example="orders.yaml"
    ),
    "variables": Option(what="variables of the mapping, NAME=VALUE", default=[_NONE], many=True),
    "service": Option(what=f"{_LOG}: whose logs they are", default=_NONE),
    "endpoint": Option(what="address of other S3-compatible storage than AWS's", default=_NONE),
    "region": Option(what="of the bucket", default="us-east-1"),
}
_KEYS = ("access_key_id", "secret_access_key")
#: What an entry may say that has no meaning for files.
_MEANINGLESS = ("streams", "values", "since", "ca_file")
Salt = Callable[[], bytes]


@dataclass(frozen=True)
class Files:
    """A connector for files, ready to run."""

    entry: Entry
    place: FilePlace
    form: Form
    secrets: Secrets

    @property
    def source(self) -> str:
        """What its events name as their source."""
        return f"{NAME}/{self.entry.name}"


def prepare_files(entry: Entry, path: Path, salt: Salt) -> Files:
    """Return a connector for files ready to run.

    Args:
        entry: its configuration.
        path: the configuration's file, for messages and relative paths.
        salt: gives the salt of visitors, for access logs.

    Raises:
        ConfigError: an option, a secret or the mapping is wrong.
    """
    where = f"{path}: {entry.name}"
    for name in _MEANINGLESS:
        if getattr(entry, name):
            raise ConfigError(f"{where}: {name}: has no meaning for files")
    options: dict[str, Any] = {
        k: None if v in (_NONE, [_NONE]) else v for k, v in options_of(entry.options, OPTIONS, where).items()
    }
    for name in entry.auth:
        if name not in _KEYS:
            raise ConfigError(f"{where}: auth: unknown key '{name}'{suggestion(name, _KEYS)}")
    keys = {name: read_secret(value, f"{where}: auth.{name}") for name, value in entry.auth.items()}
    if len(keys) == 1:
        raise ConfigError(f"{where}: auth: access_key_id and secret_access_key belong together")
    place = _place(options, keys, entry.timeout_s, path, where)
    form = _form(entry, options, path, where, salt)
    return Files(entry, place, form, Secrets([keys["secret_access_key"]] if keys else []))


def _place(options: dict[str, Any], keys: dict[str, str], timeout_s: float, path: Path, where: str) -> FilePlace:
    said, pattern = str(options["place"]), str(options["pattern"])
    if not said.startswith("s3://"):
        if keys or options["endpoint"]:
            raise ConfigError(f"{where}: auth and endpoint belong to storage: place must begin with s3://")
        return Folder(path.parent / said, pattern)
    bucket, _, prefix = said.removeprefix("s3://").partition("/")
    if not bucket:
        raise ConfigError(f"{where}: options.place: '{said}' names no bucket: write s3://bucket/prefix")
    try:
        return Bucket(bucket, prefix, pattern, options["endpoint"], options["region"], keys, timeout_s)
    except ConfigError as e:
        raise ConfigError(f"{where}: options.{e}") from None


def _form(entry: Entry, options: dict[str, Any], path: Path, where: str, salt: Salt) -> Form:
    source = f"{NAME}/{entry.name}"
    name = str(options["mapping"])
    if name == _LOG:
        if not options["service"]:
            raise ConfigError(f"{where}: options.service is missing: whose logs they are")
        return AccessLogs(LogMapper(str(options["service"]), entry.team, salt()), source)
    if options["service"]:
        raise ConfigError(f"{where}: options.service: is for {_LOG}; a mapping says its service itself")
    variables = {}
    for said in options["variables"] or ():
        variable, equals, value = str(said).partition("=")
        if not equals:
            raise ConfigError(f"{where}: options.variables: '{said}' must be NAME=VALUE")
        variables[variable] = value
    mapping = load_mapping(name if name in shipped() else str(path.parent / name))
    return MappedFiles(mapping, entry, source, variables)
