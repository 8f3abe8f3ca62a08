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
    assert (hit.path, hit.agent) == ('/a\\"b', 'M \\"x\\" y')
    assert parse_line(LINE[:-1]) is None
    assert parse_line(LINE[:-1] + ' "-"') is None


@pytest.mark.parametrize(
    "line",
    [
        "a " * 50_000, "1 - - [" * 20_000, '1 - - [x] "' + "\\" * 100_000, LINE + " " * 100_000 + "x", '"' * 100_000,
        LINE + " 1." * 50_000, "a - " + "b " * 50_000 + "[", LINE[:-12] + '" "' * 50_000, "a.b " * 50_000,
        LINE + ' "1.' * 50_000, LINE.replace("GET", "\\" * 99_999),
    ],
)  # fmt: skip
def test_a_hostile_line_takes_no_time(line):
    started = time.process_time()
    parse_line(line)
    assert time.process_time() - started < 1
