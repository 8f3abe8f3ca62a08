"""Kafka's jars: resolved once from Maven Central by jgo, checked by hash, kept outside the repository."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from pipeline.errors import ConfigError, ServiceUnavailable

KAFKA_VERSION = "4.4.0"
#: kafka-clients is named because the resolver would pick an older one for the broker's other dependencies
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
    f"+org.apache.kafka:kafka-clients:{KAFKA_VERSION}"
    "+org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"
)
_HASHES = Path(__file__).with_name("kafka-jars.sha256")

Say = Callable[[str], None]


def cache_dir() -> Path:
    """Return where big downloads are kept: XDG_CACHE_HOME or ~/.cache, csf-pulse."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "csf-pulse"


def expected() -> dict[str, str]:
    """Return the pinned jars: name → SHA-256."""
    lines = _HASHES.read_text().split("\n")
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}


def verify(folder: Path, wanted: dict[str, str]) -> None:
    """Check every pinned jar of a folder.

    Raises:
        ConfigError: a jar is missing or is not the pinned one.
    """
    for name, digest in wanted.items():
        path = folder / name
        if not path.is_file():
            raise ConfigError(f"{path} is missing: remove {folder} and run `csf up` again to fetch Kafka anew")
        if sha256(path.read_bytes()).hexdigest() != digest:
            raise ConfigError(f"{path} is not the pinned jar (its SHA-256 differs): remove {folder} and try again")


def kafka_jars(say: Say = lambda _text: None) -> Path:
    """Return the folder of Kafka's jars, fetched and checked if it is not there yet.

    Raises:
        ServiceUnavailable: the jars cannot be fetched.
        ConfigError: what was fetched is not what is pinned, or the cache cannot be written.
    """
    wanted = expected()
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if folder.is_dir():
        if {p.name for p in folder.glob("*.jar")} >= wanted.keys():
            return folder
        shutil.rmtree(folder)
    say(f"fetching Kafka {KAFKA_VERSION} ({len(wanted)} jars, 43 MB; only this once) ...")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="kafka-", dir=folder.parent))
    except OSError as e:
        raise ConfigError(
            f"{folder.parent} cannot be written ({e.strerror}): set XDG_CACHE_HOME to a folder that can"
        ) from None
    try:
        for jar in resolve(fresh / "jgo"):
            if jar.name in wanted:
                shutil.copyfile(jar, fresh / jar.name)
        shutil.rmtree(fresh / "jgo")
        verify(fresh, wanted)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    say(f"Kafka is in {folder}")
    return folder


def resolve(scratch: Path) -> list[Path]:
    """Return the jars that jgo resolves, downloaded below ``scratch``.

    Raises:
        ServiceUnavailable: Maven Central does not answer, or lacks a jar.
    """
    import jgo  # noqa: PLC0415 - only the first start needs it, and it is slow to load

    # jgo looks for a JDK to sort the jars by module; where none can be had it says so and goes on
    logging.getLogger("jgo").setLevel(logging.ERROR)
    logging.getLogger("cjdk").setLevel(logging.ERROR)
    try:
        environment = jgo.build(COORDINATES, cache_dir=scratch)
    except Exception as e:
        raise ServiceUnavailable(
            f"Kafka's jars cannot be fetched from Maven Central: {_why(e)}; check the network, or name your proxy by "
            "HTTPS_PROXY and its certificates by REQUESTS_CA_BUNDLE"
        ) from None
    return [Path(jar) for jar in environment.all_jars]


def _why(error: Exception) -> str:
    """Return what an exception of the download says at its root, without the classes it came through."""
    root = re.search(r"Caused by \w+\((.*)\)\)$", str(error))
    return (root[1] if root else str(error)) or type(error).__name__
