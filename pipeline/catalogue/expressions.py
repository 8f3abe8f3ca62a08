"""The catalogue's expressions: a small, safe language over the fields of one record.

Allowed: field names, constants (text, number, True, False, None), ``and or not``, comparisons (also chained),
``in`` and ``not in`` with a list or tuple of constants, ``is None`` and ``is not None``, ``+ - * /``,
``a if c else b`` and parentheses. Nothing else: no calls, no attributes, no subscripts.

One rule for what is unknown holds for values, filters and shares alike: an expression is unknown (None) when
a field it names is None, except fields that it tests itself with ``is None`` or ``is not None``; and when the
arithmetic cannot be done (division by zero, text minus a number). Two times subtract to a timedelta.

An expression is compiled once to a Python function with the fields as local variables and no builtins.
"""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from collections.abc import Callable, Collection
from functools import lru_cache
from types import CodeType
from typing import Any, cast

from pipeline.errors import CatalogueError

ALLOWED = (
    "fields, constants, and/or/not, comparisons, in/not in with a list of constants, is None/is not None, "
    "+ - * /, 'a if c else b' and parentheses"
)
#: An expression is a line of a catalogue; longer ones are mistakes, or attacks on the parser.
MAX_LENGTH = 500

_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_HARMLESS = (
    *(ast.Load, ast.And, ast.Or, ast.Not, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.Div),
    *(ast.In, ast.NotIn, ast.Is, ast.IsNot, *_COMPARISONS),
    *(ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.IfExp),
)
#: What arithmetic on odd values raises: the expression is then unknown.
_UNDOABLE = (TypeError, ValueError, ZeroDivisionError, OverflowError)


def _refuse(text: str, node: ast.AST, what: str) -> CatalogueError:
    column = getattr(node, "col_offset", 0) + 1
    return CatalogueError(f"expression {text!r}, column {column}: {what}; allowed: {ALLOWED}")


def _check_constant(text: str, node: ast.Constant) -> None:
    value = node.value
    if value is not None and type(value) not in (bool, int, float, str):
        raise _refuse(text, node, f"a constant of type {type(value).__name__}")
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= 1e15):
        raise _refuse(text, node, "a number beyond 1e15")


def _check_compare(text: str, node: ast.Compare) -> None:
    left: ast.expr = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, ast.Is | ast.IsNot):
            none = isinstance(right, ast.Constant) and right.value is None
            if not (none and isinstance(left, ast.Name) and len(node.ops) == 1):
                raise _refuse(text, node, "'is' compares a field with None only")
        elif isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List):
                raise _refuse(text, right, "'in' needs a list of constants such as ['a', 'b']")
        elif any(isinstance(side, ast.Constant) and side.value is None for side in (left, right)):
            raise _refuse(text, node, "None is compared with 'is None' or 'is not None'")
        left = right


def _check_list(text: str, node: ast.Tuple | ast.List, lists: set[int]) -> None:
    if id(node) not in lists:
        raise _refuse(text, node, "a list stands only to the right of 'in'")
    for item in node.elts:
        number = item.operand if isinstance(item, ast.UnaryOp) and isinstance(item.op, ast.USub) else item
        if not isinstance(number, ast.Constant) or number.value is None:
            raise _refuse(text, item, "a list holds constants other than None")


def _lists_after_in(tree: ast.AST) -> set[int]:
    return {
        id(right)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for op, right in zip(node.ops, node.comparators, strict=True)
        if isinstance(op, ast.In | ast.NotIn)
    }


