"""What commands print obeys nobody: not the terminal, not the spreadsheet, not the reader of a log."""

from __future__ import annotations

import csv
import io
import json
import logging
import unicodedata
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import OneLineFormatter, print_rows
from pipeline.plain import printable

#: lone surrogates too: JSON can write them
TEXT = st.text(st.characters(categories=None), max_size=40) | st.sampled_from(
    [
        "=1+1",
        "+1",
        "-2",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =cmd|' /C calc'!A0",
        "＝1",
        "\x1b]0;owned\x07",
        "\x9b31m",
        "a\u202eb",
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries({"a": TEXT, "b": TEXT | st.none() | st.integers() | st.floats(allow_nan=False)}), max_size=4
)


def printed(rows: list[dict[str, object]], fmt: str) -> str:
    out = io.StringIO(newline="")
    with redirect_stdout(out):
        print_rows(rows, ["a", "b"], fmt)
    text = out.getvalue()
    text.encode()  # no lone surrogate
    return text


def obeyed(text: str, keep: str) -> list[str]:
    """Return the characters of a text that terminals obey."""
    return [c for c in text if c not in keep and (unicodedata.category(c) in {"Cc", "Cs"} or unicodedata.bidirectional(c) in
            {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})]  # fmt: skip


@given(ROWS)
def test_a_table_has_one_line_a_row_and_nothing_that_a_terminal_obeys(rows: list[dict[str, object]]) -> None:
    text = printed(rows, "table")
    assert text.count("\n") == len(rows) + 1
    assert not obeyed(text, "\n")


@given(ROWS)
def test_json_is_what_it_was_and_nothing_that_a_terminal_obeys(rows: list[dict[str, object]]) -> None:
    text = printed(rows, "json")
    assert json.loads(text) == rows
    assert not obeyed(text, "\n")


@given(ROWS)
def test_csv_holds_no_formula(rows: list[dict[str, object]]) -> None:
    text = printed(rows, "csv")
    assert not obeyed(text, "\n\t")
    cells = list(csv.reader(io.StringIO(text, newline="")))
    assert len(cells) == len(rows) + 1
    for row, (a, b) in zip(rows, cells[1:], strict=True):
        for told, shown in ((row["a"], a), (row["b"], b)):
            if isinstance(told, str):
                assert shown.lstrip()[:1] not in set("=+-@＝＋－＠")
                assert shown[:1] not in {"\t", "\r", "\n"}
                assert shown.removeprefix("'") == printable(told, keep="\n\t").removeprefix("'")
            else:
                assert shown == ("" if told is None else str(told))  # a negative number stays a number


@pytest.mark.parametrize("fmt", ["table", "csv", "json"])
def test_a_negative_number_is_a_number(fmt: str) -> None:
    text = printed([{"a": "x", "b": -1.5}], fmt)
    assert "-1.5" in text
    assert "'-1.5" not in text


@given(TEXT, TEXT)
def test_a_log_record_is_one_line_and_its_trace_is_indented(message: str, wrong: str) -> None:
    out = io.StringIO(newline="")
    handler = logging.StreamHandler(out)
    handler.setFormatter(OneLineFormatter("%(levelname)s %(message)s"))
    logger = logging.Logger("t")
    logger.addHandler(handler)
    logger.info("said %s", message)
    assert out.getvalue().count("\n") == 1
    try:
        raise ValueError(wrong)  # noqa: TRY301
    except ValueError:
        logger.exception("failed: %s", message)
    lines = out.getvalue().split("\n")
    assert [line for line in lines if line and not line.startswith("    ")] == [lines[0], lines[1]]
    assert not obeyed(out.getvalue(), "\n")
