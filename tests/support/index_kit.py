"""A process that builds the index of a chain that is the same each time, and follows it, until it is killed."""

import asyncio
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.logchain import FINAL_AFTER, RULES, SALT, History, Nodes, ref

from tocsin.chain.logspan import Span
from tocsin.state.indexer import Indexer, Target, Terms
from tocsin.state.indexfile import IndexFile
from tocsin.state.pace import Progress

BLOCKS = 240
FOLLOWED = 60
REORGS = 15
TERMS = Terms(span=Span(size=6, most=12), audit_one_in=20)


def story(chain: History) -> Iterator[Target]:
    """Let a chain happen; yield what the index is brought to: by two back-fills, then block by block."""
    chain.grow(BLOCKS)
    last = chain.target
    head, final = (
        chain.chain.at(number - 30, chain.chain.head()) for number in (last.head.number, last.finalized.number)
    )
    assert head is not None
    assert final is not None
    yield from (Target(finalized=ref(final), head=ref(head)), last)
    rng = random.Random(23)  # noqa: S311 - reproducible, not secret
    at = set(rng.sample(range(FOLLOWED), REORGS))
    for number in range(FOLLOWED):
        if number in at:
            chain.lose(rng.randint(1, FINAL_AFTER - 4))
            chain.grow(rng.randint(1, 3))
        chain.grow()
        yield chain.target


def history() -> History:
    """Return the chain as it is in the end."""
    found = History(23)
    for _ in story(found):
        pass
    return found


async def main(path: Path) -> None:
    """Build it, saying where it is after each step."""
    chain = History(23)
    nodes = Nodes(chain.chain)

    def tell(progress: Progress) -> None:
        print("at", progress.through.number, flush=True)  # noqa: T201 - read by the test

    async with Indexer(
        IndexFile(path, RULES, salt=SALT), nodes.groups, nodes, clock=chain.clock, terms=TERMS
    ) as indexer:
        print("open", indexer.progress().through.number, flush=True)  # noqa: T201 - read by the test
        for target in story(chain):
            if target.finalized.number < indexer.progress().through.number:
                continue  # what was finalized since is not on each branch that there was before
            result = await indexer.advance(target, on_step=tell)
            assert not result.stuck + result.restarted
            print("done", result.through.number, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
