"""Tables as other programs write them: encodings and separators that the mapping does not name are told, with what to write."""

from pathlib import Path

import pytest

from connectors.mapping.files import BadRow, rows_of
from connectors.mapping.load import load_mapping
from pipeline.errors import MappingError

MAPPING = """
name: desk
service: {const: desk}
events:
  - type: page.viewed
    time: at
    data: {user: {const: somebody}, path: page}
"""
HEAD = "at,page,note"


def read(tmp_path: Path, text: bytes) -> tuple[list[object], list[BadRow]]:
    (tmp_path / "desk.yaml").write_text(MAPPING)
    file = tmp_path / "views.csv"
    file.write_bytes(text)
    bad: list[BadRow] = []
    rows = [row["page"] for _, row in rows_of(file, load_mapping(str(tmp_path / "desk.yaml")), bad.append)]
    return rows, bad


def test_a_row_of_another_encoding_is_no_row_where_the_mapping_reads_it(tmp_path: Path) -> None:
    lines = [HEAD, "1,/preise,schön", "2,/schön,", "3,/ende,"]
    rows, (bad,) = read(tmp_path, "\n".join(lines).encode("cp1252"))
    assert rows == ["/preise", "/ende"]  # what nobody reads may be in any encoding
    assert (bad.row, bad.column) == (2, "page")
    assert "page is no text in utf-8; name the file's encoding in the mapping" in bad.detail


def test_the_sign_of_a_lost_character_is_text_where_the_file_holds_it_itself(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEAD}\n1,/sch\ufffdn,\n".encode()) == (["/sch\ufffdn"], [])


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf" + f"{HEAD}\n1,/a,\n".encode()) == (["/a"], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD.replace(",", ";").encode(), r"say delimiter: ';' in the mapping$"),
        (HEAD.replace(",", "\t").encode(), r"say delimiter: tab in the mapping$"),
        (HEAD.encode("utf-16"), r"name its own in the mapping, for example encoding: utf-16$"),
        (b"", r"its columns are: none$"),
    ],
)
def test_what_a_line_of_names_looks_like_is_told_with_what_to_write(tmp_path: Path, text: bytes, said: str) -> None:
    with pytest.raises(MappingError, match=said):
        read(tmp_path, text + b"\n")
