"""Which heads rest on a block that is known to break a rule of the chain, and what it costs to find out."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.chains import chain, header

from tocsin.chain.tree import HeaderTree, insert, relation
from tocsin.engine.state import ChainState
from tocsin.engine.truth import broken_heads
from tocsin.model.block import Breach, Rule
from tocsin.model.view import Ahead, Level

MAIN = chain(100, 160)
SIDE = chain(131, 160, "side", after=header(130).hash)
ALONE = chain(150, 155, "alone")
SEEN = (*MAIN, *SIDE, *ALONE)
BREACH = (Breach(rule=Rule.BASE_FEE, shown=2, right=1),)


def state(tree: HeaderTree, broken: list[str]) -> ChainState:
    return ChainState(started_ns=0, tree=tree, breaches=dict.fromkeys(broken, BREACH))


@given(st.sets(st.sampled_from([block.hash for block in SEEN]), max_size=4), st.sets(st.sampled_from(SEEN)))
def test_a_head_is_broken_when_it_or_a_block_below_it_is(broken: set[str], heads: set[Any]) -> None:
    tree = insert(HeaderTree(), *SEEN)
    wrong = [block for block in SEEN if block.hash in broken]
    expected = {
        head.hash for head in heads if any(isinstance(relation(tree, head, one), Level | Ahead) for one in wrong)
    }
    assert broken_heads(state(tree, sorted(broken)), heads).keys() == expected


class Counted(dict[str, Any]):
    """Counts how often somebody looks something up."""

    looks = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)


def test_hundreds_of_broken_blocks_cost_no_more_than_one() -> None:
    """A liar can show as many as it likes; every head is followed down past all of them."""
    costs = []
    for count in (1, 200):
        made_up = [header(100, f"lie {at}") for at in range(count)]
        headers = Counted(insert(HeaderTree(), *MAIN, *SIDE, *made_up).headers)
        found = broken_heads(state(HeaderTree(headers=headers), [lie.hash for lie in made_up]), [MAIN[-1], SIDE[-1]])
        assert found == {}
        costs.append(headers.looks)
    assert costs[0] == costs[1] > 100
