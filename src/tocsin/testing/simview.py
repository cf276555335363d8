"""How one node sees the simulated chain: late, on its own branch, or frozen."""

import random

from tocsin.testing.simblock import SimBlock
from tocsin.testing.simchain import MAIN, SimChain


class SimView:
    """A node's view. `branch` may be changed at any time: the node then follows the other branch at once.

    Every block reaches the node `delay_ns` after it came out; with `sigma` the delay of each block is drawn from a
    lognormal distribution with that median, as imports on real nodes are. `later_ns` comes on top of either. `skew`
    makes the view that of a balancer: half its turns show the machine behind it that is so many blocks behind.
    """

    def __init__(
        self, chain: SimChain, *, name: str, branch: str = MAIN, delay_ns: int = 0, sigma: float = 0.0
    ) -> None:
        self.chain = chain
        self.branch = branch
        self.delay_ns = delay_ns
        self.later_ns = 0
        self.skew = 0
        self._behind = 0
        self._turns = 0
        self._sigma = sigma
        self._name = name
        self._delays: dict[str, int] = {}
        self._frozen: SimBlock | None = None
        self._shown: SimBlock | None = None

    def freeze(self) -> None:
        """Stop following: the node keeps answering from what it has now."""
        self._frozen = self.head()

    def thaw(self) -> None:
        """Follow again."""
        self._frozen = None

    def _delay(self, block: SimBlock) -> int:
        if not self._sigma:
            return self.delay_ns + self.later_ns
        if block.hash not in self._delays:
            dice = random.Random(f"{self.chain.spec.seed}/{self._name}/{block.hash}")  # noqa: S311 - a seeded simulation
            self._delays[block.hash] = int(self.delay_ns * dice.lognormvariate(0, self._sigma))
        return self._delays[block.hash] + self.later_ns

    def turn(self) -> None:
        """Begin another request: a balancer may send it to another machine."""
        if self.skew:
            self._turns += 1
            dice = random.Random(f"{self.chain.spec.seed}/{self._name}/turn/{self._turns}")  # noqa: S311 - as above
            self._behind = self.skew if dice.random() < 1 / 2 else 0
        else:
            self._behind = 0

    def head(self) -> SimBlock:
        """Return the newest block that has reached the node."""
        block = self._frozen if self._frozen is not None else self._newest()
        for _ in range(self._behind):
            block = block.parent or block
        return block

    def _newest(self) -> SimBlock:
        newest, shown = self._arrived(), self._shown
        # Who becomes late does not forget what came in time.
        if self.later_ns and shown is not None and shown.number > newest.number and self._is_on_branch(shown):
            return shown
        self._shown = newest
        return newest

    def _is_on_branch(self, block: SimBlock) -> bool:
        return self.chain.at(block.number, self.chain.head(self.branch), self.branch) is block

    def _arrived(self) -> SimBlock:
        branch, now = self.chain.branch(self.branch), self.chain.now_ns()
        for tip in reversed(branch.tips):
            if tip.at_ns + self._delay(tip.block) <= now:
                return tip.block
        return branch.blocks[0]

    def at(self, number: int) -> SimBlock | None:
        """Return the block with this number on the node's own chain."""
        return self.chain.at(number, self.head(), self.branch)

    def by_hash(self, block_hash: str) -> SimBlock | None:
        """Return the block with this hash if it is on the node's own chain."""
        block = self.chain.by_hash(block_hash)
        return block if block is not None and self.at(block.number) is block else None

    def has_seen(self, block_hash: str) -> bool:
        """Say whether the block is on the node's chain at or below its head, whichever machine of it answers."""
        block, head = self.chain.by_hash(block_hash), self._frozen if self._frozen is not None else self._newest()
        return block is not None and self.chain.at(block.number, head, self.branch) is block

    def _below(self, number: int) -> SimBlock | None:
        # A young chain calls its genesis finalized; of a pretended older chain nobody has the block.
        first = self.chain.spec.genesis_number
        return self.at(max(number, 0) if first == 0 else number)

    def safe(self) -> SimBlock | None:
        """Return the block that the node calls safe."""
        return self._below(self.head().number - self.chain.spec.safe_after)

    def finalized(self) -> SimBlock | None:
        """Return the block that the node calls finalized."""
        return self._below(self.chain.finalized_number(self.head()))
