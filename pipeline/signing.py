"""How webhooks are signed: one way for reports and alerts, so that a receiver checks one thing."""

from __future__ import annotations

import hashlib
import hmac

#: Headers: the signature, and the id of a delivery, which is the same however often it is sent.
SIGNATURE, DELIVERY = "CSF-Signature", "CSF-Delivery"


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the signature header: ``t=`` epoch seconds, ``v1=`` HMAC-SHA256 of ``t.body`` in hex."""
    made = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"
