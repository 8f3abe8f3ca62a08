"""Settings: defaults, a YAML file, environment variables CSF_*, then options; the last word counts.

Secrets come from the environment or, as CSF_..._FILE, from files; they are never printed.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from agents.config import KafkaSecurity, WorkerConfig
from agents.console.reports import ReportSource
from agents.topics import client_settings
from cli.configured import Configured
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue
from pipeline.catalogue.reading import read_yaml
from pipeline.errors import ConfigError
from pipeline.stores.port import KpiStore
from pipeline.stores.register import Register

#: settings whose values are never shown
SECRETS = frozenset({"influx_token", "http_token", "kafka_password", "smtp_password", "report_webhook_secret"})
_CHOICES = {
    "store": ("sqlite", "influx"),
    "kafka_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "smtp_security": ("starttls", "tls", "none"),
    "kafka_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
}


def default_data_dir() -> Path:
    """Return where the embedded default keeps its data: XDG_DATA_HOME or ~/.local/share, csf-pulse.

    Raises:
        ConfigError: the user has no home directory.
    """
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base) / "csf-pulse"
    try:
        return Path.home() / ".local" / "share" / "csf-pulse"
    except RuntimeError:
        raise ConfigError("this user has no home directory: name --data-dir, or CSF_DATA_DIR") from None


#: A file that says of a directory that what it holds is the simulated organisation's.
_DEMO_MARK = "demo.txt"


def mark_demo(data_dir: Path) -> None:
    """Say of a data directory that it is the demonstration's, whoever names it later."""
    (data_dir / _DEMO_MARK).write_text("csf up keeps the simulated organisation here; nothing in here was measured\n")


def _is_there(path: Path) -> bool:
    """Return whether a file is there; one whose name no disk takes is not."""
    return os.path.isfile(path)  # Path.is_file raises where a name is too long


def demo_dir(data_dir: Path) -> Path:
    """Return the directory of the demonstration beside a data directory; itself, where it is one.

    Raises:
        ConfigError: there is none yet.
    """
    for folder in (data_dir, data_dir / "demo"):
        if _is_there(folder / _DEMO_MARK):
            return folder
    raise ConfigError(f"--demo: there is no simulated organisation in {data_dir} yet: run `csf up` there")


