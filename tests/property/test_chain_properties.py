"""What holds for every tree, every pool and every lie."""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.chains import NOTHING, chain, header, name, node, tree

from tocsin.chain.agreement import agree, agree_finalized
from tocsin.chain.groups import Groups, group_nodes
from tocsin.chain.header import Absent, Malformed, decode_header, real_hash
from tocsin.chain.nodelife import LEGAL, STATE_OF_FLAG, LifeParams, NodeLife, NodeState, advance
from tocsin.chain.tree import HeaderTree, Window, insert, is_bridgeable, missing, prune, relation, reorg
from tocsin.model.alert import Grade
from tocsin.model.block import Header, Verification
from tocsin.model.view import Ahead, Behind, Forked, Level, Unlinked

REAL = json.loads((Path(__file__).parents[1] / "unit" / "test_chain_headers.json").read_text())["prague"]
NODES = ("A", "B", "C", "D", "E", "F")
PARAMS = LifeParams()


@st.composite
def forests(draw: st.DrawFn) -> list[Header]:
    """Draw some branches that grow out of each other, and now and then a root of its own."""
    blocks = chain(100, 104)
    for index in range(draw(st.integers(0, 5))):
        length = draw(st.integers(1, 6))
        if draw(st.integers(0, 4)) == 0:
            first = draw(st.integers(95, 120))
            blocks += chain(first, first + length, f"root {index}")
        else:
            base = draw(st.sampled_from(blocks))
            blocks += chain(base.number + 1, base.number + length, f"branch {index}", after=base.hash)
    return blocks


@st.composite
def pools(draw: st.DrawFn, least: int = 0) -> Groups:
    providers = draw(st.lists(st.sampled_from("pqrstu"), min_size=least, max_size=len(NODES)))
    return group_nodes([node(label, provider) for label, provider in zip(NODES, providers, strict=False)])


@st.composite
def elections(draw: st.DrawFn) -> tuple[list[Header], Groups, dict[str, str]]:
    blocks, groups = draw(forests()), draw(pools())
    labels = [label for group in groups.groups for label in group.nodes]
    heads = st.sampled_from([block.hash for block in blocks])
    votes = draw(st.dictionaries(st.sampled_from(labels), heads)) if labels else {}
    return blocks, groups, votes


def has(seen: HeaderTree, head: str, block: str) -> bool:
    """Whether a block is at or below a head, found by walking parents: an own, slow way."""
    at: Header | None = seen.headers[head]
    while at is not None:
        if at.hash == block:
            return True
        below = seen.headers.get(at.parent_hash)
        at = below if below is not None and below.number + 1 == at.number else None
    return False


def supporters(seen: HeaderTree, groups: Groups, votes: Mapping[str, str], block: str) -> list[str]:
    """Return the groups of which more than half of the nodes have a block at or below their heads."""
    return [
        group.id
        for group in groups.groups
        if 2 * sum(label in votes and has(seen, votes[label], block) for label in group.nodes) > len(group.nodes)
    ]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_without_an_exception(data: bytes) -> None:
    assert isinstance(decode_header(data), Header | Malformed | Absent)
    real_hash(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*REAL, "slotNumber", "extra"]), JSON, max_size=6))
def test_a_block_with_arbitrary_values_in_it_is_read_without_an_exception(fields: dict[str, object]) -> None:
    data = orjson.dumps({**REAL, **fields})
    assert isinstance(decode_header(data), Header | Malformed | Absent)
    real_hash(data)


HASHED = sorted(set(REAL) - {"size", "transactions", "uncles", "withdrawals"})


@given(st.sampled_from(HASHED), st.data())
def test_any_flipped_bit_is_a_mismatch_or_no_longer_well_formed(field: str, data: st.DataObject) -> None:
    text = REAL[field]
    assume(len(text) > 2)
    at = data.draw(st.integers(2, len(text) - 1))
    digit = int(text[at], 16) ^ data.draw(st.sampled_from([1, 2, 4, 8]))
    block = {**REAL, field: f"{text[:at]}{digit:x}{text[at + 1 :]}"}
    header = decode_header(orjson.dumps(block))
    leading_zero = digit == 0 and at == 2 and len(text) > 3
    if isinstance(header, Header) and not (leading_zero and header.verification is Verification.CANNOT_VERIFY):
        assert header.verification is Verification.MISMATCH
    else:
        assert leading_zero


@given(forests(), st.randoms())
def test_the_order_in_which_headers_came_leaves_no_trace(blocks: list[Header], random: object) -> None:
    shuffled = list(blocks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one_by_one = HeaderTree()
    for block in shuffled:
        one_by_one = insert(one_by_one, block)
    assert one_by_one == tree(blocks)
    assert missing(one_by_one, shuffled) == missing(tree(blocks), blocks)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(Verification)), max_size=8), st.data())
