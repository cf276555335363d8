"""Drives the readings of protocols: batch by batch, each of thousands of calls, all at one block that is agreed on.

A reading is a generator that knows no node. What it asks for is read as everything is (`tocsin.state.reader`), and it
is sent the answers. Questions and answers are made and read beside the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Generic, ParamSpec, TypeVar

import numpy as np

from tocsin.chain.readload import Wanted
from tocsin.chain.readvalues import Values
from tocsin.errors import TocsinError
from tocsin.model.reading import CallOf
from tocsin.protocols.base import Question, Reading
from tocsin.state.ground import Place
from tocsin.state.reader import Plan, Read, Unread

P = ParamSpec("P")
R = TypeVar("R")

Ask = Callable[[Plan, Place], Awaitable[Read | Unread]]
"""Reads a plan at a block of one chain."""

EACH: Final = 1
"""Each call is asked of a second group as well."""
_MOST_TOLD: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call of a reading may take, see `tocsin.chain.readload.Wanted`."""

    gas: int = 100_000
    answer: int = 64


MARKET: Final = Cost(gas=400_000, answer=1_024)
ACCOUNT: Final = Cost()
VIEW: Final = Cost(gas=2_000_000, answer=512)


@dataclass(frozen=True, slots=True)
class Driven(Generic[R]):
    """What a reading returned; `is_confirmed` if everything was said by a second group too, or is proven."""

    value: R
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class Unknowable:
    """The chain has answered, and there is nothing to be known by it: contracts that revert, or are none. And why."""

    reason: str


class Worker:
    """One thread for what takes more than a moment: one thing at a time, in the order in which it is asked for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="markets")

    async def do(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what a call returns, or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Take nothing more; what runs is let run."""
        self._thread.shutdown(wait=False, cancel_futures=True)


async def drive(
    reading: Reading[R],
    ask: Ask,
    place: Place,
    worker: Worker,
    *,
    cost: Cost = ACCOUNT,
    audit_one_in: int | None = EACH,
) -> Driven[R] | Unread | Unknowable:
    """Let a reading have its answers, all of one block, and return what it read. Never raises for nodes or contracts.

    Of its calls one in `audit_one_in` is asked of a second group as well; None: as many as of any reading.
    """
    answers: Sequence[Any] | None = None
    is_confirmed = True
    while True:
        step = await worker.do(_stepped, reading, answers, cost)
        if not isinstance(step, _Asked):
            return Driven(step.value, is_confirmed) if isinstance(step, _Done) else step
        if not step.questions:
            answers = ()
            continue
        found = await ask(Plan(step.wanted, audit_one_in=audit_one_in), place)
        if not isinstance(found, Read):
            return found
        if not found.is_whole:
            return Unread(found.missing)
        is_confirmed &= bool(np.logical_or(found.first.confirmed, found.first.proven).all())
        answers = await worker.do(_answers, step.questions, found.first)


@dataclass(frozen=True, slots=True)
class _Asked:
    questions: tuple[Question, ...]
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class _Done(Generic[R]):
    value: R


def _stepped(reading: Reading[R], answers: Sequence[Any] | None, cost: Cost) -> _Asked | _Done[R] | Unknowable:
    """Let a reading go on. What it asks for is written here, since encoding thousands of calls takes its time."""
    try:
        questions = next(reading) if answers is None else reading.send(answers)
        wanted = tuple(
            [Wanted(item=CallOf(to=one.to, data=one.data), gas=cost.gas, answer=cost.answer) for one in questions]
        )
    except StopIteration as done:
        return _Done(done.value)
    except TocsinError as error:
        return Unknowable(str(error)[:_MOST_TOLD])
    return _Asked(tuple(questions), wanted)


def _answers(questions: Sequence[Question], values: Values) -> list[Any]:
    return [one.answered(values.result(at) or None) for at, one in enumerate(questions)]
