"""Access logs as other servers are told to write them."""

import time

import pytest

from connectors.access_log import parse_line

LINE = '1.2.3.4 - - [24/Nov/2026:02:00:01 +0100] "GET /page HTTP/1.1" 200 12 "-" "Mozilla/5.0"'


@pytest.mark.parametrize(
    ("rest", "seconds"),
    [
        ("", None), (" 0.250", 0.25), (' "-"', None), (' "10.0.0.1" rt=0.120 uct="0.001" urt="0.119"', 0.12),
        (" request_time=1.500", 1.5), (' 0.004 0.003 .', 0.004), (' "0.031"', 0.031), (" 1532", None), (" -", None),
        (' "10.0.0.1"', None),
    ],
)  # fmt: skip
def test_what_is_logged_behind_the_user_agent(rest, seconds):
    hit = parse_line(LINE + rest)
    assert (hit.address, hit.agent, hit.status, hit.seconds) == ("1.2.3.4", "Mozilla/5.0", 200, seconds)


@pytest.mark.parametrize("host", ["www.example.org:443 ", "www.example.org ", "10.1.1.1 "])
def test_a_virtual_host_before_the_address(host):
    assert parse_line(host + LINE).address == "1.2.3.4"
    assert parse_line(host + LINE.replace("1.2.3.4", "2001:db8::1")).address == "2001:db8::1"


def test_names_with_spaces_and_quotes_inside_quotes():
    assert parse_line(LINE.replace("- - [", "- John Smith [")).address == "1.2.3.4"
    hit = parse_line(LINE.replace("/page", '/a\\"b').replace("Mozilla/5.0", 'M \\"x\\" y'))
    assert (hit.path, hit.agent) == ('/a"b', 'M "x" y')
    assert parse_line(LINE[:-1]) is None
    assert parse_line(LINE[:-1] + ' "-"') is None


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (r"\x22\x5C\x0A", '"\\\n'), (r"caf\xC3\xA9", "café"), (r"caf\xc3\xa9", "café"), (r"\xFF", "\ufffd"), (r"a\\x22", r"a\x22"),
        (r"\"a\"\t\n", '"a"\t\n'), (r"\xZZ\x2", "xZZx2"), ("plain", "plain"), ("%22%5C", "%22%5C"),
    ],
)  # fmt: skip
def test_what_servers_escape_is_what_was_sent(written, sent):
    hit = parse_line(LINE.replace("/page", f"/{written}").replace("Mozilla/5.0", written))
    assert (hit.path, hit.agent, hit.status) == (f"/{sent}", sent, 200)


@pytest.mark.parametrize("user", ["[x]", "] [", r"a \x22b", "x [24/Nov/2020:00:00:00 +0000]", r"\"GET / H\" 500"])
def test_whoever_names_himself_oddly_is_read(user):
    hit = parse_line(LINE.replace("- - [", f"- {user} ["))
    assert (hit.at.year, hit.path, hit.status) == (2026, "/page", 200)


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://shop/a?b", "/a?b"), ("HTTPS://shop:8/", "/"), ("http://shop", "/"), ("*", "*"), ("shop:443", "shop:443")],
)
def test_a_target_with_a_host_is_the_path(target, path):
    assert parse_line(LINE.replace("/page", target)).path == path


@pytest.mark.parametrize(
    "line",
    [
        "a " * 50_000, "1 - - [" * 20_000, '1 - - [x] "' + "\\" * 100_000, LINE + " " * 100_000 + "x", '"' * 100_000,
        LINE + " 1." * 50_000, "a - " + "b " * 50_000 + "[", LINE[:-12] + '" "' * 50_000, "a.b " * 50_000,
        "1 - " + " [" * 100_000, "1 - " + "\\[ [x] " * 50_000, "1 - - [" + "[x] [" * 50_000, LINE.replace("- - [", "- " + " [x]" * 50_000 + " ["),
        LINE + ' "1.' * 50_000, LINE.replace("GET", "\\" * 99_999),
    ],
)  # fmt: skip
def test_a_hostile_line_takes_no_time(line):
    started = time.process_time()
    parse_line(line)
    assert time.process_time() - started < 1
