"""Whether a delivery was sent by somebody who knows the secret: checked on the bytes as they came, before they are read."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from connectors.webhook.form import Hmac, InPath, Signature, Token
from pipeline.errors import ConfigError

#: A shorter secret can be guessed.
SHORTEST_SECRET = 16
_PLACE = re.compile(r"\{(body|header:[A-Za-z0-9-]+)\}")


class Unproven(Exception):
    """A delivery is not let in; the message says why, and nothing of a secret.

    Attributes:
        outcome: ``unsigned`` or ``stale``.
    """

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


def key_of(secret: str, signature: Signature, where: str) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ConfigError: it is too short, or is not of the form's kind.
    """
    if isinstance(signature, Hmac) and signature.key == "base64":
        try:
            key = base64.b64decode(secret.removeprefix(signature.key_prefix), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"{where}: must be base64 behind '{signature.key_prefix}'") from None
    else:
        key = secret.encode()
    if len(key) < SHORTEST_SECRET:
        raise ConfigError(f"{where}: is too short: {SHORTEST_SECRET} bytes or more cannot be guessed")
    return key


def check_signature(signature: Signature, where: str) -> None:
    """Raise where a form leaves open what its signature is to protect.

    Raises:
        ConfigError: the body, or the timestamp, is not part of what is signed.
    """
    if not isinstance(signature, Hmac):
        return
    named = _PLACE.findall(signature.over)
    if named.count("body") != 1:
        raise ConfigError(f"{where}: over: must hold {{body}} once, else anybody can change it")
    if re.search(r"[{}]", _PLACE.sub("", signature.over)):
        raise ConfigError(f"{where}: over: '{signature.over}' may hold {{body}} and {{header:NAME}}")
    if signature.timestamp is not None and f"header:{signature.timestamp}" not in named:
        raise ConfigError(f"{where}: timestamp: must be part of over, else anybody can change it")


def prove(
    signature: Signature, keys: Sequence[bytes], headers: Mapping[str, str], path_secret: str, body: bytes, now: float
) -> None:
    """Return where one of the keys made the signature.

    Args:
        signature: how the form signs.
        keys: all that are valid.
        headers: of the request; names in any case.
        path_secret: the last part of the address.
        body: as it came.
        now: epoch seconds.

    Raises:
        Unproven: none did, or the delivery is too old.
    """
    match signature:
        case Hmac():
            _prove_hmac(signature, keys, headers, body)
            _fresh(signature, headers, now)
        case Token():
            given = headers.get(signature.header, "")
            if not given.startswith(signature.prefix):
                raise Unproven(
                    "unsigned", f"the header {signature.header} must hold '{signature.prefix}' and the secret"
                )
            _equal(given.removeprefix(signature.prefix), keys)
        case InPath():
            if not path_secret:
                raise Unproven("unsigned", "the address must end with the secret")
            _equal(path_secret, keys)


def _equal(given: str, keys: Sequence[bytes]) -> None:
    said = given.encode("utf-8", "surrogateescape")
    # every key is compared, whichever fits: how long it takes says nothing
    right = [hmac.compare_digest(said, key) for key in keys]
    if not any(right):
        raise Unproven("unsigned", "the secret is not one of this source's")


def _prove_hmac(signature: Hmac, keys: Sequence[bytes], headers: Mapping[str, str], body: bytes) -> None:
    held = headers.get(signature.header, "")
    given = [s.strip() for s in (held.split(signature.separator) if signature.separator else [held])]
    claimed = [s.removeprefix(signature.prefix) for s in given if s and s.startswith(signature.prefix)]
    if not claimed:
        raise Unproven("unsigned", f"the header {signature.header} must hold a signature")
    signed = _signed(signature.over, headers, body)
    made = [_encoded(hmac.new(key, signed, sha256).digest(), signature.encoding) for key in keys]
    tries = [(c.encode("utf-8", "surrogateescape"), m) for c in claimed for m in made]
    right = [hmac.compare_digest(c, m) for c, m in tries]
    if not any(right):
        raise Unproven(
            "unsigned", f"the signature in {signature.header} is not one of this source's secrets over this body"
        )


def _encoded(digest: bytes, encoding: str) -> bytes:
    return digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)


def _signed(over: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return what is signed; places are found before they are filled, so that none is found in what fills them."""
    parts: list[bytes] = []
    for i, part in enumerate(_PLACE.split(over)):  # text and names of places take turns
        if i % 2 == 0:
            parts.append(part.encode())
        elif part == "body":
            parts.append(body)
        else:
            parts.append(headers.get(part.removeprefix("header:"), "").encode("utf-8", "surrogateescape"))
    return b"".join(parts)


def _fresh(signature: Hmac, headers: Mapping[str, str], now: float) -> None:
    if signature.timestamp is None:
        return
    said = headers.get(signature.timestamp, "")
    if not (said.isascii() and said.isdigit() and len(said) <= 12):
        raise Unproven("stale", f"the header {signature.timestamp} must hold the time of sending, in epoch seconds")
    off = abs(now - int(said))
    if off > signature.tolerance_s:
        raise Unproven(
            "stale",
            f"sent {off:.0f} s from now, {signature.tolerance_s:g} are allowed: send it anew, and check the clocks",
        )
