"""The expression language: what it means, and that text can do nothing else."""

import ast
import builtins
import string
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue.expressions import (
    check_fields,
    compared_words,
    compile_of,
    compile_value,
    compile_where,
    fields_of,
)
from pipeline.errors import CatalogueError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
H = timedelta(hours=1)


def record(**fields: Any) -> Any:
    return SimpleNamespace(**fields)


@pytest.mark.parametrize(
    ("text", "fields", "value"),
    [
        ("resolved_at - opened_at", {"resolved_at": NOW, "opened_at": NOW - H}, H),
        ("resolved_at - opened_at", {"resolved_at": None, "opened_at": NOW}, None),
        ("100 if score >= 9 else (-100 if score <= 6 else 0)", {"score": 9.0}, 100),
        ("100 if score >= 9 else (-100 if score <= 6 else 0)", {"score": 6}, -100),
        ("100 if score >= 9 else (-100 if score <= 6 else 0)", {"score": 8.9}, 0),
        ("a / b", {"a": 1, "b": 0}, None),
        ("a / b", {"a": 1, "b": 4}, 0.25),
        ("a * b", {"a": 3, "b": 4}, 12),
        ("a * b", {"a": "x", "b": 10**12}, None),
        ("a - b", {"a": "x", "b": 1}, None),
        ("-a + 2", {"a": 1}, 1),
        ("a if b else c", {"a": 1, "b": True, "c": None}, 1),
        ("a if b else c", {"a": 1, "b": False, "c": None}, None),
        ("a if b else c", {"a": 1, "b": None, "c": 2}, None),
        ("a if a is not None else b", {"a": None, "b": 2}, 2),
        ("a if b == 'x' else None", {"a": 1, "b": "y"}, None),
        ("1 < a <= 3", {"a": 3}, True),
    ],
)
def test_values(text: str, fields: dict[str, Any], value: object) -> None:
    assert compile_value(text)(record(**fields)) == value


@pytest.mark.parametrize(
    ("text", "fields", "known"),
    [
        ("error or (status is not None and status >= 400)", {"error": False, "status": None}, False),
        ("error or (status is not None and status >= 400)", {"error": True, "status": None}, True),
        ("error or (status is not None and status >= 400)", {"error": False, "status": 404}, True),
        ("made_sla", {"made_sla": None}, None),
        ("made_sla", {"made_sla": False}, False),
        ("priority != 1", {"priority": None}, None),
        ("not (priority == 1)", {"priority": None}, None),
        ("major or priority == 1", {"major": True, "priority": None}, None),
        ("outcome not in ['failed', 'rolled_back']", {"outcome": "successful"}, True),
        ("outcome in ('failed', 'rolled_back')", {"outcome": "failed"}, True),
        ("resolved_at is None", {"resolved_at": None}, True),
        ("outcome > baseline if up else outcome < baseline", {"outcome": 1, "baseline": 2, "up": False}, True),
    ],
)
def test_shares_and_filters_agree_on_what_is_unknown(text: str, fields: dict[str, Any], known: bool | None) -> None:
    assert compile_of(text)(record(**fields)) is known
    assert compile_where(text)(record(**fields)) is (known is True)


def test_no_filter_lets_everything_pass() -> None:
    assert compile_where(None)(record()) is True


def test_a_value_over_a_list_is_worked_out_for_each_item() -> None:
    lead = compile_value("deployed_at - (commits if commits is not None else committed_at)")
    both = record(deployed_at=NOW, commits=[NOW - H, NOW - 3 * H], committed_at=None)
    assert lead(both) == [H, 3 * H]
    assert lead(record(deployed_at=NOW, commits=None, committed_at=NOW - 2 * H)) == 2 * H
    assert lead(record(deployed_at=NOW, commits=None, committed_at=None)) is None
    assert lead(record(deployed_at=None, commits=[NOW], committed_at=NOW)) is None
    assert lead(record(deployed_at=NOW, commits=[], committed_at=NOW)) == []


