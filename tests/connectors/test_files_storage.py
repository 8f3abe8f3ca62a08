"""Files of S3-compatible storage, for which a local server stands in."""

from __future__ import annotations

import gzip

import pytest
from moto.server import ThreadedMotoServer

from pipeline.errors import ServiceUnavailable, SourceRefused
from tests.connectors.dropping import lines


@pytest.fixture(scope="module")
def storage():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(storage, drop, monkeypatch):
    """Return the drop, reading a fresh bucket below ``exports``."""
    from botocore.session import get_session

    monkeypatch.setenv("S3_ID", "an-id")
    monkeypatch.setenv("S3_SECRET", "s3cret-marker")
    drop.s3 = get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=storage,
        aws_access_key_id="an-id",
        aws_secret_access_key="s3cret-marker",
    )
    drop.bucket = f"b{abs(hash(drop.folder))}"
    drop.s3.create_bucket(Bucket=drop.bucket)

    def stored(name, text):
        drop.s3.put_object(
            Bucket=drop.bucket, Key=f"exports/{name}", Body=text if isinstance(text, bytes) else text.encode()
        )

    def stored_reader(mapping=None, **options):
        auth = {"access_key_id": {"env": "S3_ID"}, "secret_access_key": {"env": "S3_SECRET"}}
        return drop.reader(
            mapping,
            options={"place": f"s3://{drop.bucket}/exports", "endpoint": storage, **options},
            auth=auth,
            timeout_s=1,
        )

    drop.stored, drop.stored_reader = stored, stored_reader
    return drop


def test_objects_are_read_once_and_one_that_was_replaced_anew(bucket):
    bucket.stored("a.jsonl", lines(1, 2).rstrip("\n"))
    bucket.stored("sub/b.jsonl.gz", gzip.compress(lines(3).encode()))
    bucket.s3.put_object(Bucket=bucket.bucket, Key="elsewhere/c.jsonl", Body=lines(9).encode())
    reader = bucket.stored_reader()
    reader.poll()
    reader.poll()
    assert sorted(bucket.checks) == ["c1", "c2", "c3"]
    assert (
        bucket.stats.registry.get_sample_value(
            "csf_connector_requests_total", {"source": "files/ours", "outcome": "ok"}
        )
        == 2
    )
    bucket.stored("a.jsonl", lines(1, 2, 4))
    bucket.stored_reader().poll()  # after a restart
    assert sorted(bucket.checks) == ["c1", "c2", "c3", "c4"]


def test_more_objects_than_one_answer_lists_are_all_read(bucket, monkeypatch):
    for n in range(7):
        bucket.stored(f"{n}.jsonl", lines(n))
    reader = bucket.stored_reader()
    client = reader._place._client
    real = client.get_paginator
    monkeypatch.setattr(client, "get_paginator", lambda name: _Small(real(name)))
    reader.poll()
    assert sorted(bucket.checks) == [f"c{n}" for n in range(7)]


class _Small:
    def __init__(self, pager):
        self._pager = pager

    def paginate(self, **asked):
        return self._pager.paginate(**asked, PaginationConfig={"PageSize": 2})


def test_an_object_that_goes_between_list_and_get_is_left(bucket, monkeypatch):
    bucket.stored("a.jsonl", lines(1))
    reader = bucket.stored_reader()
    items = list(reader._place.items())
    monkeypatch.setattr(reader._place, "items", lambda: iter(items))
    bucket.stored("a.jsonl", lines(2))
    reader.poll()
    bucket.s3.delete_object(Bucket=bucket.bucket, Key="exports/a.jsonl")
    reader.poll()
    assert bucket.checks == []
    assert not bucket.sink.cursors


def test_a_bucket_that_is_not_there_is_refused_and_one_that_does_not_answer_is_not(bucket):
    with pytest.raises(SourceRefused, match="answers NoSuchBucket") as caught:
        bucket.stored_reader(place="s3://nowhere-at-all").poll()
    assert "s3cret-marker" not in str(caught.value)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        bucket.stored_reader(endpoint="http://127.0.0.1:9").poll()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (403, SourceRefused),
        (401, SourceRefused),
        (503, ServiceUnavailable),
        (500, ServiceUnavailable),
        (429, ServiceUnavailable),
    ],
)
def test_refusals_and_faults_of_storage(drop, monkeypatch, code, kind):
    from tests.connectors.vendor import Says, serving

    monkeypatch.setenv("S3_ID", "an-id")
    monkeypatch.setenv("S3_SECRET", "s3cret-marker")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    names = {
        403: "AccessDenied",
        401: "InvalidAccessKeyId",
        503: "SlowDown",
        500: "InternalError",
        429: "TooManyRequests",
    }
    with serving(
        lambda _asked: Says(raw=f"<Error><Code>{names[code]}</Code><Message>no</Message></Error>".encode(), status=code)
    ) as vendor:
        auth = {"access_key_id": {"env": "S3_ID"}, "secret_access_key": {"env": "S3_SECRET"}}
        with pytest.raises(kind, match=f"answers {names[code]}: no") as caught:
            drop.reader(options={"place": "s3://b/x", "endpoint": vendor.address}, auth=auth).poll()
    assert "s3cret-marker" not in str(caught.value)