def test_contradicting_contents_of_one_hash_settle_in_any_order(
    contents: list[tuple[int, int, Verification]], data: st.DataObject
) -> None:
    versions = [
        # A verified content is unique by nature: nobody can make two that hash to the same.
        replace(
            header(100),
            number=100 if how is Verification.MATCH else 100 + number,
            parent_hash=name("parent 0" if how is Verification.MATCH else f"parent {parent}"),
            verification=how,
        )
        for number, parent, how in contents
    ]
    order = data.draw(st.permutations(versions))
    assert insert(HeaderTree(), *versions) == insert(insert(HeaderTree(), *order[:3]), *order[3:])


@given(forests(), st.data())
def test_relations_mirror_each_other(blocks: list[Header], data: st.DataObject) -> None:
    seen = tree(blocks)
    one, other = data.draw(st.sampled_from(blocks)), data.draw(st.sampled_from(blocks))
    match relation(seen, one, other):
        case Level():
            assert one == other
        case Behind(blocks=count):
            assert relation(seen, other, one) == Ahead(count)
            assert has(seen, other.hash, one.hash)
        case Ahead(blocks=count):
            assert relation(seen, other, one) == Behind(count)
            assert has(seen, one.hash, other.hash)
        case Forked(depth=depth, ancestor=ancestor):
            mirrored = relation(seen, other, one)
            assert mirrored == Forked(other.number - ancestor.number, ancestor)
            assert depth == one.number - ancestor.number > 0
            assert has(seen, one.hash, ancestor.hash)
            assert has(seen, other.hash, ancestor.hash)
            assert reorg(seen, one, other) == relation(seen, one, other)
        case unlinked:
            assert unlinked == Unlinked(one.number - other.number)
            assert relation(seen, other, one) == Unlinked(other.number - one.number)


@given(forests(), st.data())
def test_pruning_to_what_is_in_reach_keeps_every_relation_of_kept_heads(
    blocks: list[Header], data: st.DataObject
) -> None:
    seen = tree(blocks)
    heads = data.draw(st.lists(st.sampled_from(blocks), min_size=1, max_size=5))
    anchor = max(head.number for head in heads)
    # Fork points lie within the window, and the cap leaves room for what leads from the heads to them.
    window = Window(depth=40, reach=60, cap=data.draw(st.integers(60, 80)))
    left = prune(seen, keep=[head.hash for head in heads], anchor=anchor, window=window)
    for one in heads:
        for other in heads:
            assert relation(left, one, other) == relation(seen, one, other)


@given(forests(), st.data(), st.integers(0, 130), st.integers(1, 20))
def test_pruning_is_bounded_keeps_heads_and_knows_no_order(
    blocks: list[Header], data: st.DataObject, anchor: int, cap: int
) -> None:
    heads = sorted({head.hash for head in data.draw(st.lists(st.sampled_from(blocks), max_size=4))})
    window = Window(depth=5, reach=10, cap=cap)
    left = prune(tree(blocks), keep=heads, anchor=anchor, window=window)
    assert set(heads) <= set(left.headers)
    assert len(left.headers) <= max(cap, len(heads))
    assert left == prune(tree(blocks[::-1]), keep=heads[::-1], anchor=anchor, window=window)


def is_final(seen: HeaderTree, one: Header, other: Header) -> bool:
    """Whether no header that may still come can put two heads on one chain."""
    found = relation(seen, one, other)
    return isinstance(found, Forked) or (isinstance(found, Unlinked) and not is_bridgeable(seen, one, other))


@given(elections())
def test_the_agreed_head_has_a_quorum_and_nothing_deeper_has_one(
    election: tuple[list[Header], Groups, dict[str, str]],
) -> None:
    blocks, groups, votes = election
    seen = tree(blocks)
    agreement = agree(seen, votes, groups, NOTHING, 1).agreement
    least = 1 if len(groups.groups) < 2 else 2
    supported = {
        block.hash
        for block in blocks
        if len(found := supporters(seen, groups, votes, block.hash)) >= least and 2 * len(found) > len(groups.groups)
    }
    if agreement.block is None:
        assert not supported
    else:
        assert agreement.block.hash in supported
        assert agreement.block.number == max(seen.headers[block].number for block in supported)
        assert agreement.votes == len(supporters(seen, groups, votes, agreement.block.hash))
    if agreement.voting_groups:
        assert agreement.grade is not Grade.BLIND
    elif agreement.grade is not Grade.BLIND:
        # No group can speak, because nodes inside of one contradict each other past all linking.
        assert (agreement.grade, len(groups.groups) > 1) == (Grade.SPLIT, True)
        shown = [seen.headers[head] for head in set(votes.values())]
        assert any(one.number == other.number or is_final(seen, one, other) for one, other in combinations(shown, 2))


