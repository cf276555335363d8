"""Relations in the observation tree, the back-fill, and what pruning keeps."""

from dataclasses import replace

import pytest
from tests.support.chains import chain, header, name, tree

from tocsin.chain.tree import (
    BACKFILL,
    HeaderTree,
    Missing,
    Window,
    apart,
    credible,
    insert,
    is_bridgeable,
    is_doubted,
    missing,
    parent,
    prune,
    pruned,
    relation,
    reorg,
    said_parent,
    settled,
)
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.view import Ahead, Behind, Forked, Level, Unlinked

MAIN = chain(990, 1010)
FORK = chain(1001, 1004, "fork", after=header(1000).hash)


def at(number: int, branch: str = "main") -> Header:
    return next(
        block for block in (*MAIN, *FORK) if block.number == number and block.hash == name(f"{branch}/{number}")
    )


def said_by_groups(seen: HeaderTree, words: list[list[Header]]) -> HeaderTree:
    """The tree after groups of one node each have said something."""
    return settled(seen, [[shown] for shown in words])


@pytest.mark.parametrize(
    ("head", "reference", "expected"),
    [
        (at(1005), at(1005), Level()),
        (at(1004), at(1005), Behind(1)),
        (at(990), at(1010), Behind(20)),
        (at(1010), at(1004), Ahead(6)),
        (at(1004, "fork"), at(1004), Forked(4, at(1000).ref)),
        (at(1001, "fork"), at(1010), Forked(1, at(1000).ref)),
        (at(1010), at(1001, "fork"), Forked(10, at(1000).ref)),
        (at(1000), at(1004, "fork"), Behind(4)),
        (header(30_000_000, "phantom"), at(1010), Unlinked(29_998_990)),
        (at(1010), header(980, "unseen"), Unlinked(30)),
    ],
)
def test_heads_stand_to_each_other_as_their_ancestry_says(head: Header, reference: Header, expected: object) -> None:
    seen = insert(tree(MAIN, FORK), header(30_000_000, "phantom"))
    assert relation(seen, head, reference) == expected
    assert relation(seen, head.ref, reference.ref) == expected


def test_a_parent_is_known_from_its_child_even_when_it_was_never_seen_itself() -> None:
    seen = tree([at(1005)])
    assert relation(seen, at(1005), at(1004).ref) == Ahead(1)
    assert relation(seen, at(1004).ref, at(1005)) == Behind(1)
    assert parent(seen, at(1005)) is None


def test_a_child_whose_number_does_not_follow_is_not_linked() -> None:
    jump = replace(header(1050, "jump"), parent_hash=at(1010).hash)
    seen = insert(tree(MAIN), jump)
    assert parent(seen, jump) is None
    assert relation(seen, jump, at(1010)) == Unlinked(40)
    assert missing(seen, [jump, at(1010)]) == ()
    assert not is_bridgeable(seen, jump, at(1010))


def test_a_header_that_does_not_hash_to_its_hash_is_not_taken() -> None:
    empty = HeaderTree()
    assert insert(empty, replace(at(1000), verification=Verification.MISMATCH)) is empty


def test_what_is_known_already_returns_the_same_tree() -> None:
    seen = tree(MAIN)
    assert insert(seen, *MAIN) is seen
    assert insert(seen) is seen
    assert insert(seen, unverified(at(1000), number=7)) is seen, "nothing beats what verifies"
    claimed = tree([unverified(at(1000))])
    assert insert(claimed, unverified(at(1000))) is claimed


def test_a_verified_header_beats_what_cannot_be_verified_in_any_order() -> None:
    honest = at(1005)
    lie = replace(honest, parent_hash=name("nowhere"), number=7, verification=Verification.CANNOT_VERIFY)
    for order in ((honest, lie), (lie, honest), (lie, replace(lie, number=8), honest)):
        seen = insert(tree([at(1004)]), *order)
        assert seen.headers[honest.hash] == honest
        assert seen.contested == frozenset()
        assert relation(seen, honest, at(1004)) == Ahead(1)


