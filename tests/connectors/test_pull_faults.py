"""What a pull connector does when its source fails, refuses or makes it wait, and what it says about that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from connectors.engine.declaration import RateLimit
from connectors.engine.retry import transient, wait_s
from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused
from tests.connectors.desk import ATTEMPTS, DECLARATION, ENTRY, Desk, bench_at, declared
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving

pytestmark = pytest.mark.usefixtures("quick")

FAULTS = {
    "500": Says({"error": "oops"}, 500),
    "503": Says(None, 503),
    "no JSON": Says(raw=b'{"tickets": [{"id'),
    "an empty answer of a proxy": Says(raw=b"<html>try later</html>", status=502),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_changes_nothing(tmp_path, fault):
    with serving(Desk(7)) as vendor:
        vendor.faults = [fault, fault]
        assert len(bench_at(vendor, tmp_path).poll()) == 7


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_stays_is_told_with_the_address_and_no_cursor_moves(tmp_path, fault):
    with serving(Desk(7)) as vendor:
        vendor.always = fault
        bench = bench_at(vendor, tmp_path)
        with pytest.raises(ServiceUnavailable, match=f"{vendor.address}/tickets: answers ") as caught:
            bench.poll()
        assert len(vendor.asked) == ATTEMPTS
    assert "\n" not in str(caught.value)
    assert not bench.sink.cursors


def test_a_source_that_hangs_is_given_up_after_the_time_out(tmp_path):
    with serving(Desk(7)) as vendor:
        vendor.faults = [Says(hangs=True)]
        assert len(bench_at(vendor, tmp_path, timeout_s=0.3).poll()) == 7
        assert len(vendor.asked) >= 2


def test_nobody_there_is_told(tmp_path):
    with serving(Desk(1)) as vendor:
        bench = bench_at(vendor, tmp_path)
    with pytest.raises(ServiceUnavailable, match="/tickets: does not answer: "):
        bench.poll()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"answers 401: {.*}; check the credentials"), (403, r"answers 403: {.*}; the credentials lack a right"),
        (404, r"answers 404: {.*}; check address and options"), (400, r"answers 400: {\"error\":\"no\"}$"),
        (302, "sends us on to .*/login; name that address"),
    ],
)  # fmt: skip
def test_a_refusal_is_not_tried_again(tmp_path, status, said):
    with serving(Desk(1)) as vendor:
        vendor.always = Says(raw=b'{"error":"no"}', status=status, headers={"Location": "/login"})
        with pytest.raises(SourceRefused, match=said):
            bench_at(vendor, tmp_path).poll()
        assert len(vendor.asked) == 1


def test_a_secret_is_told_by_nobody(tmp_path, monkeypatch):
    with serving(Desk(1)) as vendor:
        monkeypatch.setenv("DESK_TOKEN", "wr0ng-t0ken-value")
        bench = bench_at(vendor, tmp_path)
        with pytest.raises(SourceRefused) as caught:  # the desk repeats the token in its answer
            bench.poll()
    assert "unknown token Bearer ***" in str(caught.value)
    assert (
        "wr0ng-t0ken-value"
        not in f"{caught.value}{bench.said}{bench.connector!r}{bench.sink.stored}{bench.sink.letters}"
    )


def test_a_wait_that_is_asked_for_is_kept_and_counted(tmp_path):
    with serving(Desk(7)) as vendor:
        vendor.faults = [Says(None, 429, {"Retry-After": "37"}), Says(None, 503, {"Retry-After": "2"})]
        bench = bench_at(vendor, tmp_path)
        assert len(bench.poll()) == 7
    assert bench.waits == [37.0, 2.0]
    assert bench.counted("rate_limit_wait_seconds_total") == 39


def test_the_last_request_of_a_rate_limit_is_waited_behind(tmp_path):
    declaration = {**DECLARATION, "rate_limit": {"remaining": "x-left", "reset": "x-reset", "form": "seconds"}}
    desk = Desk(7)

    def answer(asked):
        says = desk(asked)
        says.headers |= {"x-left": "0" if len(vendor.asked) == 2 else "5", "x-reset": "11"}
        return says

    with serving(answer) as vendor:
        bench = bench_at(vendor, tmp_path, declaration)
        assert len(bench.poll()) == 7
    assert bench.waits == [11.0]


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LIMITS = {form: RateLimit(remaining="left", reset="reset", form=form) for form in ("seconds", "epoch_s", "iso")}


@pytest.mark.parametrize(
    ("status", "headers", "form", "wait"),
    [
        (429, {"retry-after": "12"}, None, 12.0),
        (429, {"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, None, 90.0),
        (429, {"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, None, 0.0),
        (429, {"retry-after": "soon"}, None, None),
        (429, {"retry-after": "999999"}, None, 3600.0),
        (429, {}, None, None),
        (429, {"reset": "30"}, "seconds", 30.0),
        (403, {"left": "0", "reset": str(int(NOW.timestamp()) + 45)}, "epoch_s", 45.0),
        (429, {"reset": "2026-11-26T12:01:00Z"}, "iso", 60.0),
        (429, {"reset": "2026-11-26T12:01:00"}, "iso", 60.0),
        (429, {"reset": "later"}, "iso", None),
        (200, {"left": "3", "reset": "30"}, "seconds", None),
        (429, {"retry-after": "5", "left": "0", "reset": "30"}, "seconds", 5.0),
    ],
)  # fmt: skip
def test_waits_are_read_in_every_form(status, headers, form, wait):
    assert wait_s(status, httpx2.Headers(headers), LIMITS.get(form), NOW) == wait


@pytest.mark.parametrize(
    ("status", "headers", "text", "passes"),
    [
        (429, {}, "", True), (500, {}, "", True), (401, {}, "", False), (403, {}, "no right", False),
        (403, {"left": "0"}, "", True), (403, {"retry-after": "60"}, "", True),
        (403, {}, "You have exceeded a secondary rate limit", True), (501, {}, "", False),
    ],
)  # fmt: skip
def test_what_passes_is_told_from_what_stays(status, headers, text, passes):
    assert transient(status, httpx2.Headers(headers), text, LIMITS["seconds"], ["secondary rate limit"]) is passes


def oauth(vendor, **more):
    return {
        **DECLARATION,
        "auth": {"token": {"kind": "oauth2", "token_url": f"{vendor.address}/token", "scope": "read", **more}},
    }


class Giver:
    """Gives tokens, and answers like the desk to the newest one."""

    def __init__(self):
        self.desk, self.given, self.forms, self.lasts = Desk(7), 0, [], 3600

    def __call__(self, asked):
        if asked.path == "/token":
            self.forms.append(asked.body)
            if asked.body["client_secret"] != "s3cret-client":
                return Says({"error": "invalid_client"}, 401)
            self.given += 1
            return Says(
                {
                    "access_token": f"token-{self.given}",
                    "expires_in": self.lasts,
                    "refresh_token": f"again-{self.given}",
                }
            )
        if asked.headers.get("authorization") != f"Bearer token-{self.given}":
            return Says({"error": "expired"}, 401)
        asked.headers["authorization"] = "Bearer s3cret-token"
        return self.desk(asked)


@pytest.fixture
def client_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("CLIENT", "client-1")
    (tmp_path / "secret").write_text("s3cret-client\n")
    return {"client_id": {"env": "CLIENT"}, "client_secret": {"file": str(tmp_path / "secret")}}


def test_a_token_is_asked_for_once_and_again_when_it_is_refused(tmp_path, client_secret):
    giver = Giver()
    with serving(giver) as vendor:
        bench = bench_at(vendor, tmp_path, oauth(vendor), auth=client_secret)
        assert len(bench.poll()) == 7
        assert [f["grant_type"] for f in giver.forms] == ["client_credentials"]
        assert giver.forms[0]["scope"] == "read"
        giver.given = 9  # revoked: only the token that is given next counts
        bench.later(hours=1)
        bench.poll()
        assert len(giver.forms) == 2


def test_a_token_that_ends_is_asked_for_before(tmp_path, client_secret):
    giver = Giver()
    giver.lasts = 60
    with serving(giver) as vendor:
        bench_at(vendor, tmp_path, oauth(vendor), auth=client_secret).poll()
    assert len(giver.forms) == len([a for a in vendor.asked if a.path == "/tickets"])


def test_a_refresh_token_is_turned_with_every_use(tmp_path, client_secret, monkeypatch):
    monkeypatch.setenv("REFRESH", "again-0")
    giver = Giver()
    giver.lasts = 60
    with serving(giver) as vendor:
        bench_at(vendor, tmp_path, oauth(vendor), auth={**client_secret, "refresh_token": {"env": "REFRESH"}}).poll()
    assert [f["refresh_token"] for f in giver.forms][:3] == ["again-0", "again-1", "again-2"]


def test_a_client_that_is_refused_a_token_is_told(tmp_path, client_secret):
    (tmp_path / "secret").write_text("wrong-client")
    with (
        serving(Giver()) as vendor,
        pytest.raises(SourceRefused, match=r"/token: gives no token \(status 401\): check client_id"),
    ):
        bench_at(vendor, tmp_path, oauth(vendor), auth=client_secret).poll()


@pytest.mark.parametrize(
    ("auth", "given", "header", "value"),
    [
        ({"kind": "basic"}, {"username": "me", "password": "pass-word"}, "authorization", "Basic bWU6cGFzcy13b3Jk"),
        ({"kind": "bearer"}, {"token": "abcd"}, "authorization", "Bearer abcd"),
        ({"kind": "header", "headers": {"X-Key": "Token key={key}"}}, {"key": "abcd"}, "x-key", "Token key=abcd"),
    ],
)  # fmt: skip
def test_every_way_in_signs_the_request(tmp_path, monkeypatch, auth, given, header, value):
    for name, secret in given.items():
        monkeypatch.setenv(f"S_{name}".upper(), secret)
    with serving(lambda _asked: Says({"tickets": []})) as vendor:
        said = {name: {"env": f"S_{name}".upper()} for name in given}
        bench_at(vendor, tmp_path, {**DECLARATION, "auth": {"token": auth}}, auth=said).poll()
        assert vendor.asked[0].headers[header] == value


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"auth": {"token": "s3cret-token"}}, r"ours: auth\.token: name where the secret is: {env: VARIABLE} or {file: PATH}"),
        ({"auth": {"token": {"env": "NOT_SET"}}}, r"auth\.token: the environment variable NOT_SET is not set"),
        ({"auth": {"token": {"file": "/nowhere"}}}, r"auth\.token: /nowhere cannot be read: No such file"),
        ({"auth": {}}, r"auth\.token is missing"),
        ({"auth": {"tokn": {"env": "DESK_TOKEN"}}}, r"auth: unknown key 'tokn'; did you mean 'token'\?"),
        ({"options": {}}, r"options\.address is missing: where it is, for example https://desk\.example\.org"),
        ({"options": {"adress": "x"}}, r"options: there is no option 'adress'; did you mean 'address'\?"),
        ({"options": {"address": "desk"}}, "'desk' is no address; it begins with https:// or http://"),
        ({"options": {"address": ["https://a"]}}, r"options\.address must be one value"),
        ({"streams": ["ticket"]}, r"there is no stream 'ticket'; did you mean 'tickets'\?"),
        ({"values": {"tickets": {"priority": {"a": 1}}}}, "values: no field 'priority' has a map"),
        ({"since": "yesterday"}, "since: 'yesterday' is no time; write 2026-11-01"),
        ({"connector": "dsk"}, "there is no connector 'dsk'"),
        ({"startup": "perhaps"}, "startup: 'perhaps' is not allowed; allowed: fail, retry, ignore"),
        ({"pol_s": 3}, r"entry 1: unknown key 'pol_s'; did you mean 'poll_s'\?"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_told_in_one_sentence(tmp_path, entry, said):
    with pytest.raises(ConfigError, match=said) as caught:
        on_bench(
            tmp_path,
            entry.get("connector", DECLARATION),
            **{"options": {"address": "https://x"}, **ENTRY, **{k: v for k, v in entry.items() if k != "connector"}},
        )
    assert "\n" not in str(caught.value)


WRONG = {
    "unknown key": (declared(recrods="x"), r"unknown key 'streams\[0\]\.recrods'; did you mean 'records'\?"),
    "unknown paginator": (declared(paginator={"kind": "offst"}), r"paginator\.kind: there is no kind 'offst'; did you mean 'offset'\?"),
    "unknown place": (declared(request={"path": "/t/{sinc}"}), "request: there is nothing for {sinc}; there is: length, since, until"),
    "unknown option": (declared(request={"path": "/t/{option:x}"}), "there is nothing for {option:x}"),
    "deletes": (
        declared(request={"path": "/t", "method": "DELETE"}),
        "request: method: a connector deletes nothing but what it made itself: only job.end may say DELETE",
    ),
    "no identity": (declared(id=[]), "id: name the columns that name a record"),
    "a file's key": (declared(mapping={"service": "s", "format": "csv", "events": []}), "'format' describes a file"),
    "a wrong mapping": (
        declared(mapping={"service": "s", "events": [{"type": "incident.updatd", "time": "t", "data": {}}]}),
        r"mapping: events\[0\]\.type: there is no event type 'incident\.updatd'; did you mean",
    ),
    "missing": ({k: v for k, v in DECLARATION.items() if k != "base"}, "the key 'base' is missing"),
    "zone": (declared(cursor={"kind": "window", "zone": "Mars/North"}), "'Mars/North' is no time zone"),
    "narrowest": (declared(cursor={"kind": "window", "narrowest_s": 0}), "narrowest_s must be greater than 0"),
    "each": (declared(each={"repo": "address"}), "'address' is no option that holds many values"),
    "name": ({**DECLARATION, "name": "My Desk"}, "name: 'My Desk' must be of a-z"),
    "type": (declared(paginator={"kind": "offset", "size": "many"}), r"paginator\.size: expected a whole number, got text"),
}  # fmt: skip


@pytest.mark.parametrize(("declaration", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_declaration_is_told_in_one_sentence(tmp_path, declaration, said):
    with pytest.raises(ConfigError, match=said) as caught:
        on_bench(tmp_path, declaration, options={"address": "https://x"}, **ENTRY)
    assert "\n" not in str(caught.value)
    assert "desk.yaml" in str(caught.value)


def test_records_where_none_are_is_told_with_what_is_there(tmp_path):
    with (
        serving(lambda _asked: Says({"error": {"message": "x"}, "status": "bad"})) as vendor,
        pytest.raises(
            SourceRefused,
            match="desk/ours/tickets: the answer has no 'tickets' to hold the records; it has: error, status",
        ),
    ):
        bench_at(vendor, tmp_path).poll()