@lru_cache(maxsize=4096)
def _parse(text: str) -> ast.Expression:
    """Return the checked syntax tree; raises CatalogueError naming expression, column and what is allowed."""
    if len(text) > MAX_LENGTH:
        raise CatalogueError(
            f"expression {text[:40]!r}...: longer than {MAX_LENGTH} characters; split it into several KPIs"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes are only text to us
            tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        column = error.offset or 1
        raise CatalogueError(f"expression {text!r}, column {column}: {error.msg}; allowed: {ALLOWED}") from None
    except (ValueError, RecursionError, MemoryError):
        raise CatalogueError(f"expression {text!r}: cannot be read (nested too deeply?); allowed: {ALLOWED}") from None
    lists = _lists_after_in(tree)
    for node in ast.walk(tree.body):
        if isinstance(node, ast.Constant):
            _check_constant(text, node)
        elif isinstance(node, ast.Compare):
            _check_compare(text, node)
        elif isinstance(node, ast.Tuple | ast.List):
            _check_list(text, node, lists)
        elif isinstance(node, ast.Name):
            if node.id.startswith("_"):
                raise _refuse(text, node, f"the name {node.id!r} (no field begins with '_')")
        elif not isinstance(node, _HARMLESS):
            raise _refuse(text, node, f"{type(node).__name__} is not part of the language")
    return tree


def _names(tree: ast.AST) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _tested(tree: ast.AST) -> frozenset[str]:
    """Return the fields that the expression tests for None itself."""
    return frozenset(
        node.left.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Is | ast.IsNot)
        and isinstance(node.left, ast.Name)
    )


class _Numeric(ast.NodeTransformer):
    """Make every product one of floats, so that text times a number is unknown and not a gigabyte of text."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.BinOp:
        """Rewrite ``a * b`` to ``a * 1.0 * b``."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Mult):
            node.left = ast.BinOp(left=node.left, op=ast.Mult(), right=ast.Constant(1.0))
        return node


def _code(text: str, tree: ast.Expression, wrap: str) -> CodeType:
    body = ast.unparse(ast.fix_missing_locations(_Numeric().visit(tree.body)))
    known = sorted(_names(tree) - _tested(tree))
    lines = ["def expression(_r):"]
    lines += [f" {name} = _r.{name}" for name in sorted(_names(tree))]
    if known:
        lines += [" if " + " or ".join(f"{name} is None" for name in known) + ":", "  return None"]
    lines += [" try:", f"  _v = {body}", " except _undoable:", "  return None", f" return {wrap}"]
    return compile("\n".join(lines), f"<expression {text}>", "exec")


def _compile(text: str, wrap: str) -> Callable[[object], Any]:
    # the tree is parsed anew: the cached one must not be rewritten
    _parse(text)
    tree = _parse.__wrapped__(text)
    try:
        code = _code(text, tree, wrap)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CatalogueError(f"expression {text!r}: nested too deeply; split it into several KPIs") from None
    space: dict[str, Any] = {"__builtins__": {}, "_undoable": _UNDOABLE}
    exec(code, space)  # noqa: S102 - built from the checked tree only, without builtins
    return cast(Callable[[object], Any], space["expression"])


def fields_of(text: str) -> frozenset[str]:
    """Return the fields an expression reads; raises CatalogueError for what is no expression."""
    return _names(_parse(text))


def compile_value(text: str) -> Callable[[object], object | None]:
    """Return a function from a record to the expression's value, None where unknown."""
    return _compile(text, "_v")


def compile_of(text: str) -> Callable[[object], bool | None]:
    """Return a function from a record to true, false or None (unknown)."""
    # an unknown branch of a conditional stays unknown
    return _compile(text, "None if _v is None else not not _v")


def _always(_record: object) -> bool:
    return True


def compile_where(text: str | None) -> Callable[[object], bool]:
    """Return a filter: unknown is false; no expression is always true."""
    if text is None:
        return _always
    known = compile_of(text)

    def where(record: object) -> bool:
        return known(record) is True

    return where


def suggest(name: str, allowed: Collection[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest allowed name, or nothing."""
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def check_fields(text: str, allowed: Collection[str]) -> None:
    """Raise CatalogueError where the expression is wrong or reads a field that is not allowed."""
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.Name) and node.id not in allowed:
            raise CatalogueError(
                f"expression {text!r}, column {node.col_offset + 1}: unknown field {node.id!r}"
                f"{suggest(node.id, allowed)}; allowed: {', '.join(sorted(allowed))}"
            )