def test_an_unverifiable_header_told_in_two_ways_links_to_nothing_but_the_head_of_who_shows_it() -> None:
    one = replace(at(1005), verification=Verification.CANNOT_VERIFY)
    other = replace(one, parent_hash=name("elsewhere"))
    first, second = (insert(tree([at(1004)]), *order) for order in ((one, other), (other, one)))
    assert first == second
    assert first.contested == {one.hash}
    assert relation(first, one.ref, at(1004)) == Unlinked(1)
    assert is_doubted(first, one.ref, at(1004))
    assert missing(first, [one.ref, at(1004)]) == ()
    assert relation(first, one, at(1004)) == Ahead(1)
    assert relation(first, other, at(1004)) == Unlinked(1)
    child = at(1006)
    assert relation(insert(first, child), child, at(1004)) == Unlinked(2), "it speaks of no other block"


def test_what_two_groups_show_settles_what_one_contests() -> None:
    true = replace(at(1005), verification=Verification.CANNOT_VERIFY)
    lie = replace(true, number=1002)
    seen = insert(tree([at(1004)]), true, lie)
    for words in ([[true], [lie]], [[true, true], [lie]], [[true], [true], [lie], [lie]], [], [[at(1004)]]):
        assert said_by_groups(seen, words) is seen
    for words in ([[true], [true], [lie]], [[lie], [true], [true]], [[true, lie], [true]]):
        after = said_by_groups(seen, words)
        assert (after.contested, after.corroborated, after.headers[true.hash]) == (set(), {true.hash}, true)
        assert relation(after, true.ref, at(1004)) == Ahead(1)


def test_a_gap_is_filled_parent_by_parent_until_the_heads_are_linked() -> None:
    blocks = {block.hash: block for block in MAIN}
    seen, fetched = tree([at(990), at(1010)]), 0
    while wanted := missing(seen, [at(990), at(1010)]):
        assert [one.head for one in wanted] == [at(1010).ref]
        seen, fetched = insert(seen, blocks[wanted[0].hash]), fetched + 1
    assert fetched == 19
    assert relation(seen, at(1010), at(990)) == Ahead(20)


def test_a_long_gap_is_asked_for_in_runs_and_a_branch_in_ever_longer_ones() -> None:
    main, other = chain(900, 1000), chain(700, 990, "other")
    blocks = {block.number: block for block in other}
    seen, runs = tree(main, other[-1:]), []
    while wanted := missing(seen, [main[-1], other[-1]]):
        [gap] = wanted
        assert blocks[gap.number].hash == gap.hash
        runs.append(gap.run)
        seen = insert(seen, *(blocks[gap.number - at] for at in range(gap.run)))
    assert runs == [1, 4, 16, 16, 16, 11]
    assert sum(runs) == BACKFILL
    assert apart(seen, main[-1], other[-1]) == BACKFILL + 1
    assert missing(tree([at(1000), at(1010)]), [at(1000), at(1010)])[0].run == 9


def test_a_fork_of_unknown_depth_is_filled_on_both_sides() -> None:
    ours, theirs = chain(995, 1003), chain(1000, 1003, "x", after=header(999).hash)
    everything = {block.hash: block for block in (*ours, *theirs)}
    heads = [ours[-1], theirs[-1]]
    seen = tree(heads)
    first = missing(seen, heads)
    assert {step.hash for step in first} == {header(1002).hash, header(1002, "x").hash}
    assert {step.head for step in first} == {heads[0].ref, heads[1].ref}
    while wanted := missing(seen, heads):
        seen = insert(seen, *(everything[step.hash] for step in wanted))
    assert relation(seen, theirs[-1], ours[-1]) == Forked(4, header(999).ref)
    assert header(998).hash not in seen.headers


def test_what_links_the_heads_does_not_depend_on_their_order() -> None:
    heads = [at(1010), at(1004, "fork"), at(1002), header(5, "x")]
    seen = tree(heads)
    assert missing(seen, heads) == missing(seen, list(reversed(heads)))


