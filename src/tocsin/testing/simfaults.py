"""Faults of a simulated world, by name and with their arguments: what a scenario's timeline is made of.

Each is a frozen value that begins and ends. What a node *sees* (late, frozen, on another branch) is changed at the
simulated node; what it *answers* (wrong ids, a slow drip) at the virtual node before it; what happens to the chain
itself at the chain.
"""
# ruff: noqa: ARG002 - every fault begins and ends with the same arguments

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Protocol

from tocsin.clock import NS
from tocsin.testing.faults import parse_fault
from tocsin.testing.simchain import MAIN
from tocsin.testing.simnode import SimNode
from tocsin.testing.simworld import SimWorld
from tocsin.units import DurationNs, duration_text

Client = Literal["geth", "nethermind", "besu", "reth", "erigon"]
Aim = Literal["nodes", "chain", "watchdog"]
"""What a fault strikes: the nodes that it names, the chain for everybody, or the watchdog that looks on."""


class WorldFault(Protocol):
    """A fault with its arguments."""

    name: ClassVar[str]
    aim: ClassVar[Aim]

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        """Strike these nodes, or the world."""
        ...

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        """Heal."""
        ...


class _Plain(ABC):
    """Base: ends by itself or not at all."""

    name: ClassVar[str]
    aim: ClassVar[Aim] = "nodes"

    @abstractmethod
    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None: ...

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:  # noqa: B027 - a default, not left out
        """Nothing is left to undo."""


class _Within(_Plain):
    """Base of faults of the simulated node itself, of each one that is struck."""

    @abstractmethod
    def strike(self, world: SimWorld, node: SimNode) -> None: ...

    def heal(self, world: SimWorld, node: SimNode) -> None:
        """Nothing is left to undo."""

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for node in world.named(nodes):
            self.strike(world, node)

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for node in world.named(nodes):
            self.heal(world, node)


class _Before(_Plain):
    """Base of faults of the virtual node; `text` is the fault as `parse_fault` reads it."""

    @property
    @abstractmethod
    def text(self) -> str: ...

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for name in nodes:
            await world.before[name].add(parse_fault(self.text))

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        for name in nodes:
            await world.before[name].clear(parse_fault(self.text).name)


class _Said(_Before):
    """Base of those whose text is always the same, but for the fields that `says` names in braces."""

    says: ClassVar[str]

    @property
    def text(self) -> str:
        return self.says.format(self)


def share(text: str) -> float:
    """Read a share such as "20%" as a number from 0 to 1. Raises ValueError."""
    number, sign, rest = text.partition("%")
    try:
        value = float(number) / 100
    except ValueError:
        value = -1.0
    if sign != "%" or rest or not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a share; write a percentage from 0% to 100%")
    return value


# -- what a node sees


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(_Within):
    """The node answers on, from what it had at that moment."""

    name: ClassVar[str] = "freeze"

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.view.freeze()

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.thaw()


