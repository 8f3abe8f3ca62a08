"""Every error a person can meet, as one tree.

    CsfError                     anything this program reports in one sentence
    ├── ConfigError              a file, key, option or environment variable is wrong (exit code 2)
    │   ├── CatalogueError       ... in the KPI catalogue
    │   ├── EntryRefused         ... in what a person wants entered into the register, or ordered about alerts
    │   └── MappingError         ... in an import mapping
    ├── InvalidEvent             an event breaks the rules of its family: dead letter, with the reason
    ├── ServiceUnavailable       a broker, store or address does not answer (may be tried again)
    │   └── StoreUnavailable     ... the KPI store
    ├── EntryConflict            somebody else changed the same thing of the register in the meantime
    ├── GrafanaRejected          Grafana refuses what was asked of it; trying again will not help
    ├── ReportRefused            an issued report was written by a newer program, or is damaged
    ├── SourceRefused            a source refuses what a connector asks (trying again will not help)
    ├── StoreRejected            the KPI store refuses what was written; trying again will not help
    └── StateRefused             the durable state is none this program may go on from
        ├── StateTooNew          ... a newer program wrote it
        ├── StateTooOld          ... no migration leads from its format
        └── DefinitionChanged    ... a KPI changed, but not its version

A message names the thing (file, field, address), what was wrong and what to do.
"""

from __future__ import annotations


class CsfError(Exception):
    """Base of all errors that are shown to a person as one sentence."""


class ConfigError(CsfError):
    """A file, key, option or environment variable is wrong; nothing was done."""


class CatalogueError(ConfigError):
    """The KPI catalogue is wrong; the message names file, key and allowed values."""


class MappingError(ConfigError):
    """An import mapping is wrong; the message names file, key and allowed values."""


class EntryRefused(ConfigError):
    """What a person wants entered into the register, or orders about alerts, breaks a rule; nothing was done."""


class EntryConflict(CsfError):
    """Somebody else changed the same thing of the register since it was read; nothing was entered."""


class InvalidEvent(CsfError):
    """An event breaks the rules of its family.

    Attributes:
        reason: a short, bounded code such as ``malformed-json``; used as a metric label.
        detail: one sentence for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ServiceUnavailable(CsfError):
    """A broker, store or address does not answer; trying again may help.

    Attributes:
        retry_after_s: seconds the other side asked to be left alone, if it said so.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnavailable(ServiceUnavailable):
    """The KPI store does not answer or is overloaded."""


class SourceRefused(CsfError):
    """A source refuses what a connector asks of it: credentials, rights or the question are wrong."""


class SourceGone(SourceRefused):
    """There is nothing at the address that a connector asked for, or nothing any more."""


class StoreRejected(CsfError):
    """The KPI store refuses what was written; trying again will not help."""


class ReportRefused(CsfError):
    """An issued report was written by a newer program, or its data file is damaged."""


class GrafanaRejected(CsfError):
    """Grafana refuses what was asked of it; trying again will not help."""


class SettlingFailed(CsfError):
    """What ingest gathered of many events cannot be brought into its state: a fault of ours that no event can be blamed for."""


class StateRefused(CsfError):
    """The durable state is none this program may go on from; nothing was changed."""


class StateTooNew(StateRefused):
    """A newer program wrote the state."""


class StateTooOld(StateRefused):
    """No migration leads from the state's format to this program's."""


class DefinitionChanged(StateRefused):
    """A KPI's definition is not the one its state was made by, though its version is the same or lower."""