def test_what_the_highest_head_lacks_is_asked_for_first() -> None:
    heads = [header(1002, "c"), header(1010, "a"), header(1004, "b"), header(1006, "d")]
    asked = missing(tree(heads), heads)
    assert [step.head.number for step in asked] == [1010, 1006, 1004], "the lowest is what others go down to"
    assert [step.hash for step in asked] == [name("a/1009"), name("d/1005"), name("b/1003")]


def test_a_gap_that_is_too_deep_asks_for_nothing() -> None:
    near, far = header(1000 + BACKFILL, "far"), header(1001 + BACKFILL, "far")
    seen = tree([at(1000), near, far])
    assert [step.hash for step in missing(seen, [at(1000), near])] == [near.parent_hash]
    assert is_bridgeable(seen, at(1000), near)
    below = insert(HeaderTree(), at(1000), far)
    assert missing(below, [at(1000), far]) == ()
    assert not is_bridgeable(below, at(1000), far)


def test_an_endless_made_up_branch_is_given_up_after_as_many_headers() -> None:
    main, made_up = chain(800, 1000), chain(700, 1000, "made-up")
    blocks = {block.hash: block for block in made_up}
    seen, fetched = tree(main, made_up[-1:]), 0
    while wanted := missing(seen, [main[-1], made_up[-1]]):
        seen, fetched = insert(seen, *(blocks[step.hash] for step in wanted)), fetched + 1
    assert fetched == BACKFILL
    assert relation(seen, made_up[-1], main[-1]) == Unlinked(0)


def test_two_geneses_are_never_linked_and_never_asked_below() -> None:
    one, other = header(0), header(0, "other")
    seen = tree([one, other])
    assert relation(seen, one, other) == Unlinked(0)
    assert missing(seen, [one, other]) == ()
    assert not is_bridgeable(seen, one, other)


def test_a_head_that_was_never_seen_itself_is_asked_for() -> None:
    seen = tree(MAIN)
    assert missing(seen, [BlockRef(number=1011, hash=name("new")), at(1010)]) == (
        Missing(hash=name("new"), head=BlockRef(number=1011, hash=name("new")), number=1011),
    )


def test_a_reorg_is_as_deep_as_the_blocks_it_replaced() -> None:
    seen = tree(MAIN, FORK)
    assert reorg(seen, at(1010), at(1004, "fork")) == Forked(10, at(1000).ref)
    assert reorg(seen, at(1001, "fork"), at(1010)) == Forked(1, at(1000).ref)
    assert reorg(seen, at(1004), at(1010)) is None
    assert reorg(seen, at(1004), at(1004)) is None


def test_pruning_keeps_heads_and_what_links_them() -> None:
    long = chain(1, 1000)
    branch = chain(901, 905, "fork", after=header(900).hash)
    seen = tree(long, branch)
    heads = [long[-1], branch[-1], long[699]]
    left = prune(seen, keep=[head.hash for head in heads], anchor=1000, window=Window(depth=64, reach=400, cap=2048))
    assert min(block.number for block in left.headers.values()) == 700
    for head in heads:
        for other in heads:
            assert relation(left, head, other) == relation(seen, head, other)


def test_a_kept_head_out_of_reach_stays_alone() -> None:
    seen = tree(chain(1, 1000))
    left = prune(seen, keep=[header(1000).hash, header(10).hash], anchor=1000, window=Window(depth=64, reach=400))
    assert sorted(block.number for block in left.headers.values()) == [10, *range(936, 1001)]


