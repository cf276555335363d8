"""Whether all that alerts need works: polls come back, ticks decide, disk and broker take, the echo is heard.

Each part is seen by a count that rises as it works. A part whose count has not risen for too long is stale, and one
that never rose while we looked is too: a full pass is one in which none is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tocsin.clock import NS
from tocsin.engine.cadence import sparsest_ns
from tocsin.engine.state import ChainState, EngineState
from tocsin.model.settings import ChainSettings
from tocsin.units import span_text

PROMPT_NS: Final = 15 * NS
"""Ticks and commits come every second; as long as a critical task may stand still."""
GRACE_NS: Final = 15 * NS
"""What a poll and a self-test may take beyond their period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a pass: its count, for how long it may stand, and what it means when it does."""

    name: str
    count: int
    limit_ns: int
    failing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the core does not know: commits that are on disk since the start, and rows that the broker took.

    `sent` is None where no broker is configured: then a pass ends with the commit.
    """

    commits: int
    sent: int | None


class Passes:
    """Follows the parts. `look` is to be called every second or so; times are of one steady clock, in ns."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._rose_ns: dict[str, int] = {}
        self._parts: tuple[Part, ...] = ()

    def look(self, state: EngineState, outside: Outside, now_ns: int) -> None:
        """Note which counts have risen."""
        self._parts = tuple(_parts(state, outside))
        for part in self._parts:
            before = self._seen.get(part.name)
            if before is not None and part.count > before:
                self._rose_ns[part.name] = now_ns
            self._seen[part.name] = part.count

    def stale(self, now_ns: int) -> tuple[str, ...]:
        """Return what of a full pass is not fresh, each with what it means; nothing when all is."""
        if not self._parts:
            return ("nothing is watched yet",)
        return tuple(self._failing(now_ns))

    def _failing(self, now_ns: int) -> Iterator[str]:
        for part in self._parts:
            rose_ns = self._rose_ns.get(part.name)
            if rose_ns is None:
                yield f"{part.failing} yet"
            elif now_ns - rose_ns > part.limit_ns:
                yield f"{part.failing} for {span_text(now_ns - rose_ns)}"


def _parts(state: EngineState, outside: Outside) -> Iterator[Part]:
    settings = state.settings
    if settings is None:
        return
    for chain in settings.chains:
        yield from _of_chain(chain, state.chains[chain.name])
    yield Part(name="tick", count=state.tick, limit_ns=PROMPT_NS, failing="the watchdog has not looked at itself")
    yield Part(name="commit", count=outside.commits, limit_ns=PROMPT_NS, failing="nothing was committed to disk")
    if outside.sent is not None:
        limit_ns = settings.self_test_ns + GRACE_NS
        yield Part(name="publish", count=outside.sent, limit_ns=limit_ns, failing="the broker has taken no alert")
        heard_ns = state.self_test.echoed_ns or 0
        yield Part(name="echo", count=heard_ns, limit_ns=limit_ns, failing="no self-test was heard back")


def _of_chain(chain: ChainSettings, state: ChainState) -> Iterator[Part]:
    polls = sum(record.polls for record in state.nodes.values())
    limit_ns = max(PROMPT_NS, sparsest_ns(chain.block_time_ns, chain.poll_ns)) + GRACE_NS
    yield Part(name=f"poll {chain.name}", count=polls, limit_ns=limit_ns, failing=f"no poll of {chain.name} came back")
    yield Part(
        name=f"tick {chain.name}", count=state.tick, limit_ns=limit_ns, failing=f"{chain.name} was not looked at"
    )
