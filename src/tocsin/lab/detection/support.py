"""Whether the agreed head only ever followed what two groups had: by what nodes showed, not by its grade."""

from dataclasses import dataclass, field
from typing import Final

from tocsin.lab.detection.watch import CHAIN, Watch

_GROUPS: Final = 2


@dataclass(slots=True)
class Support:
    """Give it to a `Watch` as `looked`; `unsupported` lists the heads that fewer than two groups had."""

    heads: int = 0
    unsupported: list[str] = field(default_factory=list)
    _agreed: str = ""

    def __call__(self, watch: Watch) -> None:
        """Look at the agreed head after a tick."""
        block = watch.state.chains[CHAIN].head.block
        if block is None or block.hash == self._agreed:
            return
        self._agreed = block.hash
        self.heads += 1
        stream = watch.stream
        having = {
            member.provider
            for member in watch.members
            if any(stream.descends(shown, block.hash) for shown in stream.nodes[member.node.name].recent)
        }
        if len(having) < min(_GROUPS, len({member.provider for member in watch.members})):
            self.unsupported.append(f"{block.number} {block.hash}: {sorted(having)}")