def test_what_leads_nowhere_goes_before_what_links_the_heads() -> None:
    junk = [header(10**7 + number, f"junk {number}") for number in range(300)]
    seen = tree(chain(1, 1000), junk, chain(998, 999, "orphan"))
    left = prune(seen, keep=[header(1000).hash, junk[0].hash], anchor=1000, window=Window(depth=100, cap=104))
    kept = sorted((block.number, block.hash) for block in left.headers.values())
    # The agreed head, the phantom that a node still shows, 100 ancestors; then the two orphans nearest to the anchor.
    assert len(kept) == 104
    assert kept[-1] == (junk[0].number, junk[0].hash)
    assert {number for number, _ in kept[:-1]} == set(range(900, 1001))
    assert [number for number, block in kept if block == name(f"orphan/{number}")] == [998, 999]


def numbers(seen: HeaderTree, branch: str) -> list[int]:
    return sorted(block.number for block in seen.headers.values() if block.hash == header(block.number, branch).hash)


def test_a_head_exactly_within_reach_keeps_its_ancestors_and_one_further_does_not() -> None:
    for lowest, kept in ((600, [*range(600, 1001)]), (599, [599, *range(936, 1001)])):
        seen, heads = tree(chain(1, 1000)), [header(1000).hash, header(lowest).hash]
        left = prune(seen, keep=heads, anchor=1000, window=Window(depth=64, reach=400))
        assert numbers(left, "main") == kept


def test_under_the_cap_every_ancestor_down_to_the_floor_goes_before_any_block_that_leads_nowhere() -> None:
    seen = tree(chain(980, 1000), chain(980, 1005, "orphan"))
    window = Window(depth=10, cap=11)
    left, dropped = pruned(seen, keep=[header(1000).hash], anchor=1000, window=window)
    assert (numbers(left, "main"), numbers(left, "orphan")) == ([*range(990, 1001)], [])
    assert dropped == 16


def test_of_what_leads_nowhere_the_farthest_from_the_anchor_goes_first() -> None:
    seen = tree([header(1000)], chain(900, 1100, "orphan"))
    left = prune(seen, keep=[header(1000).hash], anchor=1000, window=Window(depth=200, cap=6))
    assert (numbers(left, "main"), numbers(left, "orphan")) == ([1000], [998, 999, 1000, 1001, 1002])


def test_of_what_leads_to_a_head_the_oldest_goes_first_wherever_the_anchor_is() -> None:
    left = prune(tree(chain(1, 1050)), keep=[header(1050).hash], anchor=1000, window=Window(depth=500, cap=80))
    assert numbers(left, "main") == list(range(971, 1051))


def test_what_went_for_being_too_much_is_counted_and_what_went_for_being_too_old_is_not() -> None:
    seen, heads = tree(chain(1, 1000)), [header(1000).hash]
    assert pruned(seen, keep=heads, anchor=1000, window=Window(depth=500, cap=50))[1] == 451
    assert pruned(seen, keep=heads, anchor=1000, window=Window(depth=500, cap=501))[1] == 0
    assert pruned(seen, keep=heads, anchor=1000, window=Window(depth=1000, cap=1000)) == (seen, 0)


def test_what_is_contested_stays_so_as_long_as_it_is_kept() -> None:
    claims = [replace(at(number), verification=Verification.CANNOT_VERIFY) for number in (992, 1005)]
    others = [replace(claim, parent_hash=name("elsewhere")) for claim in claims]
    seen = insert(tree([at(1010)]), *claims, *others)
    assert seen.contested == {claim.hash for claim in claims}
    left = prune(seen, keep=[at(1010).hash], anchor=1010, window=Window(depth=10, reach=10))
    assert left.contested == {claims[1].hash}
    assert prune(seen, keep=[at(1010).hash], anchor=1010, window=Window(cap=1)).contested == frozenset()
    sure = said_by_groups(seen, [claims, claims])
    assert sure.corroborated == {claim.hash for claim in claims}
    kept = prune(sure, keep=[at(1010).hash], anchor=1010, window=Window(depth=10, reach=10))
    assert kept.corroborated == {claims[1].hash}


def test_above_the_cap_the_oldest_ancestors_go_first() -> None:
    left = prune(tree(chain(1, 1000)), keep=[header(1000).hash], anchor=1000, window=Window(depth=500, cap=50))
    assert sorted(block.number for block in left.headers.values()) == list(range(951, 1001))


