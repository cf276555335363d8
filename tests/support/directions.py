"""Every rounding of some modules turned another way, one at a time: some hand-worked case has to notice each.

A rounding is `//`, which is turned up, or a call of a function whose name says where it rounds.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType


@dataclass(frozen=True)
class Mutant:
    """A rounding that goes another way, in one function of a module."""

    module: ModuleType
    function: str
    text: str
    """What is rounded there."""
    way: str
    """How it is rounded now: the name of a function, or `up`."""
    code: CodeType

    @property
    def name(self) -> tuple[str, str, str, str]:
        """What names it: module, function, text and way."""
        return self.module.__name__.rpartition(".")[2], self.function, self.text, self.way

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the function round so."""
        function = inspect.unwrap(getattr(self.module, self.function))
        assert isinstance(function, FunctionType)
        kept = function.__code__
        function.__code__ = self.code
        try:
            yield
        finally:
            function.__code__ = kept


def mutants(modules: Sequence[ModuleType], others: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield each rounding of the functions of modules, turned. `others` has the function to call instead of each.

    Those have to be there by their names, in every module.
    """
    for module in modules:
        source = inspect.getsource(module)
        for at in range(len(list(_roundings(ast.parse(source), others)))):
            tree = ast.parse(source)
            function, node, parent = list(_roundings(tree, others))[at]
            text, way = ast.unparse(parent), _turn(node, others)
            whole = compile(ast.fix_missing_locations(tree), module.__file__ or "", "exec")
            yield Mutant(module, function, text, way, _code(whole, function))


def _code(whole: CodeType, function: str) -> CodeType:
    return next(one for one in whole.co_consts if isinstance(one, CodeType) and one.co_name == function)


def _roundings(tree: ast.Module, others: Mapping[str, str]) -> Iterator[tuple[str, ast.expr, ast.AST]]:
    """Yield each place where something is rounded: its function, the node, and what is rounded there."""
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(function):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
                yield function.name, node, node
            elif isinstance(node, ast.Name) and node.id in others:
                yield function.name, node, parents[node]


def _turn(node: ast.expr, others: Mapping[str, str]) -> str:
    """Let a node round the other way, in place, and say which."""
    if isinstance(node, ast.Name):
        node.id = others[node.id]
        return node.id
    assert isinstance(node, ast.BinOp)
    # A quotient rounds up where its negative rounds down.
    node.left, node.right = ast.Constant(0), ast.BinOp(ast.UnaryOp(ast.USub(), node.left), ast.FloorDiv(), node.right)
    node.op = ast.Sub()
    return "up"
