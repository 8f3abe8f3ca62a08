"""The conversation with InfluxDB: writes, queries, and its errors in one sentence."""

from __future__ import annotations

import csv
import io
import json
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from influxdb_client import Dialect, InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError, LocationValueError

from pipeline.errors import ConfigError, StoreRejected, StoreUnavailable

_E = TypeVar("_E", bound=BaseException)
#: Points in one request: a body of about 2 MB, 150 kB with gzip.
BATCH = 5_000
#: A search for bad points in a refused batch stops after so many; the good ones are written by then.
_BAD_POINTS_NAMED = 3
_TOO_OLD = re.compile(r" at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S* dropped because it violates a Retention Policy Lower")
_PARTIAL = frozenset({400, 413, 422})


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header (seconds or an HTTP date), None where it says nothing."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def answer_text(error: ApiException) -> str:
    """Return what the server said."""
    body = error.body or ""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        said = body or error.reason or ""
    return " ".join(str(said).split())[:2000]


#: In what times of points count.
Precision = Literal["s", "ns"]
_A_SECOND: dict[Precision, int] = {"s": 1, "ns": 1_000_000_000}


class InfluxConnection:
    """One InfluxDB server, as one organisation's token sees it.

    Args:
        url: such as ``http://influxdb:8086``.
        token: an API token; it is never part of a message.
        org: organisation name.
        timeout_s: longest wait for the answer to a write; for a connection a third of it.
        query_timeout_s: longest wait for the answer to a query.
        ca_file: PEM certificates that the server's is checked by; None: the system's.
    """

    def __init__(
        self, url: str, token: str, org: str, timeout_s: float, query_timeout_s: float, ca_file: Path | None = None
    ) -> None:
        _check_url(url)
        self.url = url.rstrip("/")
        self._ca_file = ca_file
        tls = _tls(url, ca_file)
        self.org = org
        connect_ms = max(1, int(timeout_s * 1000 / 3))
        self.client = InfluxDBClient(
            url=self.url,
            token=token,
            org=org,
            timeout=(connect_ms, max(1, int(timeout_s * 1000))),
            enable_gzip=True,
            **tls,
        )
        self._reader = InfluxDBClient(
            url=self.url,
            token=token,
            org=org,
            timeout=(connect_ms, max(1, int(query_timeout_s * 1000))),
            enable_gzip=True,
            **tls,
        )
        self._write = self.client.write_api(write_options=SYNCHRONOUS)
        self._query = self._reader.query_api()
        self._dialect = Dialect(header=True, delimiter=",", annotations=[], date_time_format="RFC3339")

    @contextmanager
    def errors(self, doing: str, bucket: str | None) -> Iterator[None]:
        """Turn the client's errors into ours; ``doing`` is "write to", "read" or the like."""
        what = f"bucket {bucket}" if bucket else f"organisation {self.org}"
        try:
            yield
        except ApiException as error:
            raise self._tls_problem(error) or self._explain(error, doing, what) from error
        except LocationValueError as error:
            raise ConfigError(f"the InfluxDB address {self.url!r} cannot be used: {error}") from error
        except (HTTPError, OSError) as error:
            raise self._tls_problem(error) or StoreUnavailable(
                f"InfluxDB at {self.url} does not answer ({type(error).__name__}); check that it runs and is reachable"
            ) from error

    def no_bucket(self, bucket: str) -> StoreRejected:
        """Return what to raise where a bucket is missing."""
        return StoreRejected(
            f"InfluxDB at {self.url} has no bucket {bucket}, or the token may not see it;"
            " start a worker, which makes it, or correct the token's permissions"
        )

    def _tls_problem(self, error: Exception) -> StoreUnavailable | None:
        """Return what is wrong with the server's TLS, None where it is something else."""
        untrusted = _cause(error, ssl.SSLCertVerificationError)
        if untrusted is not None:
            return StoreUnavailable(
                f"InfluxDB at {self.url} shows a certificate that is not trusted by {self._ca_file or 'the system'} "
                f"({untrusted.verify_message}); set influx_ca_file to the authority that signed it, and influx_url to "
                "the name it was made for"
            )
        if _cause(error, ssl.SSLError) is not None:
            return StoreUnavailable(
                f"InfluxDB at {self.url} does not speak TLS; write http:// in influx_url, or give it a certificate"
            )
        return None

    def _explain(self, error: ApiException, doing: str, what: str) -> StoreUnavailable | StoreRejected:
        said = answer_text(error)
        status = error.status or 0
        if status in {408, 429} or status >= 500 or status == 0:
            wait = retry_after_s(error.headers.get("Retry-After") if error.headers else None)
            return StoreUnavailable(f"InfluxDB at {self.url} is overloaded or failing ({status}: {said})", wait)
        if status == 401:
            return StoreRejected(
                f"InfluxDB at {self.url} does not know the token (401: {said});"
                f" set a token of organisation {self.org} that may {doing} {what}"
            )
        if status == 403:
            return StoreRejected(
                f"the InfluxDB token may not {doing} {what} at {self.url} (403: {said}); give it that permission"
            )
        if status == 404:
            return StoreRejected(
                f"InfluxDB at {self.url} cannot {doing} {what} (404: {said});"
                " create what is missing, or correct its name in the settings"
            )
        return StoreRejected(f"InfluxDB at {self.url} refuses to {doing} {what} ({status}: {said})")

    def write(self, bucket: str, lines: Sequence[str], precision: Precision = "s") -> int:
        """Write points in batches, each acknowledged by the server before the next.

        Args:
            bucket: where to.
            lines: points in line protocol.
            precision: in what their times count.

        Returns:
            How many were too old for the bucket's retention and therefore are not there.

        Raises:
            StoreUnavailable: try the same points again later; those already written overwrite themselves.
            StoreRejected: names the bad points; all others of their batch are written.
        """
        too_old = 0
        for first in range(0, len(lines), BATCH):
            batch = lines[first : first + BATCH]
            bad: list[tuple[str, str]] = []
            too_old += self._write_or_split(bucket, batch, bad, precision)
            if bad:
                more = " (and perhaps more)" if len(bad) == _BAD_POINTS_NAMED else ""
                points = "; ".join(f"{_name(line)}: {said}" for line, said in bad)
                raise StoreRejected(
                    f"InfluxDB at {self.url} refuses {len(bad)} of {len(batch)} points{more} for bucket {bucket}: "
                    f"{points}. Correct or delete what clashes there; the other points are written"
                )
        return too_old

    def check_write(self, bucket: str) -> None:
        """Write nothing, which asks whether the token may write."""
        self._send(bucket, "# may I write?")

    def _send(self, bucket: str, body: str, precision: Precision = "s") -> None:
        with self.errors("write to", bucket):
            self._write.write(bucket=bucket, record=body.encode(), write_precision=precision)

    def _write_or_split(
        self, bucket: str, lines: Sequence[str], bad: list[tuple[str, str]], precision: Precision
    ) -> int:
        if not lines or len(bad) >= _BAD_POINTS_NAMED:
            return 0
        try:
            self._send(bucket, "\n".join(lines), precision)
        except StoreRejected as rejected:
            cause = rejected.__cause__
            if not isinstance(cause, ApiException) or cause.status not in _PARTIAL:
                raise
            said = answer_text(cause)
        else:
            return 0
        too_old = _TOO_OLD.findall(said)
        if too_old:
            # The bucket's retention, or the server's clock, is not ours. The last time named is the newest one dropped.
            newest = datetime.fromisoformat(too_old[-1]).replace(tzinfo=UTC).timestamp()
            newest *= _A_SECOND[precision]
            recent = [line for line in lines if int(line.rsplit(" ", 1)[1]) > newest]
            if len(recent) < len(lines):
                return len(lines) - len(recent) + self._write_or_split(bucket, recent, bad, precision)
        if len(lines) == 1:
            bad.append((lines[0], said))
            return 0
        middle = len(lines) // 2
        halves = lines[:middle], lines[middle:]
        return sum(self._write_or_split(bucket, half, bad, precision) for half in halves)

    def query(self, bucket: str, flux: str) -> Iterator[dict[str, str]]:
        """Run a query and yield its rows, every column a string ("" where absent)."""
        with self.errors("read", bucket):
            answer: Any = self._query.query_raw(flux, dialect=self._dialect)
            text = answer.data.decode("utf-8")
        header: list[str] | None = None
        for cells in csv.reader(io.StringIO(text, newline="")):
            if not cells or cells == [""]:
                header = None
            elif header is None:
                header = cells
            else:
                row = dict(zip(header, cells, strict=False))
                if "error" in row and "reference" in row:
                    raise StoreUnavailable(f"InfluxDB at {self.url} broke off a query: {row['error'][:300]}")
                yield row

    def close(self) -> None:
        """Close all connections."""
        self._write.close()
        self.client.close()
        self._reader.close()


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"}:
        raise ConfigError(f"the InfluxDB address {url!r} is not a URL; write it like http://127.0.0.1:8086")
    if "@" in parts.netloc:  # it is part of messages and logs
        raise ConfigError("the InfluxDB address must not hold a user or password; the token alone lets us in")


def _tls(url: str, ca_file: Path | None) -> dict[str, Any]:
    """Return the client's keyword arguments for TLS."""
    if not url.startswith("https://"):
        return {}
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"influx_ca_file {ca_file}: cannot be read as PEM certificates ({error})") from None
    return {"ssl_context": context}


def _cause(error: BaseException, kind: type[_E]) -> _E | None:
    """Return the error of a kind that an error wraps: the client puts it in a reason, an argument or a cause."""
    seen: list[BaseException] = [error]
    for each in seen:
        if isinstance(each, kind):
            return each
        inner = (getattr(each, "reason", None), each.__cause__, each.__context__, *each.args)
        seen += [e for e in inner if isinstance(e, BaseException) and e not in seen]
    return None


def _name(line: str) -> str:
    """Return measurement, tags and time of a point: the head ends at the first space that is not escaped."""
    head = re.split(r"(?<!\\) ", line, maxsplit=1)[0]
    return f"{head} at {line.rsplit(' ', 1)[1]}"
