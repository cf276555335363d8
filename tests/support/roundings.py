"""Turns roundings the other way, one at a time: a case that is on the edge of one notices.

Looked at are divisions that are written as `//`, in functions, methods and properties of modules.
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from types import CodeType, FunctionType, ModuleType
from typing import Any


@dataclass(frozen=True)
class Turned:
    """A function in which one division rounds up."""

    function: FunctionType
    name: str
    """Module, function and the division."""
    code: CodeType


def turned(modules: Sequence[ModuleType]) -> Iterator[Turned]:
    """Yield each division of modules, rounded up."""
    for module in modules:
        source = inspect.getsource(module)
        for at in range(len(_divisions(ast.parse(source)))):
            tree = ast.parse(source)
            owner, node = _divisions(tree)[at]
            text = ast.unparse(node)
            node.left, node.right, node.op = ast.Constant(0), _negated(node), ast.Sub()
            made = compile(ast.fix_missing_locations(tree), module.__file__ or "", "exec")
            name = f"{module.__name__.rpartition('.')[2]}.{owner}: {text}"
            yield Turned(_function(module, owner), name, next(_codes(made, owner)))


def unnoticed(modules: Sequence[ModuleType], failing: Callable[[], set[str]]) -> tuple[set[str], set[str]]:
    """Return the divisions that round up without any case failing, and the cases that fail of one."""
    silent, noticing = set(), set()
    for one in turned(modules):
        kept = one.function.__code__
        one.function.__code__ = one.code
        try:
            found = failing()
        finally:
            one.function.__code__ = kept
        noticing |= found
        silent |= set() if found else {one.name}
    return silent, noticing


def _negated(node: ast.BinOp) -> ast.expr:
    return ast.BinOp(ast.UnaryOp(ast.USub(), node.left), ast.FloorDiv(), node.right)


def _divisions(tree: ast.Module) -> list[tuple[str, ast.BinOp]]:
    functions = [(one.name, one) for one in tree.body if isinstance(one, ast.FunctionDef)]
    for holder in tree.body:
        if isinstance(holder, ast.ClassDef):
            functions += [(f"{holder.name}.{one.name}", one) for one in holder.body if isinstance(one, ast.FunctionDef)]
    return [
        (name, node)
        for name, function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv)
    ]


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