def test_pruning_nothing_returns_the_same_tree() -> None:
    seen = tree(MAIN)
    assert prune(seen, keep=[at(1010).hash], anchor=1010) is seen
    assert prune(seen, keep=[at(1010).hash], anchor=1010, window=Window(cap=len(MAIN))) is seen


def test_clients_that_show_a_field_or_leave_it_out_do_not_contest_each_other() -> None:
    full = replace(header(100), verification=Verification.CANNOT_VERIFY, base_fee=7, gas_used=1, gas_limit=2)
    bare = replace(full, base_fee=None)
    one_way, other_way = insert(HeaderTree(), full, bare), insert(HeaderTree(), bare, full)
    assert one_way == other_way
    assert one_way.contested == frozenset()
    for shown in (0, 1, 2):
        versions = (replace(full, base_fee=shown), bare)
        assert insert(HeaderTree(), *versions) == insert(HeaderTree(), *versions[::-1])
    assert insert(HeaderTree(), full, replace(full, parent_hash=name("else"))).contested == {full.hash}


def test_branches_that_do_not_meet_are_known_to_be_apart_as_far_as_both_are_known() -> None:
    one, other = chain(900, 1000), chain(950, 1002, "other")
    seen = tree(one, other)
    assert apart(seen, one[-1], other[-1]) == apart(seen, other[-1], one[-1]) == 51
    assert apart(seen, one[-1], header(5_000, "far")) == 0
    assert apart(seen, one[-1], one[-5]) == 0
    assert apart(tree(MAIN, FORK), at(1004, "fork"), at(1004)) == 0
    near = tree(one, [header(1000, "lone")])
    assert apart(near, one[-1], header(1000, "lone")) == 1


# -- what nobody can verify


def unverified(block: Header, **changes: object) -> Header:
    return replace(block, verification=Verification.CANNOT_VERIFY, **changes)


def test_who_answers_for_a_block_is_believed_as_far_as_its_children_allow() -> None:
    def claimed(*seen: Header) -> bool:
        return credible(tree(list(seen)), unverified(block))

    block, follows, jumps = at(1000), at(1001), replace(at(1001), number=1005)
    for children in ([], [follows], [unverified(follows)], [unverified(jumps)], [unverified(block)]):
        assert credible(tree(children), block), "what hashes to its hash needs nobody"
    assert claimed(at(1005), at(999)), "nobody rests on it"
    assert claimed(unverified(follows))
    assert claimed(follows)
    assert claimed(unverified(jumps), unverified(at(1001, "fork"))), "one that follows is enough"
    assert not claimed(unverified(jumps))
    assert not claimed(unverified(block, parent_hash=name("elsewhere"))), "nor does it dispute what is there"
    assert not claimed(block, follows)


def test_what_verifies_is_linked_to_no_parent_that_does_not_which_is_asked_for_again() -> None:
    claim, child, above, low = unverified(at(1000)), at(1001), at(1002), at(999)
    seen = replace(tree([low, claim, child, above]), verifies=True)
    assert parent(seen, child) is None
    assert relation(seen, above, low) == Unlinked(3)
    assert [step.hash for step in missing(seen, [above, low])] == [claim.hash]
    right = insert(seen, at(1000))
    assert relation(right, above, low) == Ahead(3)


def test_a_child_that_verifies_takes_nothing_from_a_chain_that_cannot_be_verified() -> None:
    honest = [unverified(block) for block in MAIN]
    made_up = header(1006, "made-up", parent=at(1005).hash)
    seen = replace(tree(honest), verifies=True)
    after = insert(seen, made_up)
    for one in honest:
        assert relation(after, one, honest[0]) == relation(seen, one, honest[0])
    assert parent(after, made_up) is None
    sure = said_by_groups(after, [[honest[15]], [honest[15]]])
    assert relation(sure, made_up, at(1000)) == Ahead(6), "but two groups know its parent, whose claim is as good"


