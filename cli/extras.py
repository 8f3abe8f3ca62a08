"""What an installation without extras lacks, told in one sentence instead of a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import ConfigError

#: package → the extra of this program that brings it
_BROUGHT_BY = {"jinja2": "report", "scipy": "report", "typst": "report"}


@contextmanager
def extras_named() -> Iterator[None]:
    """Turn the lack of an extra's package into a sentence that names the extra.

    Raises:
        ConfigError: what runs inside needs an extra that is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as e:
        package = (e.name or "").partition(".")[0]
        extra = _BROUGHT_BY.get(package)
        if extra is None:
            raise
        raise ConfigError(
            f"this needs the extra '{extra}' ({package} is not installed): pip install 'csf-pulse[{extra}]'"
        ) from None
