"""A seeded simulated chain: real header hashes and parent links, slots, forks, reorgs and finality.

Blocks are pure functions of the seed. Time comes from an injected clock and is read lazily: whoever asks makes
the chain grow to now, so no task runs and time may jump by hours. The chain lives on the clock's *monotonic*
time: stepping the wall clock of the watcher does not move the world.
"""

import random
from dataclasses import dataclass

from tocsin.clock import NS, Clock
from tocsin.testing.simblock import Broken, SimBlock, make_block
from tocsin.testing.simstate import Change, Program, Reverted, World

MAIN = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSpec:
    """What a simulated chain is like. Spans in nanoseconds, `safe_after` and `finalized_after` in blocks."""

    chain_id: int = 1337
    seed: int = 0
    slot_ns: int = 12 * NS
    history: int = 100
    """Slots that lie in the past when the chain is made."""
    genesis_number: int = 0
    """A first number above 0 pretends an older chain, whose earlier blocks nobody has."""
    safe_after: int = 32
    finalized_after: int = 64
    missed: float = 0.0
    """Share of slots without a block."""
    jitter_ns: int = 0
    """A block comes out this much after its slot's start at the latest; below `slot_ns`."""
    transactions: int = 0
    """Made-up transaction hashes in each block; 180 is what mainnet had in 2026."""
    withdrawals: int = 0
    world: World | None = None
    """The state that the chain begins with; None for a chain without state, whose roots are made up."""

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_ns < self.slot_ns:
            raise ValueError(f"jitter_ns {self.jitter_ns} is not within a slot of {self.slot_ns} ns")
        if not 0 <= self.missed < 1:
            raise ValueError(f"missed {self.missed} is not a share from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """From this chain time on, this block is the head of the branch."""

    at_ns: int
    block: SimBlock


class Branch:
    """One line of blocks. `blocks` is the branch as it is now, `tips` how its head came about."""

    def __init__(self, name: str, *, salt: str, blocks: list[SimBlock], tips: list[Tip], next_slot: int) -> None:
        self.name = name
        self.salt = salt
        self.blocks = blocks
        self.tips = tips
        self.next_slot = next_slot
        self.halted = False
        self.breaks: Broken = "nothing"
        """Which rule the branch's next block breaks."""
        self.sent: list[Change] = []
        """The transactions of the branch's next block."""

    @property
    def head(self) -> SimBlock:
        """The newest block."""
        return self.blocks[-1]

    def show(self, at_ns: int) -> None:
        """Record that the head changed at this chain time."""
        self.tips.append(Tip(at_ns=at_ns, block=self.head))


class SimChain:
    """A chain that nodes look at (see `SimNode`), with the levers of a scenario: fork, reorg, halt, finality."""

    def __init__(self, clock: Clock, spec: ChainSpec | None = None) -> None:
        self.spec = spec or ChainSpec()
        self._clock = clock
        self._epoch_ns = clock.monotonic_ns()
        """The clock's monotonic time at chain time 0, which is the end of the history."""
        self._genesis_s = clock.wall_ns() // NS - self.spec.history * self.spec.slot_ns // NS
        genesis = make_block(
            parent=None,
            number=self.spec.genesis_number,
            slot=0,
            timestamp=self._genesis_s,
            salt=str(self.spec.seed),
            filled=False,
            world=self.spec.world,
        )
        self._by_hash = {genesis.hash: genesis}
        start = Tip(at_ns=self._slot_ns(0), block=genesis)
        main = Branch(MAIN, salt=str(self.spec.seed), blocks=[genesis], tips=[start], next_slot=1)
        self._branches = {MAIN: main}
        self._rewrites = 0
        self._finality_cap: int | None = None
        self.programs: dict[bytes, Program] = {}
        """What contracts return, by their code; one without code returns nothing, one whose code is unknown reverts."""
        self.grow()

    # -- time

    def now_ns(self) -> int:
        """Return chain time: nanoseconds since the chain was made."""
        return self._clock.monotonic_ns() - self._epoch_ns

    def _slot_ns(self, slot: int) -> int:
        return (slot - self.spec.history) * self.spec.slot_ns

    def _timestamp(self, slot: int) -> int:
        return self._genesis_s + slot * self.spec.slot_ns // NS

    def _luck(self, slot: int) -> tuple[bool, int]:
        """Whether the slot is missed, and how long after its start its block comes out."""
        dice = random.Random(f"{self.spec.seed}/{slot}")  # noqa: S311 - a seeded simulation
        return dice.random() < self.spec.missed, int(dice.random() * self.spec.jitter_ns)

    def grow(self) -> None:
        """Make every block that is due by now."""
        now = self.now_ns()
        for branch in self._branches.values():
            self._grow_branch(branch, now)

    def _grow_branch(self, branch: Branch, now: int) -> None:
        while self._slot_ns(branch.next_slot) <= now:
            missed, late_ns = self._luck(branch.next_slot)
            due = self._slot_ns(branch.next_slot) + late_ns
            if due > now:
                return
            if not missed and not branch.halted:
                self._append(branch, branch.next_slot)
                branch.show(due)
            branch.next_slot += 1

    def _append(self, branch: Branch, slot: int) -> None:
        parent = branch.head
        block = make_block(
            parent=parent,
            number=parent.number + 1,
            slot=slot,
            timestamp=self._timestamp(slot),
            salt=branch.salt,
            filled=self.spec.transactions > 0,
            breaks=branch.breaks,
            world=parent.world,
            changes=tuple(branch.sent),
        )
        branch.breaks = "nothing"
        branch.sent.clear()
        branch.blocks.append(block)
        self._by_hash[block.hash] = block

    # -- what there is to see

    def branch(self, name: str = MAIN) -> Branch:
        """Return a branch, grown to now. Raises KeyError with the names that exist."""
        if name not in self._branches:
            raise KeyError(f"no branch {name!r}; there are {', '.join(self._branches)}")
        self.grow()
        return self._branches[name]

    @property
    def branches(self) -> tuple[str, ...]:
        """The names of all branches, the main one first."""
        return tuple(self._branches)

    def head(self, branch: str = MAIN) -> SimBlock:
        """Return the newest block of a branch."""
        return self.branch(branch).head

    def by_hash(self, block_hash: str) -> SimBlock | None:
        """Return any block that was ever made, orphans included."""
        return self._by_hash.get(block_hash)

    def at(self, number: int, head: SimBlock, branch: str = MAIN) -> SimBlock | None:
        """Return the ancestor of `head` (or `head` itself) with this number; None where there is none."""
        blocks, first = self._branches[branch].blocks, self.spec.genesis_number
        if not first <= number <= head.number:
            return None
        block: SimBlock | None = head
        while block is not None and block.number > number:
            index = block.number - first
            if index < len(blocks) and blocks[index] is block:
                return blocks[number - first]
            block = block.parent
        return block

    def returned(self, world: World, to: bytes, data: bytes) -> bytes:
        """Return what a call of a contract returns in a world. Raises Reverted."""
        code = world.account(to).code
        if not code:
            return b""
        if code not in self.programs:
            raise Reverted
        return self.programs[code](world, to, data)

    def finalized_number(self, head: SimBlock) -> int:
        """Return the number that a node with this head calls finalized; below the first block: nothing is."""
        number = head.number - self.spec.finalized_after
        return number if self._finality_cap is None else min(number, self._finality_cap)

    # -- levers

    def fork(self, name: str, *, of: str = MAIN, depth: int = 0, breaks: Broken = "nothing") -> Branch:
        """Part a new branch from another one, `depth` blocks below its head. Both are equally high, and both grow.

        The first block of its own breaks the rule that `breaks` names.
        """
        parent = self.branch(of)
        if name in self._branches:
            raise ValueError(f"branch {name!r} exists")
        branch = Branch(
            name,
            salt=f"{self.spec.seed}/{name}",
            blocks=list(parent.blocks),
            tips=list(parent.tips),
            next_slot=parent.next_slot,
        )
        branch.halted = parent.halted
        branch.breaks = breaks
        self._branches[name] = branch
        self._replace(branch, depth)
        return branch

    def reorg(self, depth: int, *, branch: str = MAIN) -> SimBlock:
        """Replace the last `depth` blocks by others of the same heights and slots; return the new head."""
        found = self.branch(branch)
        self._rewrites += 1
        found.salt = f"{self.spec.seed}/{branch}/{self._rewrites}"
        self._replace(found, depth)
        return found.head

    def _replace(self, branch: Branch, depth: int) -> None:
        slots = [block.slot for block in self._cut(branch, depth)]
        for slot in slots:
            self._append(branch, slot)
        if depth:
            branch.show(self.now_ns())

    def _cut(self, branch: Branch, depth: int) -> list[SimBlock]:
        if not 0 <= depth < len(branch.blocks):
            raise ValueError(f"depth {depth} is not within the {len(branch.blocks) - 1} blocks after the first")
        keep = len(branch.blocks) - depth
        gone = branch.blocks[keep:]
        del branch.blocks[keep:]
        return gone

    def rollback(self, blocks: int, *, branch: str = MAIN) -> SimBlock:
        """Take the last blocks away, so that the height goes down; the branch then grows from there."""
        found = self.branch(branch)
        self._cut(found, blocks)
        self._rewrites += 1
        found.salt = f"{self.spec.seed}/{branch}/{self._rewrites}"
        found.show(self.now_ns())
        return found.head

    def halt(self, *branches: str) -> None:
        """Let slots pass without blocks, on these branches or on all."""
        self._set_halted(branches, halted=True)

    def resume(self, *branches: str) -> None:
        """Undo `halt`; the slots that passed stay missed."""
        self._set_halted(branches, halted=False)

    def _set_halted(self, names: tuple[str, ...], *, halted: bool) -> None:
        for name in names or tuple(self._branches):
            self.branch(name).halted = halted

    def send(self, *changes: Change, branch: str = MAIN) -> None:
        """Put transactions into the next block of a branch. Raises ValueError for a chain without state."""
        if self.spec.world is None:
            raise ValueError("this chain has no state; give its spec a world")
        self.branch(branch).sent.extend(changes)

    def stall_finality(self) -> None:
        """Finalize nothing more, on no branch."""
        self._finality_cap = self.finalized_number(self.head())

    def resume_finality(self) -> None:
        """Let finality catch up at once."""
        self._finality_cap = None
