"""The shape of the file from which Grafana 9.4 provisions alerting, strictly; and reading ours by it."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import yaml

from dashboards.alerting import alerting_yaml
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class Range(_Strict):
    from_: int = msgspec.field(name="from")
    to: int


class Query(_Strict):
    ref_id: str
    query_type: str
    relative_time_range: Range
    datasource_uid: Literal["csf-live", "csf-history", "__expr__"]
    model: dict[str, Any]


class Rule(_Strict):
    uid: str
    title: str
    condition: str
    data: list[Query]
    no_data_state: Literal["NoData", "Alerting", "OK"]
    exec_err_state: Literal["Alerting", "Error", "OK"]
    for_: str = msgspec.field(name="for")
    annotations: dict[str, str]
    labels: dict[str, str]


class Group(_Strict):
    org_id: int
    name: str
    folder: str
    interval: str
    rules: list[Rule]


class Receiver(_Strict):
    uid: str
    type: Literal["webhook", "prometheus-alertmanager"]
    settings: dict[str, str]
    disable_resolve_message: bool = False


class ContactPoint(_Strict):
    org_id: int
    name: str
    receivers: list[Receiver]


class Policy(msgspec.Struct, forbid_unknown_fields=True):
    """A notification policy; its keys are written with underscores, unlike those around it."""

    receiver: str
    object_matchers: list[tuple[str, Literal["=", "!=", "=~", "!~"], str]] = []
    group_by: list[str] = []
    group_wait: str | None = None
    group_interval: str | None = None
    repeat_interval: str | None = None
    mute_time_intervals: list[str] = []
    routes: list["Policy"] = []
    continue_: bool = msgspec.field(name="continue", default=False)


class RootPolicy(Policy, forbid_unknown_fields=True, kw_only=True):
    org_id: int = msgspec.field(name="orgId")


class Times(msgspec.Struct, forbid_unknown_fields=True):
    start_time: str
    end_time: str


class TimeInterval(msgspec.Struct, forbid_unknown_fields=True):
    times: list[Times]


class MuteTime(msgspec.Struct, forbid_unknown_fields=True):
    org_id: int = msgspec.field(name="orgId")
    name: str
    time_intervals: list[TimeInterval]


class Deleted(_Strict):
    org_id: int
    uid: str


class File(_Strict):
    """After Grafana's documentation of file provisioning of alerting resources (9.4)."""

    api_version: Literal[1]
    delete_rules: list[Deleted]
    contact_points: list[ContactPoint] = []
    groups: list[Group] = []
    mute_times: list[MuteTime] = []
    policies: list[RootPolicy] = []


def read(catalogue: Catalogue, judge: Any, root: str | None = None) -> File:
    return msgspec.convert(yaml.safe_load(alerting_yaml(catalogue, judge, root)), File)


def by_grafana(catalogue: Catalogue | None = None, **changes: Any) -> Catalogue:
    """Return a catalogue of an organisation that is told by Grafana."""
    found = catalogue or load_catalogue()
    organisation = msgspec.structs.replace(found.organisation, told_by="grafana")
    return msgspec.structs.replace(found, organisation=organisation, **changes)


def rules(file: File) -> Iterator[Rule]:
    for group in file.groups:
        yield from group.rules