@dataclass(frozen=True)
class Settings:
    """All settings of an installation.

    Attributes:
        data_dir: data of this machine: embedded Kafka, SQLite store, archive, logs.
        bootstrap: brokers, ``host:port,...``; None: the embedded Kafka of the data directory.
        group: consumer group of the workers.
        partitions: partitions of every event topic, fixed once they exist.
        replication: copies of every partition.
        kafka_*: security of the connection to the brokers.
        store: ``sqlite`` (in the data directory) or ``influx``.
        influx_*: address, organisation and token of InfluxDB 2.x; for https the certificates it is checked by.
        catalogue_dir: own catalogue over the built-in one.
        http_host, http_port: where a worker serves console, API and metrics.
        http_token: what other machines must present; needed when http_host is not loopback.
        http_names: names, joined by commas, by which a loopback address may be asked besides localhost (a proxy's).
        archive: keep raw events beside Kafka (embedded default: on).
        archive_max_gib: oldest archived files go above this size.
        tick_s: seconds between clock ticks.
        kafka_port: port of the embedded Kafka; 0: one that is free, kept for the data directory.
        retention_hours: how long the embedded Kafka keeps events.
        reports_dir: issued reports; None: ``reports`` of the data directory.
        report_schedule: day of the month and local time at which the month before is issued (``3 08:00``); empty: never.
        report_scopes: scopes of scheduled reports, joined by commas.
        report_mail_to, report_mail_from: addresses of recipients, joined by commas, and of the sender.
        report_webhook: addresses that are told of an issue, joined by commas; report_webhook_secret: signs it.
        smtp_*: the mail server; ``smtp_security`` is starttls, tls or none, ``smtp_ca_file`` an authority of your own.
        demo: this is the demonstration.
    """

    data_dir: Path = field(default_factory=default_data_dir)
    bootstrap: str | None = None
    group: str = "csf"
    partitions: int = 2
    replication: int = 1
    kafka_protocol: str = "PLAINTEXT"
    kafka_mechanism: str = "PLAIN"
    kafka_username: str | None = None
    kafka_password: str | None = field(default=None, repr=False)
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None
    store: str = "sqlite"
    influx_url: str = "http://127.0.0.1:8086"
    influx_org: str = "csf"
    influx_token: str | None = field(default=None, repr=False)
    influx_ca_file: Path | None = None
    catalogue_dir: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 8710
    http_token: str | None = field(default=None, repr=False)
    http_names: str = ""
    archive: bool = True
    archive_max_gib: int = 10
    tick_s: float = 5.0
    kafka_port: int = 0
    retention_hours: int = 168
    reports_dir: Path | None = None
    report_schedule: str = ""
    report_scopes: str = "org"
    report_mail_to: str = ""
    report_mail_from: str = ""
    report_webhook: str = ""
    report_webhook_secret: str | None = field(default=None, repr=False)
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: str = "starttls"
    smtp_username: str | None = None
    smtp_password: str | None = field(default=None, repr=False)
    smtp_ca_file: Path | None = None
    demo: bool = False

    @property
    def store_path(self) -> Path:
        """The SQLite store's file."""
        return self.data_dir / "kpis.db"

    @property
    def register_path(self) -> Path:
        """The SQLite register's file."""
        return self.data_dir / "register.db"

    @property
    def issues_path(self) -> Path:
        """The folder of issued reports."""
        return self.reports_dir or self.data_dir / "reports"

    def environment(self) -> dict[str, str]:
        """Return these settings as variables, for a child process; secrets too, which so are in no argument."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            f"CSF_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in said.items()
            if value is not None
        }

    @property
    def embedded(self) -> bool:
        """Whether Kafka is our own child."""
        return self.bootstrap is None

    def security(self) -> KafkaSecurity:
        """Return how to speak to the brokers."""
        return KafkaSecurity(
            protocol=self.kafka_protocol,  # type: ignore[arg-type] # checked against the allowed values on loading
            mechanism=self.kafka_mechanism,  # type: ignore[arg-type] # likewise
            username=self.kafka_username,
            password=self.kafka_password,
            ca_file=self.kafka_ca_file,
            cert_file=self.kafka_cert_file,
            key_file=self.kafka_key_file,
        )

    def kafka_settings(self) -> dict[str, Any]:
        """Return kafka-python's keyword arguments for the connection."""
        return client_settings(self.security())

    def load_catalogue(self) -> Catalogue:
        """Return the built-in catalogue overlaid by the demo's, the configured and the data directory's own."""
        overlays: list[Path | None] = []
        if self.demo:
            from connectors.simulator import catalogue_dir  # noqa: PLC0415 - only the demo needs it

            overlays.append(catalogue_dir())
        own = self.data_dir / "catalogue"
        return load_catalogue(*overlays, self.catalogue_dir, own if own.is_dir() else None)

    def open_store(self, *, read_only: bool = False) -> KpiStore:
        """Open the KPI store.

        Raises:
            ConfigError: a setting it needs is missing.
            StoreUnavailable, StoreRejected: it cannot be opened.
        """
        if self.store == "sqlite":
            from pipeline.stores.sqlite import SqliteStore  # noqa: PLC0415 - one of two

            return SqliteStore(self.store_path, read_only=read_only)
        from pipeline.stores.influx import InfluxStore  # noqa: PLC0415 - one of two

        store = InfluxStore(self.influx_url, self._influx_token(), self.influx_org, ca_file=self.influx_ca_file)
        if not read_only:
            store.setup_buckets()
        return store

    def check_values(self) -> None:
        """Check that there is a store to read.

        Raises:
            ConfigError: nothing has been measured here yet.
        """
        if self.store != "sqlite" or self.store_path.exists():
            return
        beside = (self.data_dir / "demo" / "kpis.db").exists()
        hint = "; the simulated organisation's are shown with --demo" if beside else ""
        raise ConfigError(f"there are no values in {self.data_dir} yet: import something, or run `csf up`{hint}")

    def check_events(self) -> None:
        """Check that there are brokers that may hold events; our own are made by what brings some.

        Raises:
            ConfigError: nothing ever ran here.
        """
        if self.bootstrap is None and not (self.data_dir / "kafka").exists():
            raise ConfigError(f"there are no events in {self.data_dir} yet: import something, or run `csf up`")

    def open_register(self, *, read_only: bool = False) -> Register:
        """Open the register of SIPs and comments: beside the KPI store, in a file or a bucket.

        Raises:
            ConfigError: a setting it needs is missing.
            StoreUnavailable, StoreRejected: it cannot be opened.
        """
        if self.store == "sqlite":
            from pipeline.stores.register_sqlite import SqliteRegister  # noqa: PLC0415 - one of two

            return SqliteRegister(self.register_path, read_only=read_only)
        from pipeline.stores.register_influx import InfluxRegister  # noqa: PLC0415 - one of two

        return InfluxRegister(self.influx_url, self._influx_token(), self.influx_org, ca_file=self.influx_ca_file)

    def _influx_token(self) -> str:
        if not self.influx_token:
            raise ConfigError("store influx needs a token: set CSF_INFLUX_TOKEN, or CSF_INFLUX_TOKEN_FILE")
        return self.influx_token

    @property
    def connectors_path(self) -> Path:
        """The configuration of connectors."""
        return self.data_dir / "connectors.yaml"

    def worker_config(self, bootstrap: str, reports: ReportSource | None = None) -> WorkerConfig:
        """Return the configuration of a worker on these brokers, with what builds its console's reports."""
        return WorkerConfig(
            bootstrap=bootstrap,
            catalogue=self.load_catalogue(),
            store_factory=self.open_store,
            register_factory=self.open_register,
            reports=reports,
            connectors=Configured(self.connectors_path),
            group=self.group,
            partitions=self.partitions,
            replication=self.replication,
            http_host=self.http_host,
            http_port=self.http_port,
            http_token=self.http_token,
            http_names=tuple(name.strip() for name in self.http_names.split(",") if name.strip()),
            archive_dir=self.data_dir / "archive" if self.archive else None,
            archive_max_bytes=self.archive_max_gib * 2**30,
            tick_s=self.tick_s,
            demo=self.demo,
            data_dir=self.data_dir,
            security=self.security(),
        )


