"""The conversation with a Grafana: the one module that knows ``grafana-api``, and every error of it in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
from grafana_api.grafana_api import GrafanaClientError, GrafanaServerError
from grafana_api.grafana_face import GrafanaFace

from pipeline.errors import ConfigError, GrafanaRejected, ServiceUnavailable

#: annotations that are read at most
_ANNOTATIONS = 5_000
#: the end of a range without one; Grafana wants both or none
_FOR_EVER_MS = 32_503_680_000_000


class SavedBoard(msgspec.Struct, frozen=True, kw_only=True):
    """A board as Grafana holds it: its JSON, the folder it lies in, whether files on Grafana's disk own it."""

    json: dict[str, Any]
    folder_uid: str
    folder_title: str
    provisioned: bool


class SavedAnnotation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An annotation as Grafana holds it; times in epoch milliseconds, one without an end ends where it starts, or at 0."""

    id: int
    time: int
    text: str
    tags: tuple[str, ...]
    time_end: int = 0


class _Folder(msgspec.Struct):
    title: str


class _Meta(msgspec.Struct, rename="camel"):
    folder_uid: str = ""
    folder_title: str = "General"
    provisioned: bool = False


class _Board(msgspec.Struct):
    dashboard: dict[str, Any]
    meta: _Meta


class BoardChanged(GrafanaRejected):
    """Somebody saved the board after it was read."""


class Grafana:
    """A Grafana, as one service account's token sees it.

    Args:
        url: such as ``https://grafana.example``, with a path where Grafana is served below one.
        token: of a service account that may write folders, boards and annotations; it is never part of a message.
        ca_file: PEM certificates that the server's is checked by; None: those that come with the client.
        timeout_s: longest wait for an answer.
    """

    def __init__(self, url: str, token: str, *, ca_file: Path | None = None, timeout_s: float = 20.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"the Grafana address {url!r} is not a URL; write it like https://grafana.example")
        if parts.username is not None:  # it is part of messages
            raise ConfigError("the Grafana address must not hold a user or password; the token alone lets us in")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError("the Grafana token holds characters that no token has; give it as Grafana showed it")
        self.url = url.rstrip("/")
        path = parts.path.strip("/")
        self._face = GrafanaFace(
            auth=token,
            host=f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            verify=True if ca_file is None else str(ca_file),
            timeout=timeout_s,
        )

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn the client's errors into ours."""
        try:
            yield
        except GrafanaServerError as error:
            raise ServiceUnavailable(
                f"Grafana at {self.url} failed to {doing} ({error.message}); look at its log and try again"
            ) from error
        except GrafanaClientError as error:
            raise self._refusal(error, doing) from error
        except requests.exceptions.SSLError as error:
            raise ServiceUnavailable(
                f"Grafana at {self.url} shows a certificate that is not trusted; name its authority with --ca-file"
            ) from error
        except requests.exceptions.Timeout as error:
            raise ServiceUnavailable(f"Grafana at {self.url} took too long to {doing}; try again") from error
        except (requests.exceptions.JSONDecodeError, msgspec.ValidationError) as error:
            raise GrafanaRejected(f"{self.url} does not answer as a Grafana does; check the address") from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise ServiceUnavailable(
                f"Grafana at {self.url} does not answer; check the address and that it runs"
            ) from error

    def _refusal(self, error: GrafanaClientError, doing: str) -> GrafanaRejected | ServiceUnavailable:
        said, status = _said(error), error.status_code
        if status == 401:
            return GrafanaRejected(
                f"Grafana at {self.url} does not know the token (401: {said}); make one for a service account and set"
                " GRAFANA_TOKEN"
            )
        if status == 403:
            return GrafanaRejected(
                f"the Grafana token may not {doing} at {self.url} (403: {said}); give its service account the role Editor"
            )
        if status == 429:
            return ServiceUnavailable(f"Grafana at {self.url} is asked too much (429: {said}); try again later")
        if status == 412 and isinstance(error.response, dict) and error.response.get("status") == "version-mismatch":
            return BoardChanged(f"Grafana at {self.url} cannot {doing}: somebody else saved it meanwhile; try again")
        return GrafanaRejected(f"Grafana at {self.url} refuses to {doing} ({status}: {said})")

    def folder_title(self, uid: str) -> str | None:
        """Return the title of a folder, None where there is none of that uid."""
        with self._errors(f"read folder {uid}"):
            found = _unless_missing(lambda: self._face.folder.get_folder(uid))
            return None if found is None else msgspec.convert(found, _Folder).title

    def make_folder(self, uid: str, title: str) -> None:
        """Make a folder."""
        with self._errors(f"make the folder {title}"):
            self._face.folder.create_folder(title, uid)

    def board(self, uid: str) -> SavedBoard | None:
        """Return a board, None where there is none of that uid."""
        with self._errors(f"read board {uid}"):
            answer = _unless_missing(lambda: self._face.dashboard.get_dashboard(uid))
            if answer is None:
                return None
            found = msgspec.convert(answer, _Board)
        meta = found.meta
        return SavedBoard(
            json=found.dashboard,
            folder_uid=meta.folder_uid,
            folder_title=meta.folder_title,
            provisioned=meta.provisioned,
        )

    def save_board(self, board: dict[str, Any], folder_uid: str, message: str) -> None:
        """Save a board in a folder; one that is there must carry the ``id`` and ``version`` that were read.

        Raises:
            BoardChanged: somebody saved it since it was read.
        """
        body = {"dashboard": board, "folderUid": folder_uid, "message": message, "overwrite": False}
        with self._errors(f"save board {board['uid']}"):
            self._face.dashboard.update_dashboard(body)

    def annotations(self, tags: Sequence[str], *, since: int | None = None) -> list[SavedAnnotation]:
        """Return the annotations that carry all of these tags, and do not end before ``since`` (epoch seconds).

        Raises:
            GrafanaRejected: there are more than are read at once; some of them would be taken for missing.
        """
        bounds = {} if since is None else {"time_from": since * 1000, "time_to": _FOR_EVER_MS}
        with self._errors("read annotations"):
            found = self._face.annotations.get_annotation(tags=list(tags), limit=_ANNOTATIONS, **bounds)
            read = msgspec.convert(found, list[SavedAnnotation])
        if len(read) >= _ANNOTATIONS:
            raise GrafanaRejected(
                f"Grafana at {self.url} holds {_ANNOTATIONS} annotations or more with the tags {' and '.join(tags)}, more than are"
                " read at once; tell fewer --days"
            )
        return read

    def add_annotation(self, time_ms: int, end_ms: int | None, tags: Sequence[str], text: str) -> None:
        """Add an annotation of the whole organisation; without an end it is an instant."""
        with self._errors("add an annotation"):
            self._face.annotations.add_annotation(time_from=time_ms, time_to=end_ms, tags=list(tags), text=text)

    def change_annotation(self, number: int, time_ms: int, end_ms: int | None, tags: Sequence[str], text: str) -> None:
        """Change an annotation."""
        with self._errors("change an annotation"):
            self._face.annotations.update_annotation(
                number, time_from=time_ms, time_to=end_ms, tags=list(tags), text=text
            )

    def remove_annotation(self, number: int) -> None:
        """Remove an annotation; one that is gone already is no fault."""
        with self._errors("remove an annotation"):
            _unless_missing(lambda: self._face.annotations.delete_annotations_by_id(number))


def _unless_missing(ask: Any) -> Any:
    """Return what is asked for, None where Grafana says that there is no such thing."""
    try:
        return ask()
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise


def _said(error: GrafanaClientError) -> str:
    response = error.response
    said = response.get("message", response) if isinstance(response, dict) else response
    return " ".join(str(said).split())[:300]