def test_fields_and_words() -> None:
    assert fields_of("kind == 'nps' and (score - 1) / 2 > low") == {"kind", "score", "low"}
    assert compared_words("state in ['new', 'open'] and kind != 'x'") == {
        ("state", "new"), ("state", "open"), ("kind", "x"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.b", "column 1: Attribute is not part of the language"),
        ("open('x')", "column 1: Call is not part of the language"),
        ("1 + a[0]", "column 5: Subscript is not part of the language"),
        ("lambda: 1", "Lambda is not part of the language"),
        ("f'{a}'", "JoinedStr is not part of the language"),
        ("[a for a in b]", "ListComp is not part of the language"),
        ("(a := 1)", "NamedExpr is not part of the language"),
        ("a ** 9", "Pow is not part of the language"),
        ("a == None", "None is compared with 'is None' or 'is not None'"),
        ("a is 1", "'is' compares a field with None only"),
        ("a in b", "'in' needs a list of constants"),
        ("a in [b]", "a list holds constants other than None"),
        ("[1]", "a list stands only to the right of 'in'"),
        ("__import__", "no field begins with '_'"),
        ("1e999", "a number beyond 1e15"),
        ("b'x'", "a constant of type bytes"),
        ("(a if b else c) == 1", "a conditional cannot be compared or combined"),
        ("a if b", "expected 'else'"),
        ("", "column 1: invalid syntax"),
        ("a; b", "column 2: invalid syntax"),
        ("x" * 501, "longer than 500 characters"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_place_and_what_is(text: str, says: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        compile_value(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_field_gets_a_suggestion() -> None:
    with pytest.raises(CatalogueError) as caught:
        check_fields("resolvd_at - opened_at", {"resolved_at", "opened_at"})
    assert str(caught.value) == (
        "expression 'resolvd_at - opened_at', column 1: unknown field 'resolvd_at' (did you mean 'resolved_at'?); "
        "allowed: opened_at, resolved_at"
    )


#: What a hostile author would reach for, glued at random.
PIECES = st.sampled_from(
    [
        *("__import__('os')", "().__class__", "a.__class__", "exec", "eval('1')", "globals()", "_record", "_undoable"),
        *("_each", "_core", "lambda _: _", "[x for x in y]", "{a}", "{**a}", "*a", "a", "b", "f'{a}'", "'%s' % a"),
        *("**", "*", "@", "is", "in", "not", " if ", " else ", "(", ")", "[", "]", ":=", ",", ";", "\n", "#", "\\"),
        *("None", "True", "1", "'x'", "==", "<", "-", "+", "/", "and", "or", ".", "await ", "yield ", "\x00", "ａ"),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(PIECES, max_size=12).map(" ".join),
    st.text(alphabet=string.printable, max_size=40),
    st.text(max_size=40),
)


class Trap:
    """A record that only answers for plain fields and notes every name asked of it."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> object:
        self.asked.add(name)
        return 3


@settings(max_examples=600, deadline=None)
@given(TEXTS)
def test_text_never_reaches_beyond_the_fields_of_its_record(text: str) -> None:
    try:
        names = fields_of(text)
    except CatalogueError:
        return
    tree = ast.parse(text.strip(), mode="eval")
    forbidden = (ast.Call, ast.Attribute, ast.Subscript, ast.Lambda, ast.ListComp, ast.JoinedStr, ast.NamedExpr)
    assert not any(isinstance(node, forbidden) for node in ast.walk(tree))
    trap = Trap()
    result = compile_value(text)(trap)
    assert trap.asked == names
    assert isinstance(result, int | float | str | bool | None)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([name for name in dir(builtins) if not name.startswith("_")]))
def test_a_builtin_is_only_the_name_of_a_field(name: str) -> None:
    if name in {"None", "True", "False"}:
        return
    assert compile_value(name)(record(**{name: 5})) == 5


@given(
    st.sampled_from(["a + b", "a - b", "a * b", "a / b", "a < b", "a == b", "not a", "a and b", "a or b", "-a + b"]),
    st.one_of(st.none(), st.integers(-99, 99)),
    st.one_of(st.none(), st.integers(-99, 99)),
)
def test_with_none_unknown_otherwise_as_in_arithmetic(text: str, a: int | None, b: int | None) -> None:
    given_fields = {"a": a, "b": b}
    needed = {name: given_fields[name] for name in fields_of(text)}
    found = compile_value(text)(record(**needed))
    if None in needed.values() or (text == "a / b" and b == 0):
        assert found is None
    else:
        assert found == eval(text, {"__builtins__": {}}, needed)
