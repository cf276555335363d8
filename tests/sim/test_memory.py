"""A node that sends anything, in any order, for a week: what is remembered stays bounded."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tocsin.clock import NS
from tocsin.engine.codec import encode_state
from tocsin.engine.state import EngineState
from tocsin.lab.detection import pools
from tocsin.lab.detection.watch import CHAIN, Watch, settings_of
from tocsin.model.event import Event, Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, SYNCING, Fault, FaultKind, Part, RpcError
from tocsin.model.observation import RpcErrorKind as Kind
from tocsin.model.question import CLIENT_VERSION, OFFERED, PEERS, TXPOOL
from tocsin.testing.headers import rehashed
from tocsin.testing.simstream import StreamSpec

Head = dict[str, Any]


class Madness:
    """Answers of a node that has lost its mind, or is out to fill our memory."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - a seeded simulation
        self._last: Head = {}
        self._kinds: tuple[Callable[[Head], Head], ...] = (
            self._new_branch,
            self._far_ahead,
            self._chain_of_its_own,
            self._corrupt,
            lambda head: head,
        )

    def _hash(self) -> str:
        return "0x" + self._dice.randbytes(32).hex()

    def _new_branch(self, head: Head) -> Head:
        return rehashed(head, parentHash=self._hash(), stateRoot=self._hash())

    def _far_ahead(self, head: Head) -> Head:
        number = int(head["number"], 16) + self._dice.choice((1, 3, 70, 10**6, 2**40, -50, -(10**7)))
        return rehashed(head, number=hex(max(0, number)), parentHash=self._hash())

    def _chain_of_its_own(self, head: Head) -> Head:
        """Grow a private branch for ever, ever farther ahead."""
        below = self._last or head
        return rehashed(head, number=hex(int(below["number"], 16) + 1), parentHash=below["hash"])

    def _corrupt(self, head: Head) -> Head:
        return {**head, "hash": self._hash()}

    def _text(self) -> bytes:
        return orjson.dumps("".join(self._dice.choice("abc/0.1 -") for _ in range(self._dice.randrange(400))))

    def polled(self, event: Polled, head: Head) -> Polled:
        """Say anything in the place of this answer."""
        dice = self._dice
        if dice.random() < 0.05:
            kind = dice.choice(tuple(FaultKind))
            return replace(event, parts=(), fault=Fault(kind=kind, detail=self._text().decode()[:300]))
        shown = self._last = dice.choice(self._kinds)(head)
        other = dice.choice(self._kinds)(head)
        parts = [
            Part(call=CHAIN_ID, result=b'"0x1"' if dice.random() < 0.9 else self._text()),
            Part(call=LATEST, result=orjson.dumps(shown)),
            Part(call=SAFE, result=orjson.dumps(other)),
            Part(call=FINALIZED, result=orjson.dumps(dice.choice(self._kinds)(head))),
            Part(call=SYNCING, result=dice.choice((b"false", b'{"currentBlock":"0x1"}', b"null", self._text()))),
            Part(call=CLIENT_VERSION, result=self._text()),
            Part(call=PEERS, result=dice.choice((orjson.dumps(hex(dice.randrange(2**60))), self._text()))),
            Part(call=TXPOOL, result=orjson.dumps({"pending": hex(dice.randrange(2**60)), "queued": "0x1"})),
            Part(call=OFFERED, result=self._text()),
        ]
        if dice.random() < 0.1:
            error = RpcError(kind=dice.choice(tuple(Kind)), code=dice.randrange(-40_000, 0), message="no" * 100)
            parts[dice.randrange(len(parts))] = Part(call=dice.choice(parts).call, error=error)
        dice.shuffle(parts)
        return replace(event, parts=tuple(parts), fault=None)


def sizes(value: object, path: str = "", into: dict[str, int] | None = None) -> dict[str, int]:
    """How many entries each collection of a state has."""
    into = {} if into is None else into
    if isinstance(value, Mapping):
        into[path] = into.get(path, 0) + len(value)
        for item in value.values():
            sizes(item, f"{path}.*", into)
    elif isinstance(value, tuple | list | frozenset | set):
        into[path] = into.get(path, 0) + len(value)
        for item in value:
            sizes(item, f"{path}[]", into)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            sizes(getattr(value, name), f"{path}.{name}", into)
    return into


class MadWatch(Watch):
    """A pool some nodes of which are mad."""

    minds: Mapping[str, Madness] = {}

    def take(self, event: Event) -> None:
        if isinstance(event, Polled) and event.node in self.minds:
            head = orjson.loads(self.stream.nodes[event.node].head.latest.result or b"{}")
            event = self.minds[event.node].polled(event, head)
        super().take(event)


def driven(hours: float, *, mad: tuple[str, ...], poll_s: int, sample: Callable[[EngineState], None]) -> None:
    """Let nodes of the middling pool be mad for so long, and look at the state every five simulated minutes."""
    members = pools.middling()
    settings = settings_of(members)
    chain = replace(settings.chains[0], poll_ns=poll_s * NS)
    watch = MadWatch(members, StreamSpec(seed=4), replace(settings, chains=(chain,)))
    watch.minds = {name: Madness(at) for at, name in enumerate(mad)}
    for number in range(1, int(hours * 3_600 / poll_s) + 1):
        watch.round()
        if number % (300 // poll_s) == 0:
            sample(watch.state)
    assert watch.state.chains[CHAIN].head.block is not None


CAPS = {".chains.*.tree.headers": 2_200, ".chains.*.sought": 600}
"""What fills up to a cap of its own (the tree's 2,048 headers, 512 questions) and takes longer than a short test to."""

LARGEST = 8_000_000
"""Bytes of a snapshot; the cap of headers alone makes one of about a megabyte."""


def bounded(hours: float, mad: tuple[str, ...], poll_s: int) -> None:
    seen: list[tuple[int, dict[str, int]]] = []
    driven(hours, mad=mad, poll_s=poll_s, sample=lambda state: seen.append((len(encode_state(state)), sizes(state))))
    half = len(seen) // 2
    assert half >= 2
    assert max(size for size, _ in seen) < LARGEST
    for path in sorted({path for _, found in seen for path in found}):
        # What is bounded has found its bound in the first half; a list that grows by one a poll would double.
        before = max(found.get(path, 0) for _, found in seen[:half])
        after = max(found.get(path, 0) for _, found in seen[half:])
        assert after <= CAPS.get(path, 1.5 * before + 60), (path, before, after)


@pytest.mark.timeout(600)
def test_the_state_stays_bounded_whatever_one_group_sends_for_hours() -> None:
    bounded(1, ("far2",), poll_s=6)


@pytest.mark.timeout(600)
def test_the_state_stays_bounded_when_all_nodes_but_one_send_anything() -> None:
    bounded(0.5, ("own0", "own1", "far0", "far1", "far2", "far3"), poll_s=6)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_the_state_stays_bounded_over_a_week() -> None:
    bounded(7 * 24, ("own0", "far0", "far2"), poll_s=6)
