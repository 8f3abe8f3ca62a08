"""Catalogue expressions as polars expressions, translated from Python's syntax tree on our own."""

from __future__ import annotations

import ast
from functools import reduce

import polars as pl

#: What a column holds; times and durations are microseconds.
Kind = str  # time, duration, number, bool, text, none


def needed(tree: ast.AST) -> set[str]:
    """Return the fields whose absence makes the value unknown, whichever branch is taken."""
    if isinstance(tree, ast.Name):
        return {tree.id}
    parts = [tree.test] if isinstance(tree, ast.IfExp) else ast.iter_child_nodes(tree)
    return set().union(*(needed(part) for part in parts))


def _tested(tree: ast.AST) -> set[str]:
    return {
        node.left.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot)
    }  # fmt: skip


def names(text: str) -> set[str]:
    return {n.id for n in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(n, ast.Name)}


class _Translate:
    def __init__(self, kinds: dict[str, Kind], tested: set[str]) -> None:
        self.kinds, self.tested = kinds, tested

    def guarded(self, tree: ast.AST) -> tuple[pl.Expr, Kind]:
        found, kind = self.of(tree)
        for name in sorted(needed(tree) - self.tested):
            found = pl.when(pl.col(name).is_not_null()).then(found).otherwise(None)
        return found, kind

    def of(self, node: ast.AST) -> tuple[pl.Expr, Kind]:
        match node:
            case ast.Name(id=name):
                return pl.col(name), self.kinds[name]
            case ast.Constant(value=value):
                kind = "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
                return pl.lit(value), "none" if value is None else kind
            case ast.IfExp(test=test, body=body, orelse=orelse):
                (yes, kind), (no, other) = self.guarded(body), self.guarded(orelse)
                return pl.when(self.truth(test)).then(yes).otherwise(no), other if kind == "none" else kind
            case ast.BoolOp(op=op, values=values):
                parts = [self.truth(v) for v in values]
                return reduce((lambda a, b: a & b) if isinstance(op, ast.And) else (lambda a, b: a | b), parts), "bool"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self.truth(operand), "bool"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value, kind = self.of(operand)
                return -value, kind
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                parts = [self._compare(a, op, b) for a, op, b in zip(sides[:-1], ops, sides[1:], strict=True)]
                return reduce(lambda a, b: a & b, parts), "bool"
            case ast.BinOp(left=left, op=op, right=right):
                return self._arithmetic(*self.of(left), op, *self.of(right))
        raise NotImplementedError(ast.dump(node))

    def truth(self, node: ast.AST) -> pl.Expr:
        value, kind = self.of(node)
        return value if kind == "bool" else (value != "" if kind == "text" else value != 0)

    def _compare(self, left: ast.AST, op: ast.cmpop, right: ast.AST) -> pl.Expr:
        a = self.of(left)[0]
        if isinstance(op, ast.In | ast.NotIn):
            found = a.is_in([ast.literal_eval(item) for item in right.elts])
            return ~found if isinstance(op, ast.NotIn) else found
        if isinstance(op, ast.Is | ast.IsNot):
            return a.is_null() if isinstance(op, ast.Is) else a.is_not_null()
        b = self.of(right)[0]
        how = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
        return getattr(a, how[type(op)])(b)

    @staticmethod
    def _arithmetic(a: pl.Expr, left: Kind, op: ast.operator, b: pl.Expr, right: Kind) -> tuple[pl.Expr, Kind]:
        if "text" in {left, right}:
            raise NotImplementedError("text is no number")
        kinds = {("time", "time"): "duration", ("time", "duration"): "time", ("duration", "time"): "time"}
        kind = kinds.get((left, right), "duration" if "duration" in {left, right} else "number")
        match op:
            case ast.Add():
                return a + b, kind
            case ast.Sub():
                return a - b, kind
            case ast.Mult():
                return a * b, kind
            case ast.Div():
                return pl.when(b != 0).then(a / b).otherwise(None), kind
        raise NotImplementedError(ast.dump(op))


def expression(text: str, kinds: dict[str, Kind]) -> tuple[pl.Expr, Kind]:
    """Return an expression, null where unknown, and what it holds."""
    tree = ast.parse(text.strip(), mode="eval").body
    return _Translate(kinds, _tested(tree)).guarded(tree)


def micro(text: str, kinds: dict[str, Kind]) -> pl.Expr:
    """Return an expression as integers of a millionth (durations: microseconds)."""
    value, kind = expression(text, kinds)
    if kind == "duration":
        return value.cast(pl.Int64)
    return (value.cast(pl.Float64) * 1e6).round(mode="half_to_even").cast(pl.Int64)


def plain(text: str, kinds: dict[str, Kind]) -> pl.Expr:
    """Return an expression as plain numbers (durations: seconds)."""
    value, kind = expression(text, kinds)
    return value.cast(pl.Float64) / 1e6 if kind == "duration" else value.cast(pl.Float64)


def true(text: str | None, kinds: dict[str, Kind]) -> pl.Expr:
    """Return an expression as true, false or null."""
    if text is None:
        return pl.lit(value=True)
    value, kind = expression(text, kinds)
    return value if kind == "bool" else (value != "" if kind == "text" else value != 0)
