"""Which heads rest on a block that is known to break a rule of the chain, and what it costs to find out."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.chains import chain, header
from tests.support.pool import settings_for

from tocsin.chain.tree import HeaderTree, insert, relation
from tocsin.engine.state import ChainState
from tocsin.engine.truth import broken_heads, judge_headers
from tocsin.model.block import Breach, Rule
from tocsin.model.view import Ahead, Level, NodeRecord

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


@given(st.integers(1, 4), st.integers(250, 400), st.randoms(use_true_random=False))
def test_made_up_breaches_push_out_none_that_another_node_rests_on(nodes: int, made_up: int, random: Any) -> None:
    settings = replace(settings_for(["a"] * nodes).chains[0], genesis_time_s=1_700_000_000 % 12)
    wrong = replace(header(140), timestamp=header(140).timestamp + 1)
    main = [wrong if block.number == 140 else block for block in MAIN]
    lies = [
        replace(header(2**40 + at, f"lie {at}"), timestamp=random.randrange(2**30) * 12 + 1) for at in range(made_up)
    ]
    heads = {f"n{at}": random.choice(main[45:]) for at in range(nodes)}
    records = {name: NodeRecord(head=head) for name, head in heads.items()}
    one = ChainState(started_ns=0, tree=insert(HeaderTree(), *main, *lies), nodes=records)
    for came in (main, lies[:100], lies[100:]):
        one = judge_headers(one, came, settings)
    assert len(one.breaches) <= 256
    assert broken_heads(one, heads.values()).keys() == {head.hash for head in heads.values()}
    assert len(one.breaches) == min(256, made_up + 1), "what there is room for is kept"


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
