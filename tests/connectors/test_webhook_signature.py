"""Who may speak to the webhook receiver: signatures by the vendors' own vectors, and forms that would leave something unsigned."""

from __future__ import annotations

import pytest

from connectors.webhook.form import Hmac, InPath, Token
from connectors.webhook.load import load_form
from connectors.webhook.signature import Unproven, check_signature, key_of, prove
from pipeline.errors import ConfigError

SECRET, BEFORE = "the-secret-of-this-source", "the-secret-before-that-one"


def proven(form, secret, headers, body, now=0.0, path=""):
    signature = load_form(form).signature
    prove(signature, [key_of(secret, signature, "test")], headers, path, body, now)


def test_githubs_published_signature_is_right():
    headers = {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    proven("github", "It's a Secret to Everybody", headers, b"Hello, World!")
    with pytest.raises(Unproven):
        proven("github", "It's a Secret to Everybody", headers, b"Hello, World?")


STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}  # fmt: skip


def test_the_published_signature_of_standard_webhooks_is_right():
    body, secret = b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    proven("cloudevents", secret, STANDARD, body, 1614265330)
    both = {**STANDARD, "webhook-signature": "v1a,bm90aGluZw== v1,bm90aGluZw== " + STANDARD["webhook-signature"]}
    proven("cloudevents", secret, both, body, 1614265330 + 300)
    for changed in (
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-signature": "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    ):
        with pytest.raises(Unproven):
            proven("cloudevents", secret, {**STANDARD, **changed}, body, 1614265330)
    with pytest.raises(Unproven, match="301 s from now, 300 are allowed"):
        proven("cloudevents", secret, STANDARD, body, 1614265330 + 301)


@pytest.mark.parametrize("said", ["", "1614265330.5", "-1614265330", "٣", "9" * 40])
def test_a_timestamp_that_is_none_is_stale_even_if_it_was_signed(said):
    import base64
    import hmac as h
    from hashlib import sha256

    key = base64.b64encode(b"k" * 24).decode()
    digest = base64.b64encode(h.new(b"k" * 24, f"m.{said}.x".encode(), sha256).digest()).decode()
    with pytest.raises(Unproven) as caught:
        proven(
            "cloudevents",
            key,
            {"webhook-id": "m", "webhook-timestamp": said, "webhook-signature": f"v1,{digest}"},
            b"x",
            1614265330,
        )
    assert caught.value.outcome == "stale"


def test_any_of_pagerdutys_signatures_and_any_of_our_secrets_will_do():
    import hmac as h
    from hashlib import sha256

    signature = load_form("pagerduty").signature
    one, two = (h.new(s.encode(), b"{}", sha256).hexdigest() for s in (SECRET, BEFORE))
    keys = [SECRET.encode(), BEFORE.encode()]
    for said in (f"v1={one}", f"v1={two}", f"v1={'0' * 64}, v1={two}", f"v2=x,v1={one}"):
        prove(signature, keys, {"X-PagerDuty-Signature": said}, "", b"{}", 0)
    for said in ("", one, f"v2={one}", f"v1={one}x", "v1=", "v1=\udcff"):
        with pytest.raises(Unproven):
            prove(signature, keys, {"X-PagerDuty-Signature": said}, "", b"{}", 0)


def test_every_comparison_takes_the_same_time(monkeypatch):
    compared = []
    import hmac as h

    real = h.compare_digest
    monkeypatch.setattr(
        "connectors.webhook.signature.hmac.compare_digest", lambda a, b: compared.append((a, b)) or real(a, b)
    )
    keys = [SECRET.encode(), BEFORE.encode()]
    prove(Token(), keys, {"Authorization": f"Bearer {SECRET}"}, "", b"", 0)
    prove(InPath(), keys, {}, SECRET, b"", 0)
    assert len(compared) == 4  # also the second key, though the first one fits


def test_a_header_in_the_body_is_not_filled_in():
    signature = Hmac(header="S", over="{header:T}.{body}")
    import hmac as h
    from hashlib import sha256

    body = b"{header:T}{body}"
    made = h.new(SECRET.encode(), b"5." + body, sha256).hexdigest()
    prove(signature, [SECRET.encode()], {"S": made, "T": "5"}, "", body, 0)


@pytest.mark.parametrize(
    ("over", "timestamp", "why"),
    [
        ("{header:T}", None, r"must hold \{body\} once"),
        ("{body}{body}", None, r"must hold \{body\} once"),
        ("{body}{query:x}", None, "may hold"),
        ("{body}", "T", "must be part of over"),
    ],
)
def test_a_form_that_leaves_something_unsigned_is_refused(over, timestamp, why):
    with pytest.raises(ConfigError, match=why):
        check_signature(Hmac(header="S", over=over, timestamp=timestamp), "form: signature")


def test_a_secret_that_can_be_guessed_is_refused():
    with pytest.raises(ConfigError, match="too short"):
        key_of("fifteen letters", Hmac(header="S"), "secrets[0]")
    with pytest.raises(ConfigError, match="must be base64 behind 'whsec_'"):
        key_of("whsec_no base64 at all!", load_form("cloudevents").signature, "secrets[0]")
