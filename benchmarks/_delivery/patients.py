"""The nodes that fall ill, and what they answer: nodes of one chain that are in the same state answer the same.

What they answer is worked out once per block and state, by one simulated node of their chain and one of another. What
is made of an answer is the daemon's own work, as if it had come over a socket.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

from tocsin.clock import NS, SystemClock
from tocsin.model.observation import Fault
from tocsin.testing import ChainSpec, SimChain, SimNode
from tocsin.wire.jsonrpc import encode, split

SLOT_S: Final = 12
OTHER_CHAIN: Final = 56

_SOUND_CLIENT: Final = "Geth/v1.16.8-stable/linux-amd64/go1.24"
_HOLED_CLIENT: Final = "Geth/v1.14.5-stable/linux-amd64/go1.22"
"""A version with a published defect."""


class Illness(StrEnum):
    """What can be wrong with a node, each by itself."""

    FOREIGN = "it is of another chain"
    SYNCING = "it is catching up"
    OUTDATED = "it runs an older version, which has a published defect"
    LONELY = "it has no peers"


ALERTS: Final = {Illness.FOREIGN: 1, Illness.SYNCING: 1, Illness.OUTDATED: 2, Illness.LONELY: 1}
"""How many alerts each of them raises: `node.version_change` and `node.vulnerable` are two."""

Ills = frozenset[Illness]


class Since(SystemClock):
    """The system's clock for a chain that began at a time in the past."""

    def __init__(self, began: tuple[int, int]) -> None:
        self._began_ns, self._wall_ns = began
        self.is_made = False
        """Whether the chain has read when it began."""

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() if self.is_made else self._began_ns

    def wall_ns(self) -> int:
        return self._wall_ns


def chain_since(began: tuple[int, int], chain_id: int, slot_s: int = SLOT_S) -> SimChain:
    """Return the same chain in every life."""
    clock = Since(began)
    chain = SimChain(clock, ChainSpec(chain_id=chain_id, slot_ns=slot_s * NS))
    clock.is_made = True
    return chain


class Ward:
    """What the nodes of one chain answer."""

    def __init__(self, sound: SimChain, other: SimChain) -> None:
        self._nodes = (SimNode(sound, name="sound"), SimNode(other, name="foreign"))
        self._known: dict[tuple[Ills, tuple[str, ...]], Any] = {}
        self._at: tuple[int, ...] = ()

    def answer(self, ills: Ills, calls: tuple[str, ...]) -> Any:
        """Return the parts that a node with these illnesses answers now."""
        at = tuple([node.view.head().number for node in self._nodes])
        if at != self._at:
            self._at = at
            self._known.clear()
        key = ills, calls
        if key not in self._known:
            self._known[key] = self._worked_out(ills, calls)
        return self._known[key]

    def _worked_out(self, ills: Ills, calls: tuple[str, ...]) -> Any:
        node = self._nodes[Illness.FOREIGN in ills]
        node.syncing = {"currentBlock": "0x1"} if Illness.SYNCING in ills else False
        node.client = _HOLED_CLIENT if Illness.OUTDATED in ills else _SOUND_CLIENT
        node.peers = 0 if Illness.LONELY in ills else 25
        found = split(node.answer(encode(calls, batch=True)), calls)
        assert not isinstance(found, Fault), found
        return found


class Patient:
    """One node, and what is wrong with it."""

    def __init__(self, chain: str, name: str, ward: Ward, *, is_critical: bool) -> None:
        self.chain, self.name, self.may_fall_ill = chain, name, name.startswith("s")
        self.fate = Illness.FOREIGN if is_critical else Illness.SYNCING
        """What it has when it has one illness."""
        self.ills: Ills = frozenset()
        self.polls = 0
        self._ward = ward

    @property
    def is_ill(self) -> bool:
        """Whether anything is wrong with it."""
        return bool(self.ills)

    def turn(self) -> None:
        """Fall ill, or recover."""
        self.ills = frozenset() if self.ills else frozenset((self.fate,))

    def catch(self, illness: Illness) -> None:
        """Get one more illness."""
        self.ills |= {illness}

    def answer(self, calls: tuple[str, ...]) -> Any:
        """Return the parts of its answer to some calls."""
        return self._ward.answer(self.ills, calls)


_WAVE: Final = 10
"""Chains that fall ill in turns: so many alerts as one chain raises at once, and not three times as many."""


def by_chain(patients: Iterable[Patient]) -> list[list[Patient]]:
    """Return the nodes of each chain, in the order in which the chains come."""
    found: dict[str, list[Patient]] = {}
    for patient in patients:
        found.setdefault(patient.chain, []).append(patient)
    return list(found.values())


def outbreaks(patients: Iterable[Patient]) -> Iterator[list[tuple[Patient, Illness]]]:
    """Yield what befalls the nodes of one chain at once, until each of them has what it can have: four alerts each."""
    waiting = by_chain(patients)
    while waiting:
        wave, waiting = waiting[:_WAVE], waiting[_WAVE:]
        for illness in (Illness.OUTDATED, Illness.LONELY, None):
            yield from [[(patient, illness or patient.fate) for patient in ward] for ward in wave]
