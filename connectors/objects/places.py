"""Where files lie: a folder, or a bucket of S3-compatible storage. Both list what is there, and give one as a file to read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused

#: A larger file is not fetched, bytes: it would fill the disk.
LARGEST = 10 * 2**30
#: More files in one place are refused: their cursors are held in memory.
MOST_FILES = 100_000
#: Endings of what is still being written, by the custom of those who write.
_UNFINISHED = (".tmp", ".part", ".partial", ".swp", "~")
_GOOD_FOR_NOTHING = frozenset(
    {"NoSuchBucket", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled", "403", "401"}
)


@dataclass(frozen=True)
class Item:
    """One file: its name below the place, what changes when its content does, its size in bytes, when it was written."""

    name: str
    mark: str
    size: int
    modified: float


class ItemGone(Exception):
    """A file was removed or replaced since it was listed; the next look tells."""


class FilePlace(Protocol):
    """Where files lie.

    Attributes:
        grows: files may be listed while they are being written.
    """

    grows: bool

    def items(self) -> Iterator[Item]:
        """Yield the files that are there.

        Raises:
            ServiceUnavailable: the place does not answer.
            SourceRefused: it refuses, or holds too many files.
        """

    def fetch(self, item: Item, into: Path) -> None:
        """Copy a file.

        Raises:
            ItemGone: it is not there any more, or another one is.
            ServiceUnavailable: the place does not answer.
            SourceRefused: it refuses.
        """


def wanted(name: str, pattern: str) -> bool:
    """Return whether a file's name fits, and is not that of one still being written."""
    last = name.rsplit("/", 1)[-1]
    return fnmatch(name, pattern) and not last.startswith(".") and not last.endswith(_UNFINISHED)


class Folder:
    """A folder and what lies below it.

    Args:
        path: the folder.
        pattern: names below it, as ``*.csv`` or ``2026/*.jsonl``; ``*`` also stands for ``/``.
    """

    grows = True

    def __init__(self, path: Path, pattern: str) -> None:
        self._path, self._pattern = path, pattern

    def items(self) -> Iterator[Item]:
        """Yield its files; see ``FilePlace``."""
        if not self._path.is_dir():
            raise SourceRefused(f"{self._path}: there is no such folder")
        for path in self._path.rglob("*"):
            name = path.relative_to(self._path).as_posix()
            try:
                status = path.stat()
            except OSError:
                continue
            if path.is_file() and wanted(name, self._pattern):
                yield Item(
                    name, f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}", status.st_size, status.st_mtime
                )

    def fetch(self, item: Item, into: Path) -> None:
        """Copy one; see ``FilePlace``."""
        try:
            with (self._path / item.name).open("rb") as source, into.open("wb") as copy:
                shutil.copyfileobj(source, copy, 2**20)
        except FileNotFoundError:
            raise ItemGone from None
        except OSError as e:
            raise SourceRefused(f"{self._path / item.name}: cannot be read: {e.strerror}") from None


class Bucket:
    """A bucket, or what lies below a prefix of it.

    Args:
        bucket, prefix: where.
        pattern: names below the prefix.
        endpoint: address of other storage than AWS's.
        region: of the bucket.
        keys: ``access_key_id`` and ``secret_access_key``; without them botocore finds credentials.
        timeout_s: how long an answer may take.

    Raises:
        ConfigError: botocore is not installed, or the endpoint is no address.
    """

    grows = False

    def __init__(
        self,
        bucket: str,
        prefix: str,
        pattern: str,
        endpoint: str | None,
        region: str | None,
        keys: dict[str, str],
        timeout_s: float,
    ) -> None:
        try:
            from botocore.config import Config  # noqa: PLC0415 - an extra
            from botocore.session import get_session  # noqa: PLC0415
        except ImportError:
            raise ConfigError("place: reading S3 needs botocore: install the extra 'aws'") from None
        self._bucket, self._prefix, self._pattern = bucket, prefix, pattern
        self.told = f"s3://{bucket}/{prefix}"
        config = Config(
            connect_timeout=timeout_s, read_timeout=timeout_s, retries={"mode": "standard", "total_max_attempts": 3},
            s3={"addressing_style": "path" if endpoint else "auto"},
        )  # fmt: skip
        try:
            self._client = get_session().create_client(
                "s3", region_name=region or "us-east-1", endpoint_url=endpoint, config=config,
                aws_access_key_id=keys.get("access_key_id"), aws_secret_access_key=keys.get("secret_access_key"),
            )  # fmt: skip
        except ValueError as e:
            raise ConfigError(f"endpoint: '{endpoint}' is no address: {e}") from None

    def items(self) -> Iterator[Item]:
        """Yield its objects; see ``FilePlace``."""
        for page in self._asked(
            lambda: self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        ):
            for found in page.get("Contents", ()):
                name = str(found["Key"]).removeprefix(self._prefix).lstrip("/")
                if name and wanted(name, self._pattern):
                    yield Item(
                        name, str(found["ETag"]).strip('"'), int(found["Size"]), found["LastModified"].timestamp()
                    )

    def fetch(self, item: Item, into: Path) -> None:
        """Copy one; see ``FilePlace``."""
        key = f"{self._prefix}{'/' if self._prefix and not self._prefix.endswith('/') else ''}{item.name}"

        def parts() -> Iterator[bytes]:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=item.mark)
            yield from answer["Body"].iter_chunks(2**20)

        with into.open("wb") as copy:
            for part in self._asked(parts):
                copy.write(part)

    def _asked(self, ask: Any) -> Iterator[Any]:
        """Yield what storage answers, its errors told as ours."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415

        try:
            yield from ask()
        except ClientError as e:
            error = e.response.get("Error", {})
            code = str(error.get("Code", ""))
            if code in {"NoSuchKey", "PreconditionFailed", "404", "412"}:
                raise ItemGone from None
            said = f"{self.told}: answers {code}: {error.get('Message', '')}"
            if code in _GOOD_FOR_NOTHING:
                raise SourceRefused(f"{said}; it needs s3:ListBucket and s3:GetObject") from None
            raise ServiceUnavailable(said) from None
        except NoCredentialsError:
            raise SourceRefused(f"{self.told}: there are no credentials; name them under auth") from None
        except (BotoCoreError, OSError) as e:
            raise ServiceUnavailable(f"{self.told}: does not answer: {e}") from None