def test_where_headers_verify_by_chance_a_parent_that_does_not_is_one() -> None:
    seen = tree([at(999), unverified(at(1000)), at(1001)])
    assert relation(seen, at(1001), at(999)) == Ahead(2)


def test_what_two_groups_have_shown_no_single_one_contests_later() -> None:
    true = unverified(at(1005))
    lie = unverified(at(1005), parent_hash=name("elsewhere"))
    sure = said_by_groups(insert(tree([at(1004)]), true), [[true], [true]])
    assert insert(sure, lie) is sure
    assert said_by_groups(sure, [[lie], [lie]]) is sure
    assert relation(sure, true, at(1004)) == Ahead(1)
    assert relation(sure, lie, at(1004)) == Unlinked(1), "its own word about its own head"
    proven = insert(sure, at(1005))
    assert (proven.headers[true.hash], relation(proven, lie, at(1004))) == (at(1005), Unlinked(1))


def test_who_shows_a_known_hash_at_another_height_is_linked_to_nothing() -> None:
    for seen in (tree(MAIN), tree([unverified(block) for block in MAIN])):
        for number in (0, 1000, 1004, 1006, 2**62):
            for wrong in (BlockRef(number=number, hash=at(1005).hash), unverified(at(1005), number=number)):
                for other in (at(1005), at(1004), at(1006), at(995)):
                    assert relation(seen, wrong, other) == Unlinked(number - other.number)
                    assert relation(seen, other.ref, wrong) == Unlinked(other.number - number)
                assert missing(seen, [wrong, at(1003)]) == ()
                assert parent(seen, wrong) is said_parent(seen, wrong) is None


def test_a_parent_that_does_not_link_by_number_is_asked_for_again_unless_it_is_verified() -> None:
    low = header(995, "low")
    for parent_, asked in ((unverified(at(1004), number=990), [at(1004).hash]), (replace(at(1004), number=990), [])):
        seen = tree([at(1005), parent_, low])
        assert [step.hash for step in missing(seen, [at(1005), low])] == asked
        assert is_bridgeable(seen, at(1005), low) is bool(asked)


def told(number: int, *parents: str) -> list[Header]:
    """Return a block as it is told by several, each with another parent."""
    return [unverified(at(number), parent_hash=name(parent_)) for parent_ in parents]


def test_what_two_groups_say_of_a_contested_hash_is_taken_where_fewer_say_otherwise() -> None:
    one, other, third = told(1005, "main/1004", "x", "y")
    seen = insert(tree([at(1004)]), other, one)
    assert seen.contested == {one.hash}
    for words in ([[one], [one]], [[one], [one], [other]], [[one], [other], [one], [third], [at(1004)]]):
        left = said_by_groups(seen, words)
        assert (left.headers[one.hash], left.contested) == (one, frozenset())
        assert said_by_groups(seen, words[::-1]) == left
    for words in ([], [[one]], [[one], [other]], [[one], [one], [other], [other]], [[at(1004)], [at(1004)]]):
        assert said_by_groups(seen, words) is seen
    assert said_by_groups(seen, [[one, one, one], [other]]) is seen, "a group has one word, however often it says it"
    assert said_by_groups(seen, [[other], [other], [other], [one], [one]]).headers[one.hash] == other


def test_a_group_says_what_more_than_half_of_its_nodes_say() -> None:
    one, other = told(1005, "main/1004", "x")
    seen = insert(tree([at(1004)]), one, other)
    for pair in ([[one], []], [[one], [other]], [[one], [], [one], []], [[], []], []):
        assert settled(seen, [[[one]], pair]) is seen
    for more in ([[one], [one]], [[one, other], [one]], [[one], [], [replace(one, base_fee=7)]]):
        assert settled(seen, [[[one]], more]).corroborated == {one.hash}
    assert settled(seen, [[[one]], [[one]], [[other], []]]).corroborated == {one.hash}, "half a group opposes nothing"