@dataclass(frozen=True, slots=True, kw_only=True)
class MajorityStall(Freeze):
    """All these nodes stand still at the same moment, as the followers of one stuck client or provider do."""

    name: ClassVar[str] = "majority_stall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag(_Within):
    """Every block reaches the node later than usual: by some blocks' time, or by a time."""

    name: ClassVar[str] = "lag"

    blocks: int = 0
    by_ns: int = 0

    def __post_init__(self) -> None:
        if not self.blocks and not self.by_ns:
            raise ValueError("a lag needs blocks or by")

    def _more_ns(self, world: SimWorld) -> int:
        return self.by_ns + self.blocks * world.chain.spec.slot_ns

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.view.later_ns += self._more_ns(world)

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.later_ns -= self._more_ns(world)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork(_Within):
    """The nodes follow another branch that parts `depth` blocks below the head; both branches grow.

    Faults of the same `branch` share it: the first one parts it. `breaks` makes the branch's first block break a rule
    of the chain. When the fault ends its nodes return to the main branch.
    """

    name: ClassVar[str] = "fork"

    depth: int = 1
    branch: str = "fork"
    breaks: Literal["nothing", "base_fee", "timestamp"] = "nothing"

    def strike(self, world: SimWorld, node: SimNode) -> None:
        if self.branch not in world.chain.branches:
            world.chain.fork(self.branch, depth=self.depth, breaks=self.breaks)
        node.view.branch = self.branch

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.branch = MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityViolation(Fork):
    """The nodes are on a branch that parts below what was final: two finalized blocks of one height."""

    name: ClassVar[str] = "finality_violation"

    depth: int = 70
    branch: str = "violation"

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        if self.depth <= world.chain.spec.finalized_after:
            raise ValueError(
                f"depth {self.depth} is above the finalized block; the chain finalizes after "
                f"{world.chain.spec.finalized_after}"
            )
        # Not super(): a dataclass with slots is another class than the one that super() closes over.
        await Fork.begin(self, world, nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerSkew(_Within):
    """The node is a balancer: by turns a machine answers that is `blocks` behind the others."""

    name: ClassVar[str] = "balancer_skew"

    blocks: int = 2

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.view.skew = self.blocks

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.view.skew = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers(_Within):
    """The node says that it has this many peers."""

    name: ClassVar[str] = "peers"

    count: int = 0
    usual: int = 25

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.peers = self.count

    def heal(self, world: SimWorld, node: SimNode) -> None:
        node.peers = self.usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(_Within):
    """The node runs another version from then on."""

    name: ClassVar[str] = "version"

    client: str

    def strike(self, world: SimWorld, node: SimNode) -> None:
        node.client = self.client


# -- what a node answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable(_Said):
    """The node gives no answer: the connection is refused, hangs, or is reset, or HTTP says so."""

    name: ClassVar[str] = "unreachable"
    says: ClassVar[str] = "{0.manner}"

    manner: Literal["refused", "hang", "reset", "http-503", "http-401", "html"] = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOutage(Unreachable):
    """All nodes of a provider are out at once."""

    name: ClassVar[str] = "provider_outage"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongChain(_Said):
    """The node says that it is on another chain."""

    name: ClassVar[str] = "wrong_chain"
    says: ClassVar[str] = "wrong-chain:{0.chain_id}"

    chain_id: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncing(_Said):
    """`eth_syncing` gives a progress object."""

    name: ClassVar[str] = "syncing"
    says: ClassVar[str] = "syncing:{0.behind}"

    behind: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom(_Said):
    """The head is a sound-looking block far ahead, whose parent nobody has."""

    name: ClassVar[str] = "phantom"
    says: ClassVar[str] = "phantom-head:{0.ahead}"

    ahead: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LyingHeader(_Said):
    """One field of every header is changed, but the old hash is kept."""

    name: ClassVar[str] = "lying_header"
    says: ClassVar[str] = "corrupt-header:{0.field}"

    field: str = "stateRoot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune(_Said):
    """State is gone: calls that read it fail in the words of a client."""

    name: ClassVar[str] = "prune"
    says: ClassVar[str] = "pruned:{0.client}"

    client: Client = "geth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(_Said):
    """The body ends before its announced length."""

    name: ClassVar[str] = "truncate"
    says: ClassVar[str] = "truncated"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongIds(_Said):
    """Every answer carries an id that nobody asked with."""

    name: ClassVar[str] = "wrong_ids"
    says: ClassVar[str] = "wrong-ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed(_Said):
    """JSON that breaks off, with the right length."""

    name: ClassVar[str] = "malformed"
    says: ClassVar[str] = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDrip(_Before):
    """The right answer, eight bytes at a time."""

    name: ClassVar[str] = "slow_drip"

    pause_ns: DurationNs = DurationNs(NS // 10)

    @property
    def text(self) -> str:
        return f"slow-drip:{duration_text(self.pause_ns)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchQuirk(_Said):
    """Batches longer than `limit` are refused in the shape of a client; singles pass."""

    name: ClassVar[str] = "batch_quirk"
    says: ClassVar[str] = "batch-refused:{0.client}/{0.limit}"

    client: Literal["geth", "besu", "erigon", "nethermind", "drop"] = "erigon"
    limit: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStorm(_Before):
    """HTTP 429 for a share of the requests, with Retry-After."""

    name: ClassVar[str] = "rate_limit_storm"

    retry_after_ns: int = 0
    chance: str = "100%"

    def __post_init__(self) -> None:
        share(self.chance)

    @property
    def text(self) -> str:
        after = f":{self.retry_after_ns // NS}" if self.retry_after_ns else ""
        return f"http-429{after}@{share(self.chance):g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors(_Before):
    """HTTP 503 for a share of the requests."""

    name: ClassVar[str] = "errors"

    chance: str = "50%"

    def __post_init__(self) -> None:
        share(self.chance)

    @property
    def text(self) -> str:
        return f"status:503@{share(self.chance):g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(_Before):
    """Every answer comes late by this much, plus up to `jitter` more."""

    name: ClassVar[str] = "latency"

    by_ns: DurationNs = DurationNs(NS)
    jitter_ns: int = 0

    @property
    def text(self) -> str:
        return f"latency:{duration_text(self.by_ns)}+{duration_text(self.jitter_ns)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WsSilent(_Said):
    """The websocket lives, but announces nothing any more."""

    name: ClassVar[str] = "ws_silent"
    says: ClassVar[str] = "ws-silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos(_Said):
    """Any fault of the fault proxy, as `tocsin chaos` writes it."""

    name: ClassVar[str] = "chaos"
    says: ClassVar[str] = "{0.what}"

    what: str

    def __post_init__(self) -> None:
        parse_fault(self.what)


# -- what happens to the chain


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHalt(_Plain):
    """Slots pass without blocks, on every branch."""

    name: ClassVar[str] = "chain_halt"
    aim: ClassVar[Aim] = "chain"

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.halt()

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.resume()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityStall(_Plain):
    """Nothing more is finalized; when the fault ends, finality catches up at once."""

    name: ClassVar[str] = "finality_stall"
    aim: ClassVar[Aim] = "chain"

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.stall_finality()

    async def end(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.resume_finality()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepReorg(_Plain):
    """The last `depth` blocks are replaced for everybody, the height unchanged."""

    name: ClassVar[str] = "deep_reorg"
    aim: ClassVar[Aim] = "chain"

    depth: int = 7

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.chain.reorg(self.depth)


# -- what happens to the watchdog


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump(_Plain):
    """The watchdog's wall clock is set, forwards or back; the world does not notice."""

    name: ClassVar[str] = "clock_jump"
    aim: ClassVar[Aim] = "watchdog"

    by_ns: DurationNs
    back: bool = False

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.clock.step_wall(ns=-self.by_ns if self.back else self.by_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(_Plain):
    """The watchdog ends, is gone for a while, and starts again from its snapshot."""

    name: ClassVar[str] = "restart"
    aim: ClassVar[Aim] = "watchdog"

    down_ns: DurationNs = DurationNs(5 * NS)

    async def begin(self, world: SimWorld, nodes: tuple[str, ...]) -> None:
        world.restart(self.down_ns)


WORLD_FAULTS: Final[dict[str, type[WorldFault]]] = {
    fault.name: fault
    for fault in (
        Freeze,
        Lag,
        Fork,
        Phantom,
        BalancerSkew,
        Prune,
        Truncate,
        WrongIds,
        SlowDrip,
        Malformed,
        BatchQuirk,
        RateLimitStorm,
        ClockJump,
        ProviderOutage,
        MajorityStall,
        ChainHalt,
        LyingHeader,
        DeepReorg,
        FinalityViolation,
        FinalityStall,
        WrongChain,
        Unreachable,
        Syncing,
        Latency,
        Errors,
        Peers,
        Version,
        WsSilent,
        Restart,
        Chaos,
    )
}
"""By the name that a scenario uses."""
