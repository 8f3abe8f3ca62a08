"""The catalogue's expressions: a small, safe language over the fields of one record.

Allowed: field names, constants (text, number, True, False, None), ``and or not``, comparisons (also chained),
``in`` and ``not in`` with a list or tuple of constants, ``is None`` and ``is not None``, ``+ - * /``,
``a if c else b`` and parentheses. Nothing else: no calls, no attributes, no subscripts.

One rule for what is unknown holds for values, filters and shares alike: an expression is unknown (None) when
a field it names is None, except fields that it tests itself with ``is None`` or ``is not None``; and when the
arithmetic cannot be done (division by zero, text minus a number). Of a conditional only the condition and the
branch taken count. Two times subtract to a timedelta.

A value over a field that holds a list is worked out for each item, and is the list of what is known.

An expression is compiled once to a Python function with the fields as local variables and no builtins.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Callable, Collection
from functools import lru_cache
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
    if isinstance(value, int | float) and not abs(value) <= 1e15:  # neither is NaN, and a long integer is no float
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


def _check_no_conditional(text: str, node: ast.AST) -> None:
    if any(isinstance(part, ast.IfExp) for part in ast.walk(node)):
        raise _refuse(text, node, "a conditional cannot be compared or combined; put the comparison inside it")


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
            _check_no_conditional(text, node)
            _check_compare(text, node)
        elif isinstance(node, ast.Tuple | ast.List):
            _check_list(text, node, lists)
        elif isinstance(node, ast.Name):
            if node.id.startswith("_"):
                raise _refuse(text, node, f"the name {node.id!r} (no field begins with '_')")
        elif isinstance(node, ast.BoolOp) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            _check_no_conditional(text, node)
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


class _Guarded(ast.NodeTransformer):
    """Make a branch of a conditional unknown where its own fields are, and every product one of floats."""

    def __init__(self, tested: frozenset[str]) -> None:
        self._tested = tested

    def visit_BinOp(self, node: ast.BinOp) -> ast.BinOp:
        """Rewrite ``a * b`` to ``a * 1.0 * b``: text times a number is unknown, not a gigabyte of text."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Mult):
            node.left = ast.BinOp(left=node.left, op=ast.Mult(), right=ast.Constant(1.0))
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.IfExp:
        """Rewrite ``a if c else b`` so that a and b are None where a field they need is."""
        needs = [_needed(branch) - self._tested for branch in (node.body, node.orelse)]
        self.generic_visit(node)
        node.body, node.orelse = (
            ast.IfExp(test=_any_none(names), body=ast.Constant(None), orelse=branch) if names else branch
            for names, branch in zip(needs, (node.body, node.orelse), strict=True)
        )
        return node


def _needed(tree: ast.AST) -> frozenset[str]:
    """Return the fields whose absence makes a tree unknown whichever branch of its conditionals is taken."""
    if isinstance(tree, ast.Name):
        return frozenset({tree.id})
    parts = [tree.test] if isinstance(tree, ast.IfExp) else list(ast.iter_child_nodes(tree))
    return frozenset().union(*(_needed(part) for part in parts))


def _any_none(names: Collection[str]) -> ast.expr:
    return ast.parse(" or ".join(f"{name} is None" for name in sorted(names)), mode="eval").body


def _source(tree: ast.Expression) -> str:
    """Return Python text: ``core`` works a value out from fields, ``expression`` reads them from a record."""
    names, tested = sorted(_names(tree)), _tested(tree)
    known = sorted(_needed(tree.body) - tested)
    body = ast.unparse(ast.fix_missing_locations(_Guarded(tested).visit(tree.body)))
    given = ", ".join(names)
    guard = [f" if {' or '.join(f'{name} is None' for name in known)}:", "  return None"] if known else []
    lines = [f"def _core({given}):", *guard, " try:", f"  return {body}", " except _undoable:", "  return None"]
    lines += ["def _expression(_record):", *(f" {name} = _record.{name}" for name in names), *guard]
    lines += [" try:", f"  return {body}", " except _undoable:", f"  return _each(_core, [{given}])"]
    return "\n".join(lines)


class _OfRecord(ast.NodeTransformer):
    """Read a field from the record ``_r`` wherever its name stands."""

    def visit_Name(self, node: ast.Name) -> ast.Attribute:
        """Rewrite ``field`` to ``_r.field``."""
        return ast.Attribute(value=ast.Name(id="_r", ctx=ast.Load()), attr=node.id, ctx=ast.Load())


