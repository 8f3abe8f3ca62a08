"""The register in InfluxDB's history bucket: each entry one point, JSON in a string field."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.errors import StoreRejected
from pipeline.report.register import Entry
from pipeline.stores import influx_flux, influx_lines, influx_rows
from pipeline.stores.influx_http import InfluxConnection
from pipeline.stores.register_common import is_there, require_seen


class InfluxRegister:
    """A register in a bucket that is kept for good; implements ``pipeline.stores.register.Register``.

    Args:
        url, token, org: the server, an API token that may read and write the bucket, its organisation.
        bucket: the KPI store's history bucket; it must exist.
        timeout_s: longest wait for an answer.
        ca_file: PEM certificates that the server's is checked by where the URL is https; None: the system's.
    """

    def __init__(
        self,
        url: str,
        token: str,
        org: str,
        bucket: str = "csf_history",
        *,
        timeout_s: float = 10.0,
        ca_file: Path | None = None,
    ) -> None:
        self._influx = InfluxConnection(url, token, org, timeout_s, timeout_s, ca_file)
        self._bucket = bucket

    def append(self, entry: Entry, *, after: str | None = None) -> None:
        """Add an entry; see the port."""
        line = influx_lines.entry_line(entry)
        own = self._found({"subject": [entry.subject]})
        if is_there([*own, *self._found({"entry": [entry.id]})], entry):
            return
        require_seen(own, entry, after)
        self._influx.write(self._bucket, [line])

    def entries(self, *, subject: str | None = None) -> list[Entry]:
        """Return entries; see the port."""
        return self._found({} if subject is None else {"subject": [subject]})

    def _found(self, tags: dict[str, list[str]]) -> list[Entry]:
        flux = influx_flux.series(self._bucket, influx_lines.REGISTER, tags, None, None) + influx_flux.ROWS
        row: influx_rows.Row = {}
        try:
            found = [influx_rows.row_entry(row := row_) for row_ in self._influx.query(self._bucket, flux)]
        except (KeyError, ValueError, msgspec.MsgspecError) as error:
            raise StoreRejected(
                f"bucket {self._bucket} at {self._influx.url} has an entry of the register that csf-pulse did not "
                f"write so ({error}; {dict(list(row.items())[3:6])}); delete it, or restore it from an export"
            ) from error
        return sorted(found, key=lambda e: e.order)

    def check(self) -> str:
        """Return one line that says the register is well, or raise."""
        with self._influx.errors("read", None):
            version = self._influx.client.version()
        self._influx.check_write(self._bucket)
        number = len(self.entries())
        return f"InfluxDB {version} at {self._influx.url}, bucket {self._bucket}, {number} entr{'y' if number == 1 else 'ies'}"

    def close(self) -> None:
        """Release connections."""
        self._influx.close()
