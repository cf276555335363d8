"""Turns roundings the other way, one at a time: a case that is on the edge of one notices.

Looked at are divisions that are written as `//`, and functions that are named as rounding some way, wherever they are
used in functions, methods and properties of modules.
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

Others = Mapping[str, Callable[[Any, Any], Any] | Callable[[Any, Any, Any], Any]]
"""By the names of functions what rounds the other way."""

_NONE: Final[Others] = {}
_INSTEAD: Final = "_instead_of_"


@dataclass(frozen=True)
class Turned:
    """A function in which one rounding goes the other way."""

    function: FunctionType
    name: str
    """Module, function and what is rounded."""
    code: CodeType

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the function round so."""
        kept = self.function.__code__
        self.function.__code__ = self.code
        try:
            yield
        finally:
            self.function.__code__ = kept


def turned(modules: Sequence[ModuleType], others: Others = _NONE) -> Iterator[Turned]:
    """Yield each rounding of modules, the other way. What to call instead of functions is lent to the modules."""
    for module in modules:
        source = inspect.getsource(module)
        vars(module).update({_INSTEAD + name: function for name, function in others.items()})
        for at in range(len(_roundings(ast.parse(source), others))):
            tree = ast.parse(source)
            owner, node, whole = _roundings(tree, others)[at]
            text = ast.unparse(whole)
            _turn(node)
            made = compile(ast.fix_missing_locations(tree), module.__file__ or "", "exec")
            name = f"{module.__name__.rpartition('.')[2]}.{owner}: {text}"
            yield Turned(_function(module, owner), name, next(_codes(made, owner)))
        for name in others:
            del vars(module)[_INSTEAD + name]


def unnoticed(
    modules: Sequence[ModuleType], failing: Callable[[], set[str]], others: Others = _NONE
) -> tuple[set[str], set[str]]:
    """Return the roundings that go the other way without any case failing, and the cases that fail of one."""
    silent, noticing = set(), set()
    for one in turned(modules, others):
        with one.at_work():
            found = failing()
        noticing |= found
        silent |= set() if found else {one.name}
    return silent, noticing


def _turn(node: ast.expr) -> None:
    """Let a node round the other way, in place: a quotient rounds up where its negative rounds down."""
    if isinstance(node, ast.Name):
        node.id = _INSTEAD + node.id
        return
    assert isinstance(node, ast.BinOp)
    negative = ast.BinOp(ast.UnaryOp(ast.USub(), node.left), ast.FloorDiv(), node.right)
    node.left, node.right, node.op = ast.Constant(0), negative, ast.Sub()


def _roundings(tree: ast.Module, others: Others) -> list[tuple[str, ast.expr, ast.AST]]:
    """Return each place where something is rounded: its function, the node to turn, and what is rounded there."""
    functions = [(one.name, one) for one in tree.body if isinstance(one, ast.FunctionDef)]
    for holder in tree.body:
        if isinstance(holder, ast.ClassDef):
            functions += [(f"{holder.name}.{one.name}", one) for one in holder.body if isinstance(one, ast.FunctionDef)]
    return [(name, *place) for name, function in functions for place in _places(function, others)]


def _places(function: ast.FunctionDef, others: Others) -> Iterator[tuple[ast.expr, ast.AST]]:
    parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
            yield node, node
        elif isinstance(node, ast.Name) and node.id in others:
            yield node, parents[node]


def _codes(code: CodeType, name: str) -> Iterator[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            if one.co_qualname == name:
                yield one
            yield from _codes(one, name)


def _function(module: ModuleType, name: str) -> FunctionType:
    found: Any = reduce(inspect.getattr_static, name.split("."), module)
    found = inspect.unwrap(found.fget if isinstance(found, property) else found)
    assert isinstance(found, FunctionType)
    return found