def test_only_what_is_settled_is_contested_no_more() -> None:
    low, high = told(1002, "main/1001", "x"), told(1005, "main/1004", "x")
    seen = insert(tree([at(1001), at(1004)]), *low, *high)
    left = said_by_groups(seen, [[high[0]], [high[0], low[0]], [low[1]]])
    assert (left.contested, left.headers[high[0].hash]) == ({low[0].hash}, high[0])
    seen = tree(MAIN)
    assert said_by_groups(seen, [[at(1005)], [at(1005)]]) is seen, "what verifies needs nobody"


def test_a_node_is_believed_of_its_own_head_where_others_say_otherwise() -> None:
    one, other = told(1005, "main/1004", "elsewhere")
    seen = insert(tree(chain(1000, 1004)), one, other)
    assert relation(seen, one, at(1002)) == Ahead(3)
    assert relation(seen, at(1002), one) == Behind(3)
    assert relation(seen, other, at(1002)) == Unlinked(3)
    assert relation(seen, one.ref, at(1002)) == Unlinked(3), "who shows no parent says nothing of it"
    assert (said_parent(seen, one), said_parent(seen, other)) == (at(1004), None)
    assert said_parent(seen, replace(one, number=1006)) is None
    assert said_parent(seen, one.ref) is None
    assert said_parent(seen, at(1004)) == said_parent(seen, at(1004).ref) == at(1003)
    above = header(1006, "above", parent=one.hash)
    assert isinstance(relation(insert(seen, above), above, at(1002)), Unlinked), "and of nobody else's"


def test_what_is_unlinked_for_a_contested_hash_alone_is_doubted() -> None:
    one, other = told(1005, "main/1004", "elsewhere")
    seen = insert(tree(chain(1000, 1004)), one, other)
    assert is_doubted(seen, one.ref, at(1002))
    assert is_doubted(seen, at(1002), one.ref)
    assert not is_doubted(seen, one, at(1002)), "linked"
    assert not is_doubted(seen, header(1005, "lone"), at(1002)), "unlinked, and nobody disputes it"
    assert not is_doubted(insert(seen, header(1008, "lone")), header(1008, "lone"), one.ref), "the walk ends elsewhere"


def test_a_contested_hash_cuts_off_itself_and_nobody_else() -> None:
    one, other = told(1005, "main/1004", "elsewhere")
    seen = insert(tree(MAIN[:15]), one, other)
    assert parent(seen, one) is None
    assert parent(seen, at(1004)) == at(1003)
    assert relation(seen, at(1004), at(1000)) == Ahead(4)
    assert relation(seen, at(1000).ref, at(1004).ref) == Behind(4)
    above = header(1006, "above", parent=one.hash)
    assert relation(insert(seen, above), above, one) == Ahead(1)
    assert relation(insert(seen, above), above, at(1004)) == Unlinked(2)


@pytest.mark.parametrize("below", [BACKFILL - 1, BACKFILL, BACKFILL + 1, BACKFILL + 2, BACKFILL + 3, 10_000])
def test_heights_farther_apart_than_all_headers_reach_are_unlinked_without_a_walk(below: int) -> None:
    seen = tree(chain(1000, 1010))
    low = header(1000 - below, "unknown")
    assert relation(seen, at(1010), low) == Unlinked(10 + below)
    assert relation(seen, low, at(1010)) == Unlinked(-10 - below)
    assert is_bridgeable(seen, at(1010), low) is (below <= BACKFILL)
    assert bool(missing(seen, [at(1010), low])) is (below <= BACKFILL)
    assert apart(seen, at(1010), low) == 0


def test_a_chain_that_is_known_whole_is_linked_however_long_it_is() -> None:
    seen = tree(chain(1, 500))
    assert relation(seen, header(500), header(1)) == Ahead(499)
    assert relation(seen, header(1), header(500)) == Behind(499)
    # Not even the lowest block has to be in the tree: its child names it.
    assert relation(seen, header(500), header(0).ref) == Ahead(500)
