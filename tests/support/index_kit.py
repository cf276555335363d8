"""A process that builds the index of a chain that is the same each time, step by step, until it is killed."""

import asyncio
import sys
from pathlib import Path

from tests.support.logchain import RULES, SALT, History, Nodes, ref

from tocsin.chain.logspan import Span
from tocsin.state.indexer import Indexer, Target, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.pace import Progress

BLOCKS = 240
TERMS = Terms(span=Span(size=6, most=12), audit_one_in=20)


def history() -> History:
    """Return the chain."""
    found = History(23)
    found.grow(BLOCKS)
    return found


def targets(chain: History) -> list[Target]:
    """Return what the index is brought to, one after another: an earlier head and finalized block, then the last."""
    last = chain.target
    head, final = (
        chain.chain.at(number - 30, chain.chain.head()) for number in (last.head.number, last.finalized.number)
    )
    assert head is not None
    assert final is not None
    return [Target(finalized=ref(final), head=ref(head)), last]


async def main(path: Path) -> None:
    """Build it, saying where it is after each step."""
    chain = history()
    nodes = Nodes(chain.chain)

    def tell(progress: Progress) -> None:
        print("at", progress.through.number, flush=True)  # noqa: T201 - read by the test

    async with Indexer(
        IndexFile(path, RULES, salt=SALT), nodes.groups, nodes, clock=chain.clock, terms=TERMS
    ) as indexer:
        print("open", indexer.progress().through.number, flush=True)  # noqa: T201 - read by the test
        for target in targets(chain):
            result = await indexer.advance(target, on_step=tell)
            assert not result.stuck
            print("done", result.through.number, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
