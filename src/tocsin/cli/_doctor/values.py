"""What the configuration says of contracts and feeds, held against what a node tells of its head.

One node's word, for a person who looks at it: the daemon does the same with what a quorum says.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tocsin.cli._doctor.result import Result, fail, ok, skip
from tocsin.config.tree import Chain
from tocsin.detect import contract_misconfigured, oracle_misconfigured
from tocsin.engine import feedcalls, feeds, watching
from tocsin.engine.facts import Fact
from tocsin.engine.readback import heard
from tocsin.model.alert import Grade
from tocsin.model.block import Header
from tocsin.model.contract import ContractSettings
from tocsin.model.effect import Fetch
from tocsin.model.feed import FeedRecord, FeedSettings
from tocsin.model.reading import Item, Pin, ProofOf, reading
from tocsin.rpc.session import Session

_PHASES: Final = 4
"""Questions, one after the other: what a beacon or a list names is found by the answer before."""

Facts = dict[str, Fact]


async def examine(chain: Chain, subject: str, session: Session, head: Header, empty: Iterable[str]) -> list[Result]:
    """Read all that is watched at a node's head, but what is at `empty` addresses; tell what is not as configured."""
    gone = set(empty)
    contracts = [known for one in chain.contracts if (known := one.settings()).address not in gone]
    sources = [feed for each in chain.feeds if (feed := each.settings()).address not in gone]
    if not contracts and not sources:
        return []
    facts: Facts = {}
    asked: set[Item] = set()
    for _ in range(_PHASES):
        wanted = [one for one in _items(contracts, sources, facts) if one not in asked]
        if not wanted:
            break
        asked.update(wanted)
        call = reading(head.ref, Pin.NUMBER, wanted)
        event = await session.fetch(Fetch(request=0, chain=chain.name, node=subject, call=call))
        said = heard(event, head.ref, head.state_root).facts
        facts |= {name: _fact(value) for name, value in said.items()}
    if not facts:
        return [skip(f"{subject} values", "it does not tell what is watched")]
    results = [
        fail(f"{subject} {what}", text, f"mend the configuration, or see why it is so: tocsin explain {detector}")
        for what, text, detector in _contradictions(contracts, sources, facts, head)
        if not any(address in text for address in gone)  # that is told already
    ]
    return results or [ok(f"{subject} values", "nothing that is watched contradicts the configuration")]


def _fact(value: str) -> Fact:
    return Fact(value=value, grade=Grade.UNCORROBORATED, votes=1, groups=1)


def _items(contracts: list[ContractSettings], sources: list[FeedSettings], facts: Facts) -> Iterator[Item]:
    """Yield what is read of all, by what is known; without proofs, which tell one person nothing more."""
    values = {name: fact.value for name, fact in facts.items() if fact.value is not None}
    every: list[Item] = [item for one in contracts for item in watching.items_of(one, values)]
    every += [item for one in sources for item in feedcalls.items(one, FeedRecord(identity=one.identity), values)]
    yield from (item for item in dict.fromkeys(every) if not isinstance(item, ProofOf))


def _contradictions(
    contracts: list[ContractSettings], sources: list[FeedSettings], facts: Facts, head: Header
) -> Iterator[tuple[str, str, str]]:
    for one in contracts:
        for text in watching.contradictions(one, facts):
            yield f"contract {one.name}", text, contract_misconfigured.ID
    for source in sources:
        if text := feeds.contradiction(source, facts, head):
            yield f"feed {source.name}", text, oracle_misconfigured.ID
