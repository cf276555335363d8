"""What is remembered of reading contracts, between asking and telling. Bounded: a few entries a node, and a contract.

Facts are named by their subject, `<address>:code`, `<address>:<slot>` or `<address>:<input of a call>`, and told as
text: code by its hash, slots as words, results of calls in hex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tocsin.model.alert import Json
from tocsin.model.block import BlockRef
from tocsin.model.contract import Accusation, Charge, Watched
from tocsin.model.observation import Part
from tocsin.model.reading import Item, merged, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one node said of all contracts at one block."""

    facts: Mapping[str, str] = field(default_factory=dict)
    """Subject to what it said of it, without proof."""
    proven: Mapping[str, str] = field(default_factory=dict)
    """Subject to what it proved."""
    refuted: Mapping[str, str] = field(default_factory=dict)
    """Address to why its proof of that contract proves nothing."""
    proofs: int = 0
    """How many of its proofs were sound."""
    shown: tuple[Part, ...] = ()
    """Of a node that gave wrong things lately, the answers that may be wrong again, as they came."""

    def joined(self, other: "Heard") -> "Heard":
        """Return both, of one node at one block."""
        return Heard(
            facts={**self.facts, **other.facts},
            proven={**self.proven, **other.proven},
            refuted={**self.refuted, **other.refuted},
            proofs=self.proofs + other.proofs,
            shown=(*self.shown, *other.shown),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """Nodes asked about all that is wanted of one block."""

    block: BlockRef
    root: str
    """The state root of its header; empty where that header is not verified, and nothing can be proven."""
    began_ns: int
    asked: Mapping[str, str] = field(default_factory=dict)
    """Request to node, while the answer is awaited."""
    heard: Mapping[str, Heard] = field(default_factory=dict)
    """By node."""
    had: tuple[str, ...] = ()
    """What was asked, in each phase: a reading, however nodes are told of the block."""
    more: str = ""
    """The same of what is to be asked in the next phase."""
    phase: int = 1

    @property
    def items(self) -> tuple[Item, ...]:
        """What was asked so far."""
        return merged(item for one in self.had if (found := parse(one)) is not None for item in found.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Something that a node gave wrong once, while it is asked for it once more."""

    charge: Charge
    node: str
    contract: str
    block: BlockRef
    root: str
    question: str
    """The call that is asked again."""
    subject: str = ""
    """Of a value: what it is of."""
    expected: str = ""
    """Of a value: what would have been right."""
    by: str = ""
    """Of a value: how that is known."""
    since_ns: int = 0
    """When it said that there were no logs, which it is asked a poll later; else 0."""
    request: int = 0
    asked_ns: int = 0
    tries: int = 0
    reason: str = ""
    """What was wrong again; empty until the answer has come."""
    found_ns: int = 0
    """When it came: what is still lacking of the evidence is waited for a little."""
    witness: str = ""
    """Who is asked for the header, and by which request: evidence has to be good for those who do not know it."""
    witnessed: int = 0
    header: Json = field(default_factory=dict)
    agreed: tuple[str, ...] = ()
    """Of a value that a quorum says: the nodes that say it."""
    prover: str = ""
    """Of a value that is proven: who is asked for the proof of it once more, how, and by which request."""
    proving: str = ""
    proved: int = 0
    proof: Json = field(default_factory=dict)
    evidence: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a node was lately found not to answer, until when that is taken for so. Times are engine ns."""

    no_proofs_ns: int = 0
    no_pins_ns: Mapping[str, int] = field(default_factory=dict)
    """By the value of `tocsin.model.reading.Pin`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """The contracts of one chain."""

    watched: Mapping[str, Watched] = field(default_factory=dict)
    """By name."""
    sittings: Mapping[str, Sitting] = field(default_factory=dict)
    """By lane: at the head, and at the finalized block."""
    begun: Mapping[str, str] = field(default_factory=dict)
    """Lane to the hash of the block at which it was read last."""
    suspicions: Mapping[str, Suspicion] = field(default_factory=dict)
    """By charge and node."""
    accused: Mapping[str, Accusation] = field(default_factory=dict)
    """By charge and node."""
    relapses: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By charge and node, at which blocks it gave something wrong lately: hash to engine ns, the newest few."""
    ways: Mapping[str, Way] = field(default_factory=dict)
    """By node."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Subject to what was known of it at the block that was read last: what is wanted next depends on it."""
    looked: tuple[BlockRef, ...] = ()
    """The newest blocks whose logs were looked at without a break, the newest first."""
    unseen: tuple[int, int] | None = None
    """The first and last height of blocks whose logs are to be looked at once they are final: they passed unseen."""
    proves: bool = False
    """Whether any proof was ever sound: a chain whose states are no such tries accuses nobody."""


NO_CONTRACTS: Final = Contracts()


def key(charge: Charge, node: str) -> str:
    """Return under what a node is suspected and accused of something."""
    return f"{charge.value}/{node}"
