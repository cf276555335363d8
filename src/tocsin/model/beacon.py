"""Beacon nodes, the second kind of node: what they are asked over REST, and what they have shown.

A beacon node drives an execution client and knows what that one does not: slots, and what is final. What it says of
execution blocks (height and hash of the payload) is where both kinds of nodes can be held against each other.
"""

from dataclasses import dataclass

from tocsin.model.alert import Labels
from tocsin.model.block import BlockRef
from tocsin.model.observation import BudgetUse, Fault
from tocsin.model.settings import BeaconSettings

HEAD = "beacon:head"
SYNC = "beacon:syncing"
FINALITY = "beacon:finality"
PEERS = "beacon:peers"
VERSION = "beacon:version"
GENESIS = "beacon:genesis"
SPEC = "beacon:spec"
DEPOSIT = "beacon:deposit"
_PAYLOAD = "beacon:payload:"

FINALS_KEPT = 4
"""Finalized checkpoints that are remembered of each beacon node: two that are an epoch apart can still be compared."""


def payload_of(root: str) -> str:
    """Return the call that asks for the execution payload of the beacon block with this root."""
    return _PAYLOAD + root


def root_of(call: str) -> str | None:
    """Return the root that a `payload_of` call asks for, None for every other call."""
    return call.removeprefix(_PAYLOAD) if call.startswith(_PAYLOAD) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconHead:
    """A beacon block by slot and root (0x-hex, lower case), and its execution block where that is known."""

    slot: int
    root: str
    payload: BlockRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A finalized epoch and the root of its first block, and the execution block of that one where it is known."""

    epoch: int
    root: str
    payload: BlockRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconRecord:
    """What one beacon node has shown so far; the counters mean what those of `NodeRecord` mean."""

    polls: int = 0
    answers: int = 0
    failures: int = 0
    missed: int = 0
    refusals: int = 0
    fault: Fault | None = None
    budget: BudgetUse | None = None
    last_answer_ns: int | None = None
    latency_ns: int | None = None
    head: BeaconHead | None = None
    head_since_ns: int | None = None
    """When it last showed a higher slot than before."""
    finals: tuple[Checkpoint, ...] = ()
    """Its newest finalized checkpoints, by rising epoch."""
    finals_ns: int | None = None
    """When it last said what is final, whether that was news or not."""
    syncing: bool | None = None
    optimistic: bool | None = None
    """Whether its head is not validated by an execution client (yet)."""
    el_offline: bool | None = None
    sync_distance: int | None = None
    """Slots that it lacks by its own account."""
    peers: int | None = None
    version: str = ""
    chain_id: int | None = None
    """Of the chain that its deposit contract is on."""
    genesis_root: str | None = None
    """`genesis_validators_root`: it identifies the beacon chain."""
    genesis_time_s: int | None = None
    slot_ns: int | None = None
    bodies: tuple[tuple[str, str], ...] = ()
    """Call and digest of the newest answers, as they are journalled."""

    @property
    def finalized(self) -> Checkpoint | None:
        """The newest finalized checkpoint."""
        return self.finals[-1] if self.finals else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """How an execution client stands to the beacon node that drives it. Positive: it is behind; negative: ahead."""

    node: str
    behind: int | None = None
    """Blocks between its head and the beacon head's payload; None where they are on different branches, or unknown."""
    forked: bool = False
    """Whether it follows another branch than its beacon node."""
    final_behind: int | None = None
    """Blocks between its finalized block and the beacon node's; None where one of the two is unknown."""
    final_forked: bool = False
    """Whether the two call different blocks of one height final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconView:
    """One beacon node at one tick."""

    settings: BeaconSettings
    labels: Labels
    seen: BeaconRecord
    answering: bool
    """Whether its newest poll was answered, and since watching began."""
    sound: bool = False
    """Whether what it says of the chain counts: it answers, for this chain, synced, and its execution client agrees."""
    wrong_chain: str = ""
    """What is of another chain, empty if nothing is."""
    clash: str = ""
    """How its finalized checkpoint contradicts those of other beacon nodes, empty if it does not."""
    contested: bool = False
    """Whether groups that have not called that epoch final yet may still decide between the two sides."""
    pairing: Pairing | None = None
    """None without an execution client that is known and answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotClock:
    """When slots begin: slot n at `genesis_ns + n * slot_ns`, wall time."""

    genesis_ns: int
    slot_ns: int

    def slot_at(self, wall_ns: int) -> int:
        """Return the slot that this instant belongs to; negative before genesis."""
        return (wall_ns - self.genesis_ns) // self.slot_ns
