"""Whom to ask next: nodes of different groups, drawn by lot among those that answer well.

By lot, so that no node knows whose answer its own is compared with. A node that cannot answer is left alone for ever
more questions, one that was caught with a wrong answer is for an hour, as long as others are there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from tocsin.chain.count import needed
from tocsin.chain.facts import Fact, counted
from tocsin.chain.groups import Groups
from tocsin.chain.logspan import Span, refused, served
from tocsin.clock import NS, Clock

_DISTRUST_NS: Final = 3600 * NS
_FOR_GOOD: Final = 1 << 63
"""For as long as the panel is there: each time that such nodes are trusted again costs a whole index."""
_LONGEST_REST: Final = 64
UNTRUSTED: Final = 16
"""Blocks that are asked about at once where each of them is held against its receipts."""
_DISPUTED: Final = 64
"""Blocks that are asked about at once where one of those who answer is not trusted: each that it differs about is
proven, and with more of them the answers would be thrown away."""
_NARROW: Final = 64
"""Nodes that answer for fewer blocks at once are asked only if too few others are there: they would slow all down."""


@dataclass(slots=True)
class _Standing:
    span: Span = field(default_factory=Span)
    rests: int = 0
    """So many more questions it is not asked."""
    failures: int = 0
    distrusted_until_ns: int | None = None


class Panel:
    """The nodes of a chain, and what is known of each as an answerer."""

    def __init__(self, groups: Groups, clock: Clock, *, salt: bytes, span: Span | None = None) -> None:
        self.groups = groups
        self._clock = clock
        self._salt = salt
        self._nodes = {node: _Standing(span or Span()) for group in groups.groups for node in group.nodes}

    @property
    def needed(self) -> int:
        """How many groups make a quorum."""
        return needed(self.groups)

    def drawn(self, lot: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return the groups, by id, with their nodes, in the order in which they are asked; `lot` is what for."""
        found = []
        for group in self.groups.groups:
            nodes = tuple(sorted(group.nodes, key=lambda node: self._rank(node, lot)))
            found.append((group.id, nodes))
        return sorted(found, key=lambda entry: self._rank(entry[1][0], lot))

    def size(self, lot: str) -> int:
        """Return how many blocks those can be asked about that are asked first; few, if not each of them is trusted."""
        first = [nodes[0] for _, nodes in self.drawn(lot)[: self.needed]]
        size = min(self._nodes[node].span.size for node in first)
        if all(map(self.trusts, first)):
            return size
        return min(size, _DISPUTED if any(map(self.trusts, first)) else UNTRUSTED)

    def span(self, node: str) -> Span:
        """Return how much one node is asked at once."""
        return self._nodes[node].span

    def count(self, said: Mapping[str, bytes]) -> Fact:
        """Return what is known by what nodes say, each of which speaks for its whole group."""
        groups = [
            replace(group, nodes=tuple([node for node in group.nodes if node in said][:1] or group.nodes[:1]))
            for group in self.groups.groups
        ]
        return counted(said, replace(self.groups, groups=tuple(groups)))

    def trusts(self, node: str) -> bool:
        """Tell whether a node was not caught with wrong logs within the hour."""
        until = self._nodes[node].distrusted_until_ns
        return until is None or self._clock.monotonic_ns() >= until

    def served(self, node: str, asked: int, logs: int) -> None:
        """Note an answer about so many blocks."""
        standing = self._nodes[node]
        standing.span = served(standing.span, asked, logs)
        standing.failures = standing.rests = 0

    def refused(self, node: str, asked: int) -> None:
        """Note that so many blocks were too many."""
        standing = self._nodes[node]
        standing.span = refused(standing.span, asked)

    def failed(self, node: str) -> None:
        """Note that a node gave nothing usable."""
        standing = self._nodes[node]
        standing.failures += 1
        standing.rests = min(_LONGEST_REST, 1 << min(standing.failures, 6))

    def distrust(self, node: str, *, for_good: bool = False) -> None:
        """Note that a node was caught with wrong logs; `for_good`, because others said the same and did not show it."""
        standing = self._nodes[node]
        until = _FOR_GOOD if for_good else self._clock.monotonic_ns() + _DISTRUST_NS
        standing.distrusted_until_ns = max(until, standing.distrusted_until_ns or 0)

    def group_of(self, node: str) -> str:
        """Return the id of a node's group."""
        return next(group.id for group in self.groups.groups if node in group.nodes)

    def pass_turn(self) -> None:
        """Let one question go by for those who rest."""
        for standing in self._nodes.values():
            standing.rests = max(0, standing.rests - 1)

    def _rank(self, node: str, lot: str) -> tuple[bool, bool, bool, bytes]:
        standing = self._nodes[node]
        drawn = sha256(b"%b|%b|%b" % (self._salt, lot.encode(), node.encode())).digest()
        return not self.trusts(node), standing.rests > 0, standing.span.size < _NARROW, drawn