def _inline(text: str) -> str:
    """Return Python text of an expression's value for the record ``_r``; arithmetic may raise what is undoable."""
    tree = _parse.__wrapped__(text)  # parsed anew: the cached tree must not be rewritten
    tested = _tested(tree)
    known = sorted(_needed(tree.body) - tested)
    simple = isinstance(tree.body, ast.Name)
    body: ast.expr = ast.fix_missing_locations(_Guarded(tested).visit(tree.body))
    if known and not simple:
        body = ast.IfExp(test=_any_none(known), body=ast.Constant(None), orelse=body)
    return ast.unparse(ast.fix_missing_locations(_OfRecord().visit(body)))


def _each(core: Callable[..., Any], values: list[Any]) -> list[Any] | None:
    """Return the known values for each item of the one field that holds a list; None where none does."""
    lists = [i for i, value in enumerate(values) if isinstance(value, list)]
    if len(lists) != 1:
        return None
    at = lists[0]
    found = (core(*values[:at], item, *values[at + 1 :]) for item in values[at])
    return [value for value in found if value is not None]


def _run(source: str, name: str, about: str, **known: Any) -> Any:
    """Return what a text generated from expressions defines under a name."""
    try:
        code = compile(source, f"<expression {about}>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CatalogueError(f"expression {about!r}: nested too deeply; split it into several KPIs") from None
    space: dict[str, Any] = {"__builtins__": {}, "_undoable": _UNDOABLE, **known}
    exec(code, space)  # noqa: S102 - built from checked trees only, without builtins
    return space[name]


@lru_cache(maxsize=4096)
def _compile(text: str) -> Callable[[object], Any]:
    _parse(text)
    try:
        # parsed anew: the cached tree must not be rewritten
        source = _source(_parse.__wrapped__(text))
    except (ValueError, RecursionError, MemoryError):
        raise CatalogueError(f"expression {text!r}: nested too deeply; split it into several KPIs") from None
    return cast(Callable[[object], Any], _run(source, "_expression", text, _each=_each))


@lru_cache(maxsize=256)
def compile_columns(texts: tuple[str, ...]) -> Callable[[list[Any]], list[list[Any]]]:
    """Return a function from records to a column of values for each expression: those of ``compile_value``."""
    lines = ["def _columns(_records):"]
    for i, text in enumerate(texts):
        lines += [" try:", f"  _c{i} = [{_inline(text)} for _r in _records]"]
        lines += [" except _undoable:", f"  _c{i} = [_e{i}(_r) for _r in _records]"]
    lines += [f" return [{', '.join(f'_c{i}' for i in range(len(texts)))}]"]
    singly = {f"_e{i}": _compile(text) for i, text in enumerate(texts)}
    return cast(Callable[[list[Any]], list[list[Any]]], _run("\n".join(lines), "_columns", "; ".join(texts), **singly))


def fields_of(text: str) -> frozenset[str]:
    """Return the fields an expression reads; raises CatalogueError for what is no expression."""
    return _names(_parse(text))


def compile_value(text: str) -> Callable[[object], object | None]:
    """Return a function from a record to the expression's value, None where unknown."""
    return _compile(text)


def compile_of(text: str) -> Callable[[object], bool | None]:
    """Return a function from a record to true, false or None (unknown)."""
    value = compile_value(text)

    def of(record: object) -> bool | None:
        found = value(record)
        return None if found is None else bool(found)

    return of


def _always(_record: object) -> bool:
    return True


def compile_where(text: str | None) -> Callable[[object], bool]:
    """Return a filter: unknown is false; no expression is always true."""
    if text is None:
        return _always
    value = compile_value(text)

    def where(record: object) -> bool:
        return bool(value(record))

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


def compared_words(text: str) -> frozenset[tuple[str, object]]:
    """Return the (field, constant) pairs that an expression compares by ``==``, ``!=`` or ``in``."""
    found: set[tuple[str, object]] = set()
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            sides = [node.left, node.comparators[0]]
            if isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                fields = [side.id for side in sides if isinstance(side, ast.Name)]
                words = [c.value for side in sides for c in ast.walk(side) if isinstance(c, ast.Constant)]
                found |= {(field, word) for field in fields for word in words}
    return frozenset(found)