_HINTS = get_type_hints(Settings)
_NAMES = [f.name for f in fields(Settings)]


def _convert(name: str, value: object, where: str) -> object:
    """Return a setting's value in its type."""
    kind = _HINTS[name]
    text = str(value).strip()
    if name in _CHOICES and text not in _CHOICES[name]:
        raise ConfigError(f"{where}: {name} is '{text}'; allowed: {', '.join(_CHOICES[name])}")
    try:
        if kind is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False,
                    "off": False}[text.lower()]  # fmt: skip
        if kind is int:
            return int(text)
        if kind is float:
            return float(text)
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"{where}: {name} is '{text}'; it must be {wanted}") from None
    return Path(text).expanduser() if "Path" in str(kind) else text


def _known(name: str, where: str) -> str:
    if name in _NAMES:
        return name
    close = difflib.get_close_matches(name, _NAMES, 1)
    hint = f"; did you mean '{close[0]}'?" if close else f"; allowed: {', '.join(_NAMES)}"
    raise ConfigError(f"{where}: there is no setting '{name}'{hint}")


def _from_file(path: Path) -> dict[str, object]:
    document = read_yaml(path)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must hold settings as 'name: value' lines")
    for name in SECRETS & document.keys():
        raise ConfigError(f"{path}: {name} is a secret; set CSF_{name.upper()} or CSF_{name.upper()}_FILE instead")
    return {_known(str(k), str(path)): _convert(str(k), v, str(path)) for k, v in document.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in _NAMES:
        variable = f"CSF_{name.upper()}"
        if environment.get(variable):
            found[name] = _convert(name, environment[variable], variable)
        elif environment.get(f"{variable}_FILE") and name in SECRETS:
            path = Path(environment[f"{variable}_FILE"])
            try:
                found[name] = path.read_text().strip()
            except OSError as e:
                raise ConfigError(f"{variable}_FILE: {path} cannot be read: {e.strerror}") from None
            except ValueError:  # a NUL in the name, or bytes that are no text
                raise ConfigError(
                    f"{variable}_FILE: {str(path)!r} holds no text; name the file with the secret"
                ) from None
    return found


def load_settings(
    config: Path | None = None, environment: Mapping[str, str] = os.environ, **options: object
) -> Settings:
    """Return the settings; options that are None say nothing.

    Args:
        config: a settings file; without it ``csf.yaml`` of the data directory, if there is one.
        environment: variables CSF_*.
        options: what the command line said.

    Raises:
        ConfigError: naming the file or variable, the key and what is allowed.
    """
    given = {k: v for k, v in options.items() if v is not None}
    told = _from_environment(environment)
    if config is None:
        folder = Path(str(given.get("data_dir") or told.get("data_dir") or default_data_dir()))
        own = folder / "csf.yaml"
        from_file = _from_file(own) if _is_there(own) else {}
    else:
        from_file = _from_file(config)
    settings = Settings(**{**from_file, **told, **given})  # type: ignore[arg-type] # converted by name
    if settings.partitions < 1:
        raise ConfigError(f"partitions is {settings.partitions}; it must be 1 or more")
    data_dir = settings.data_dir.expanduser().absolute()
    return replace(settings, data_dir=data_dir, demo=settings.demo or _is_there(data_dir / _DEMO_MARK))
