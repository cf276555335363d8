"""Named points at which a process can be made to die: before, in and after each durable write, and each publish.

The product knows nothing of them: they are laid around its store, its connection and its client in the process that is
to die. One point at a time is armed from outside, over standard input:

    {"point": "written Commit", "after": 3, "who": "self"}

dies when the point is reached for the third time. Any other `who` is named on standard output, and the process stands
still until it is told that whoever was meant is dead: the point is between two writes for him, too.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from tocsin.client.ledger import Ledger
from tocsin.mqtt.client import CheckedClient
from tocsin.store.core import Core
from tocsin.store.ops import Op

OPERATIONS: Final = ("Commit", "MarkSent", "MarkRetained", "Acknowledge")
"""What the daemon writes while it delivers, each in a transaction that may hold several."""

OF_DAEMON: Final = (
    *(f"{stage} {name}" for name in OPERATIONS for stage in ("before", "written", "after")),
    "publishing",
    "published",
)
OF_CONSUMER: Final = ("begun", "written", "committed")

SELF: Final = "self"
_STILL_S: Final = 10.0
"""Nobody stands still for longer, whatever became of who should have said so."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Armed:
    point: str = ""
    after: int = 0
    who: str = SELF


class Points:
    """The points of this process."""

    def __init__(self) -> None:
        self._armed = _Armed()
        self._go_on = threading.Event()
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Take orders from standard input, in a thread that ends with the process."""
        threading.Thread(target=self._read, name="points", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            order = json.loads(line)
            with self._lock:
                self._armed = _Armed(**order) if "point" in order else _Armed()
            if "point" not in order:
                self._go_on.set()
        os.kill(os.getpid(), signal.SIGKILL)  # whoever gave orders is gone

    def reach(self, point: str) -> None:
        """Die here, or let another die, if that is wanted."""
        if point != self._armed.point:
            return
        with self._lock:
            self._armed.after -= 1
            if self._armed.after > 0 or not self._armed.point:
                return
            who, self._armed = self._armed.who, _Armed()
        if who == SELF:
            os.kill(os.getpid(), signal.SIGKILL)
        self._go_on.clear()
        say(reached=point, kill=who)
        self._go_on.wait(_STILL_S)

    # -- where they lie

    def around_store(self) -> None:
        """Lay points around every transaction of the daemon's store: before it, before its COMMIT, and after it."""
        transact = Core._transact  # noqa: SLF001 - the one place where the daemon writes

        @wraps(transact)
        def watched(core: Core, ops: list[Op], *, journal: bool) -> list[object]:
            names = sorted({type(op).__name__ for op in ops} & set(OPERATIONS))
            for name in names:
                self.reach(f"before {name}")
            with self._before_commit(core, names):
                results = transact(core, ops, journal=journal)
            for name in names:
                self.reach(f"after {name}")
            return results

        Core._transact = watched  # type: ignore[method-assign,assignment]  # noqa: SLF001

    @contextmanager
    def _before_commit(self, core: Core, names: list[str]) -> Iterator[None]:
        wanted = self._armed.point
        if not wanted.startswith("written ") or wanted.removeprefix("written ") not in names:
            yield
            return
        core.db.set_trace_callback(lambda sql: self.reach(wanted) if sql == "COMMIT" else None)
        try:
            yield
        finally:
            core.db.set_trace_callback(None)

    def around_publish(self) -> None:
        """Lay points around every publish: before the packet leaves, and when the broker's answer is here."""
        CheckedClient.publish_acked = self._between(  # type: ignore[method-assign,assignment]
            CheckedClient.publish_acked, "publishing", "published"
        )

    def around_client(self) -> None:
        """Lay points around the consumer's transactions."""
        Ledger.begin = self._after(Ledger.begin, "begun")  # type: ignore[method-assign]
        commit = self._after(Ledger.commit, "committed")

        @wraps(commit)
        def watched(ledger: Ledger) -> None:
            self.reach("written")
            commit(ledger)

        Ledger.commit = watched  # type: ignore[method-assign,assignment]

    def _after(self, call: Callable[P, T], point: str) -> Callable[P, T]:
        @wraps(call)
        def watched(*args: P.args, **kwargs: P.kwargs) -> T:
            result = call(*args, **kwargs)
            self.reach(point)
            return result

        return watched

    def _between(self, call: Callable[P, Awaitable[T]], before: str, after: str) -> Callable[P, Awaitable[T]]:
        @wraps(call)
        async def watched(*args: P.args, **kwargs: P.kwargs) -> T:
            self.reach(before)
            result = await call(*args, **kwargs)
            self.reach(after)
            return result

        return watched


def say(**words: Any) -> None:
    """Tell the stage something, a line of JSON on standard output."""
    print(json.dumps(words), flush=True)
