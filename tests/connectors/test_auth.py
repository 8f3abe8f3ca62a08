"""Ways in that sign by a key: AWS, GitHub App, Google service account; secrets that turn; parameters."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import botocore.auth
import botocore.session
import httpx2
import jwt
import pytest
import stamina
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.engine.aws import AwsSignature
from connectors.engine.declared_auth import AwsSigned
from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused
from tests.connectors.desk import DECLARATION
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving

GIVEN = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
FORM = {"content-type": "application/x-www-form-urlencoded"}

#: Requests and signatures of AWS's Signature Version 4 test suite; its paths of raw UTF-8 are left out: httpx2 escapes what it
#: sends, and AWS then escapes the escapes, as botocore does.
SUITE = {
    "get-vanilla": ("GET", "/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-empty-query-key": ("GET", "/?Param1=value1", {}, b"", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    "get-vanilla-query-order-key-case": ("GET", "/?Param2=value2&Param1=value1", {}, b"", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    "get-vanilla-query-unreserved": (
        "GET", "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        {}, b"", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": ("GET", "/?ሴ=bar", {}, b"", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    "post-vanilla": ("POST", "/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": ("POST", "/?Param1=value1", {}, b"", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    "post-x-www-form-urlencoded": ("POST", "/", FORM, b"Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
}  # fmt: skip


@pytest.fixture
def then(monkeypatch):
    """The time of AWS's test suite."""

    def at(*_args, **_more):
        return datetime(2015, 8, 30, 12, 36)  # noqa: DTZ001 - as botocore has it

    monkeypatch.setattr(botocore.auth, "get_current_datetime", at)


def signed(url, method="GET", headers=None, body=b"", service="service", given=GIVEN):
    auth = AwsSignature(AwsSigned(service=service, region="us-east-1"), given)
    request = httpx2.Request(method, url, headers=headers or {}, content=body or None)
    return next(auth.sync_auth_flow(request))


@pytest.mark.parametrize(("method", "path", "headers", "body", "signature"), SUITE.values(), ids=SUITE)
def test_requests_are_signed_as_aws_publishes(then, method, path, headers, body, signature):
    request = signed(f"https://example.amazonaws.com{path}", method, headers, body)
    names = "content-type;host;x-amz-date" if headers else "host;x-amz-date"
    assert request.headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={names}, Signature={signature}"
    )


def test_what_is_sent_is_what_was_signed(then):
    """AWS reads a plus as a plus and checks every character it would escape, so the query that leaves is escaped likewise."""
    request = signed("https://example.amazonaws.com/?at=2026-11-02T09:03:44%2B00:00&q=a b+c/d*")
    assert request.url.query == b"at=2026-11-02T09%3A03%3A44%2B00%3A00&q=a%20b%20c%2Fd%2A"


def test_a_session_token_and_the_body_of_s3_are_named(then):
    request = signed("https://b.s3.amazonaws.com/a b.csv", service="s3", given={**GIVEN, "session_token": "of-a-role"})
    assert request.headers["x-amz-security-token"] == "of-a-role"
    assert request.headers["x-amz-content-sha256"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without credentials of AWS, and no service to give some."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


def test_a_role_s_credentials_are_found(then, bare, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFROLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "its-secret")
    assert "Credential=AKIDOFROLE/" in signed("https://example.amazonaws.com/", given={}).headers["authorization"]


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "there are no AWS credentials: name"), ({"access_key_id": "A"}, "access_key_id and secret_access_key go together")],
)  # fmt: skip
def test_missing_credentials_of_aws_are_told(bare, given, said):
    with pytest.raises(ConfigError, match=said):
        signed("https://example.amazonaws.com/", given=given)


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