@given(elections(), st.data())
def test_without_a_quorum_for_more_the_last_agreed_head_is_frozen(
    election: tuple[list[Header], Groups, dict[str, str]], data: st.DataObject
) -> None:
    blocks, groups, votes = election
    seen = tree(blocks)
    before = agree(seen, votes, groups, NOTHING, 1).agreement
    held = data.draw(st.sampled_from(blocks))
    previous = replace(before, block=held.ref, since_ns=1)
    after = agree(seen, votes, groups, previous, 2)
    block = after.agreement.block
    assert block is not None
    if block.hash == held.hash:
        assert after.agreement.since_ns == 1
        assert after.reorg is None
    else:
        assert before.block == block
        assert after.agreement.since_ns == 2
        assert not isinstance(relation(seen, block, held), Behind)


@given(elections(), st.data())
def test_no_order_of_nodes_votes_or_headers_changes_what_is_agreed(
    election: tuple[list[Header], Groups, dict[str, str]], data: st.DataObject
) -> None:
    blocks, groups, votes = election
    shuffled = dict(data.draw(st.permutations(list(votes.items()))))
    expected = agree(tree(blocks), votes, groups, NOTHING, 1)
    assert agree(tree(blocks[::-1]), shuffled, groups, NOTHING, 1) == expected


@given(st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from("pq"), st.booleans()), unique_by=lambda x: x[0]))
def test_no_order_of_nodes_changes_the_groups(spec: list[tuple[str, str, bool]]) -> None:
    nodes = [node(label, provider, own=own, client=label) for label, provider, own in spec]
    groups = group_nodes(nodes, ("client",))
    assert group_nodes(nodes[::-1], ("client",)) == groups
    assert sorted(label for group in groups.groups for label in group.nodes) == sorted(label for label, _, _ in spec)


@given(elections(), st.data())
def test_a_silent_node_that_votes_again_never_lowers_what_is_agreed(
    election: tuple[list[Header], Groups, dict[str, str]], data: st.DataObject
) -> None:
    blocks, groups, votes = election
    silent = [label for group in groups.groups for label in group.nodes if label not in votes]
    assume(silent)
    seen = tree(blocks)
    less = agree(seen, votes, groups, NOTHING, 1).agreement
    more = {**votes, data.draw(st.sampled_from(silent)): data.draw(st.sampled_from(blocks)).hash}
    found = agree(seen, more, groups, NOTHING, 1).agreement
    if less.block is not None:
        assert found.block is not None
        assert isinstance(relation(seen, found.block, less.block), Level | Ahead)


@given(forests(), st.integers(3, 6), st.data())
def test_one_lying_group_never_moves_the_agreed_head_off_the_honest_chain(
    lies: list[Header], count: int, data: st.DataObject
) -> None:
    honest = chain(100, 120, "honest", after=header(99).hash)
    lies += chain(121, 140, "made up", after=honest[-1].hash)
    seen = tree(honest, lies)
    groups = group_nodes([node(label) for label in NODES[:count]])
    heads = st.sampled_from([block.hash for block in honest])
    votes = {label: data.draw(heads) for label in NODES[1:count]}
    truth = {block.hash for block in honest}
    lowest, highest = (pick(seen.headers[head].number for head in votes.values()) for pick in (min, max))
    agreement = NOTHING
    for _ in range(3):
        lying = {**votes, NODES[0]: data.draw(st.sampled_from([*lies, *honest])).hash}
        agreement = agree(seen, lying, groups, agreement, 1).agreement
        assert agreement.block is not None
        assert agreement.block.hash in truth
        assert lowest <= agreement.block.number <= highest
        assert agreement.grade is Grade.QUORUM


@given(elections(), st.data())
def test_finality_never_goes_down(election: tuple[list[Header], Groups, dict[str, str]], data: st.DataObject) -> None:
    blocks, groups, votes = election
    seen, agreement = tree(blocks), NOTHING
    for _ in range(4):
        before = agreement.block
        shown = {label: data.draw(st.sampled_from(blocks)).ref for label in votes}
        decision = agree_finalized(seen, shown, groups, agreement, 1)
        agreement = decision.agreement
        if before is not None:
            assert agreement.block is not None
            assert not isinstance(relation(seen, agreement.block, before), Behind | Forked)
            assert agreement.block.number >= before.number
        for conflict in decision.conflicts:
            assert shown[conflict.node] == conflict.block


@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from([*STATE_OF_FLAG, "node.latency"]), max_size=3),
            st.none() | st.booleans(),
            st.integers(1, 10**11),
        ),
        max_size=30,
    )
)
def test_a_life_takes_legal_steps_only_and_its_state_is_its_worst_flag(
    steps: list[tuple[set[str], bool | None, int]],
) -> None:
    life, t_ns = NodeLife(), 0
    for flags, ok, gap in steps:
        t_ns += gap
        before, life = life, advance(life, dict.fromkeys(sorted(flags), "x"), ok, t_ns, PARAMS)
        assert life.state is before.state or life.state in LEGAL[before.state]
        assert life.number == before.number + (life.state is not before.state)
        assert {flag for flag, _ in life.flags} == flags
        bad = [STATE_OF_FLAG.get(flag, NodeState.DEGRADED) for flag, _ in life.flags]
        assert life.state is bad[0] if bad else life.state not in (*STATE_OF_FLAG.values(), NodeState.DEGRADED)
