"""A rehearsal: faults that come and go at set times, read from a small text file.

# when  node  fault, or clear
10s     b     stale:5
25s     c     hang@0.2
1m      b     clear
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.clock import NS
from tocsin.errors import UsageError
from tocsin.testing.faultproxy import FaultProxy
from tocsin.testing.faults import parse_fault
from tocsin.units import duration_ns

_HEAL: Final = "clear"
_WORDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """At `at_ns` after the start, add this fault to the node; None heals it of everything."""

    at_ns: int
    node: str
    fault: str | None


def read_script(text: str, *, name: str, nodes: Sequence[str]) -> tuple[Step, ...]:
    """Read a script. Raises UsageError that names file and line of every mistake."""
    steps, problems = [], []
    for at, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split(maxsplit=_WORDS - 1)
        if not words:
            continue
        try:
            steps.append(_step([word.strip() for word in words], nodes))
        except (UsageError, ValueError) as error:
            problems.append(f"{name}:{at}: {error}")
    if problems:
        raise UsageError("\n".join(problems))
    return tuple(sorted(steps, key=lambda step: step.at_ns))


def _step(words: list[str], nodes: Sequence[str]) -> Step:
    if len(words) != _WORDS:
        raise UsageError("a line is: WHEN NODE FAULT, or WHEN NODE clear")
    when, node, fault = words
    if node not in nodes:
        raise UsageError(f"there is no node {node!r}; there are {', '.join(nodes)}")
    if fault != _HEAL:
        parse_fault(fault)
    return Step(at_ns=duration_ns(when), node=node, fault=None if fault == _HEAL else fault)


async def play(steps: Sequence[Step], proxy: FaultProxy, tell: Callable[[Step], None]) -> None:
    """Carry the steps out in time; `tell` hears of each one that was done."""
    past_ns = 0
    for step in steps:
        await asyncio.sleep((step.at_ns - past_ns) / NS)
        past_ns = step.at_ns
        node = proxy.node(step.node)
        if step.fault is None:
            await node.clear()
        else:
            await node.add(parse_fault(step.fault))
        tell(step)