class Signing:
    """Gives a token for a claim that the key signed, and shows an empty desk to its bearer."""

    def __init__(self, key, lasts_s=3600.0):
        self.key, self.lasts_s, self.claims, self.given, self.asked = key, lasts_s, [], 0, 0

    def __call__(self, asked):
        if asked.path == "/app/installations/77/access_tokens":
            assert asked.method == "POST"
            self.take(asked.headers["authorization"].removeprefix("Bearer "), None)
            ends = datetime.now(UTC) + timedelta(seconds=self.lasts_s)
            return Says({"token": f"ghs_{self.given}", "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}, 201)
        if asked.path == "/token":
            assert asked.body["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            self.take(asked.body["assertion"], self.address + "/token")
            return Says({"access_token": f"ghs_{self.given}", "expires_in": self.lasts_s, "token_type": "Bearer"})
        if asked.headers.get("authorization") != f"Bearer ghs_{self.given}":
            return Says({"error": "expired"}, 401)
        self.asked += 1
        return Says({"tickets": []})

    def take(self, token, audience):
        self.claims.append(jwt.decode(token, self.key.public_key(), algorithms=["RS256"], audience=audience))
        self.header = jwt.get_unverified_header(token)
        self.given += 1


def app(tmp_path, monkeypatch, key):
    (tmp_path / "app.pem").write_text(pem(key))
    monkeypatch.setenv("APP", "4711")
    monkeypatch.setenv("INSTALLATION", "77")
    return {"app_id": {"env": "APP"}, "installation_id": {"env": "INSTALLATION"}, "private_key": {"file": str(tmp_path / "app.pem")}}  # fmt: skip


def bench_with(tmp_path, vendor, way, given):
    return on_bench(
        tmp_path, {**DECLARATION, "auth": {"token": way}}, options={"address": vendor.address}, auth=given,
        since="2026-11-26T11:00:00Z",
    )  # fmt: skip


GITHUB_APP = {"kind": "github_app", "address": "{option:address}"}


def test_a_github_app_signs_for_a_token_and_keeps_it(tmp_path, monkeypatch, key):
    with serving(Signing(key)) as vendor:
        bench = bench_with(tmp_path, vendor, GITHUB_APP, app(tmp_path, monkeypatch, key))
        bench.poll()
        bench.later(minutes=5)
        bench.poll()
        source = vendor.answer
    (claim,) = source.claims
    assert claim["iss"] == "4711"
    assert 0 < claim["exp"] - claim["iat"] <= 600
    assert source.asked == 2


def test_a_token_of_an_app_is_renewed_before_its_end(tmp_path, monkeypatch, key):
    with serving(Signing(key, lasts_s=59.0)) as vendor:
        bench = bench_with(tmp_path, vendor, GITHUB_APP, app(tmp_path, monkeypatch, key))
        bench.poll()
        bench.later(minutes=5)
        bench.poll()
        assert vendor.answer.given == 2


def test_a_refused_app_is_told_without_its_key(tmp_path, monkeypatch, key):
    with serving(Signing(key)) as vendor:
        vendor.always = Says({"message": "Integration not found"}, 404)
        bench = bench_with(tmp_path, vendor, GITHUB_APP, app(tmp_path, monkeypatch, key))
        with pytest.raises(SourceRefused, match=r"/access_tokens: gives no token \(status 404\): check app_id, inst"):
            bench.poll()


def test_what_is_no_key_is_told_at_the_start(tmp_path, monkeypatch, key):
    given = app(tmp_path, monkeypatch, key)
    (tmp_path / "app.pem").write_text("-----BEGIN NOTHING-----")
    with (
        serving(Signing(key)) as vendor,
        pytest.raises(ConfigError, match=r"auth\.private_key: is no RSA key in PEM form"),
    ):
        bench_with(tmp_path, vendor, GITHUB_APP, given)  # fmt: skip


def test_a_service_account_of_google_signs_for_its_scope(tmp_path, key):
    account = {
        "type": "service_account",
        "client_email": "pulse@acme.example",
        "private_key_id": "k1",
        "private_key": pem(key),
    }
    with serving(Signing(key)) as vendor:
        vendor.answer.address = vendor.address
        (tmp_path / "key.json").write_text(json.dumps({**account, "token_uri": f"{vendor.address}/token"}))
        way = {"kind": "google", "scope": "analytics.readonly"}
        bench_with(tmp_path, vendor, way, {"service_account": {"file": str(tmp_path / "key.json")}}).poll()
        (claim,) = vendor.answer.claims
        assert (claim["iss"], claim["scope"]) == ("pulse@acme.example", "analytics.readonly")
        assert vendor.answer.header["kid"] == "k1"
        (tmp_path / "key.json").write_text('{"client_email": "x"}')
        with pytest.raises(ConfigError, match="is no key file of a service account"):
            bench_with(tmp_path, vendor, way, {"service_account": {"file": str(tmp_path / "key.json")}})


def test_a_token_in_a_file_may_turn(tmp_path):
    (tmp_path / "token").write_text("first-token\n")
    with serving(lambda _asked: Says({"tickets": []})) as vendor:
        bench = bench_with(tmp_path, vendor, {"kind": "bearer"}, {"token": {"file": str(tmp_path / "token")}})
        bench.poll()
        (tmp_path / "token").write_text("second-token\n")
        bench.later(minutes=5)
        bench.poll()
        assert [a.headers["authorization"] for a in vendor.asked] == ["Bearer first-token", "Bearer second-token"]
        vendor.always = Says({"said": "second-token"}, 403)
        bench.later(minutes=5)
        with pytest.raises(SourceRefused, match=r"answers 403: {\"said\": \"\*\*\*\"}"):
            bench.poll()


def test_a_refresh_token_that_turned_outlives_a_restart(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIENT", "client-1")
    monkeypatch.setenv("CLIENT_SECRET", "s3cret-client")
    (tmp_path / "refresh").write_text("again-0")
    taken = []

    def answer(asked):
        if asked.path != "/token":
            return Says({"tickets": []})
        taken.append(asked.body["refresh_token"])
        assert asked.headers["authorization"] == "Basic Y2xpZW50LTE6czNjcmV0LWNsaWVudA=="
        assert "client_secret" not in asked.body
        return Says({"access_token": "token", "expires_in": 3600, "refresh_token": f"again-{len(taken)}"})

    with serving(answer) as vendor:
        way = {"kind": "oauth2", "token_url": "{option:address}/token", "client": "basic"}
        given = {"client_id": {"env": "CLIENT"}, "client_secret": {"env": "CLIENT_SECRET"}, "refresh_token": {"file": str(tmp_path / "refresh")}}  # fmt: skip
        for _ in range(2):
            bench_with(tmp_path, vendor, way, given).poll()
    assert taken == ["again-0", "again-1"]
    assert (tmp_path / "refresh").read_text() == "again-2"
    assert (tmp_path / "refresh").stat().st_mode & 0o077 == 0


def test_a_secret_parameter_is_in_the_query_and_in_no_message(tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "s3cret-key")
    way = {"kind": "parameter", "parameters": {"api_key": "{key}"}}
    with serving(lambda _asked: Says({"tickets": []})) as vendor:
        bench = bench_with(tmp_path, vendor, way, {"key": {"env": "KEY"}})
        bench.poll()
        assert vendor.asked[0].query["api_key"] == "s3cret-key"
        assert "offset" in vendor.asked[0].query
        vendor.always = Says({"you asked": "api_key=s3cret-key"}, 400)
        bench.later(minutes=5)
        with pytest.raises(SourceRefused) as caught:
            bench.poll()
    assert "s3cret-key" not in str(caught.value)


def test_a_token_service_that_hangs_is_named_and_not_waited_for(tmp_path, monkeypatch):
    """Requests for tokens have no time limit of their own."""
    monkeypatch.setenv("SECRET", "s3cret-client")
    with stamina.set_testing(True, attempts=1), serving(lambda _asked: Says(hangs=True)) as vendor:
        way = {"oauth": {"kind": "oauth2", "token_url": f"{vendor.address}/token"}}
        bench = on_bench(
            tmp_path, {**DECLARATION, "auth": way}, options={"address": vendor.address}, timeout_s=0.1,
            auth={"client_id": {"env": "SECRET"}, "client_secret": {"env": "SECRET"}},
        )  # fmt: skip
        with pytest.raises(ServiceUnavailable, match=f"^{vendor.address}/token: does not answer"):
            bench.poll()
