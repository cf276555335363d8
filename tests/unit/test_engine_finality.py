"""Finality through the whole core: what two groups revoke is told however deep it is, what one says alone is less."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking, at_pace, nothing

from tocsin.clock import NS
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.finality import AGAIN_POLLS, REVOKED, TRIES
from tocsin.engine.state import ChainState
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.effect import AlertChanged
from tocsin.model.event import Commanded, Event, Fetched
from tocsin.model.observation import FINALIZED, Part, number_of
from tocsin.testing import ChainSpec, SimChain, SimNode

VIOLATION = "chain.finality_violation"
AWAY_S = 12 * 300
"""For which the watchdog is away: 300 blocks, more than the tree keeps of any gap."""


def chain_of(pool: Ticking) -> ChainState:
    return pool.state.chains["sim"]


def final(pool: Ticking) -> BlockRef:
    block = chain_of(pool).finalized.block
    assert block is not None
    return block


def away(providers: str = "abc", *, revokes: bool, answers: Callable[[Fetched], Fetched] | None = None) -> Ticking:
    """A pool whose finalized block has moved by 300 blocks while nobody looked, on its branch or on another one."""
    pool = Ticking(settings_for(tuple(providers)), spec=ChainSpec(history=400), keep_events=True)
    pool.rounds(20)
    pool.answers_fetch = answers
    pool.asked.clear()
    if revokes:
        pool.chain.reorg(200)
    pool.restart(down_s=AWAY_S)
    pool.chain.stall_finality()  # so that one move is asked about, and not one in every slot
    return pool


def asked_by_number(pool: Ticking) -> list[str]:
    return [effect.node for effect in pool.asked if number_of(effect.call) is not None]


def other_block(*nodes: str) -> Callable[[Fetched], Fetched]:
    """What a fetch by height brings where these nodes show a block of another chain."""

    def answer(event: Fetched) -> Fetched:
        number = number_of(event.call)
        if event.node not in nodes or number is None or event.part is None:
            return event
        stranger = SimChain(LIARS.clock, replace(LIARS.chain.spec, seed=99))
        return replace(event, part=replace(event.part, result=orjson.dumps(stranger.branch().blocks[number].head())))

    return answer


LIARS = Ticking(settings_for(("a",)), spec=ChainSpec(history=400))


# -- finality that was revoked deeper than headers are kept


def test_a_finalized_block_that_was_replaced_while_nobody_looked_is_a_violation() -> None:
    pool = away(revokes=True)
    held = chain_of(pool).finality.rooted
    assert held is not None
    pool.rounds(12)
    assert (VIOLATION, "sim", "critical") in pool.fired()
    finalized = chain_of(pool).finalized
    assert (finalized.block, finalized.grade, finalized.explanation) == (held, Grade.SPLIT, REVOKED)
    [alert] = [alert for alert in pool.alerts if alert.detector == VIOLATION]
    conflicts = alert.evidence["conflicts"]
    assert {one["block"]["number"] for one in conflicts} == {held.number}  # type: ignore[attr-defined]
    assert len({one["node"] for one in conflicts}) == 2  # type: ignore[attr-defined]
    assert alert.block == held


def test_a_finalized_block_that_still_stands_closes_the_question_with_two_answers() -> None:
    pool = away(revokes=False)
    held = final(pool)
    pool.rounds(5)
    assert final(pool).number > held.number + 200
    assert chain_of(pool).finality.question is None
    assert len(asked_by_number(pool)) == 2
    assert len(set(asked_by_number(pool))) == 2
    assert VIOLATION not in {detector for detector, _, _ in pool.fired()}
    assert chain_of(pool).finalized.grade is Grade.QUORUM


def test_a_question_that_nobody_answers_stays_open_in_sight_and_is_asked_a_few_times() -> None:
    pool = away(revokes=True, answers=lambda event: nothing(event) if number_of(event.call) else event)
    pool.rounds(10)
    assert VIOLATION not in {detector for detector, _, _ in pool.fired()}
    finalized = chain_of(pool).finalized
    assert finalized.grade is Grade.UNCORROBORATED
    assert "not known to stand on block" in finalized.explanation
    row = status(pool.state, pool.now)["chains"][0]  # type: ignore[index]
    assert (row["finalized_grade"], row["finalized_explanation"]) == ("uncorroborated", finalized.explanation)
    pool.rounds(4 * AGAIN_POLLS)
    assert len(asked_by_number(pool)) == TRIES * 3, "each of the three, as often as it is tried for one move"
    pool.answers_fetch = None
    pool.chain.resume_finality()
    pool.rounds(2 * AGAIN_POLLS)
    assert (VIOLATION, "sim", "critical") in pool.fired(), "the next move asks again"


def test_one_group_that_shows_another_block_is_outvoted_by_the_two_that_have_the_old_one() -> None:
    pool = away("abcd", revokes=False, answers=other_block("n0"))
    pool.rounds(30)
    assert chain_of(pool).finality.question is None
    assert len(asked_by_number(pool)) == 3
    assert chain_of(pool).finalized.grade is Grade.QUORUM
    assert (VIOLATION, "sim", "critical") not in pool.fired()


def test_of_two_groups_one_that_shows_another_block_is_a_warning_and_leaves_the_question_open() -> None:
    pool = away("ab", revokes=False, answers=other_block("n1"))
    pool.rounds(30)
    assert [one for one in pool.fired() if one[0] == VIOLATION] == [(VIOLATION, "sim", "warning")]
    assert chain_of(pool).finalized.grade is Grade.UNCORROBORATED
    pool.answers_fetch = None
    pool.rounds(3 * AGAIN_POLLS)
    assert (VIOLATION, "sim") not in pool.open()
    assert chain_of(pool).finalized.grade is Grade.QUORUM


def test_two_nodes_of_one_provider_are_one_answer() -> None:
    pool = away("aab", revokes=False, answers=other_block("n0", "n1"))
    pool.rounds(30)
    assert (VIOLATION, "sim", "critical") not in pool.fired()


def test_a_node_that_is_silent_is_replaced_by_another_group() -> None:
    pool = away("abc", revokes=True)
    pool.answers_fetch = lambda event: nothing(event) if event.node == "n0" else event
    pool.rounds(12)
    assert (VIOLATION, "sim", "critical") in pool.fired()


@pytest.mark.parametrize("revokes", [True, False])
def test_a_snapshot_while_the_question_is_asked_goes_on_alike(revokes: bool) -> None:  # noqa: FBT001
    pool = away(revokes=revokes)
    seen = False
    for _ in range(12):
        pool.round()
        copy = decode_state(encode_state(pool.state))
        assert encode_state(copy) == encode_state(pool.state)
        seen = seen or bool(asked_by_number(pool))
        pool.state = copy
    assert seen
    assert ((VIOLATION, "sim", "critical") in pool.fired()) is revokes


def test_the_answers_are_events_so_that_a_replay_says_the_same() -> None:
    live = away(revokes=True)
    live.rounds(12)
    state, effects = Ticking(live.settings).state.__class__(), []
    for event in live.events:
        # The restart in between went through a snapshot.
        done = step(state, event)
        state = done.state
        effects += [effect for effect in done.effects if isinstance(effect, AlertChanged)]
    assert VIOLATION in {effect.alert.detector for effect in effects}
    assert encode_state(state) == encode_state(live.state)


def test_on_a_chain_faster_than_its_polls_a_question_is_rare() -> None:
    settings = at_pace(settings_for(("a", "b", "c")), NS // 4)
    pool = Ticking(settings, spec=ChainSpec(slot_ns=NS // 4, history=400))
    pool.rounds(10)
    begun = set()
    for _ in range(4 * AGAIN_POLLS):
        pool.round()
        begun.add(chain_of(pool).finality.next_ns)
    assert 3 <= len(begun) <= 5, "once in thirty polls"
    assert pool.chain.branch().head.number - final(pool).number < 100, "and what is final is followed all the time"
    assert chain_of(pool).finalized.grade is Grade.QUORUM
    assert pool.alerts == []


def test_a_fast_chain_that_revokes_finality_is_told_of_within_a_minute() -> None:
    settings = at_pace(settings_for(("a", "b", "c")), NS // 4)
    pool = Ticking(settings, spec=ChainSpec(slot_ns=NS // 4, history=400))
    pool.rounds(10)
    pool.chain.reorg(300)
    pool.rounds(AGAIN_POLLS + 5)
    assert (VIOLATION, "sim", "critical") in pool.fired()


def test_what_was_revoked_is_called_split_while_the_new_chain_is_still_lower() -> None:
    """A chain that lost its finality begins lower: nobody stands for the block that was final."""
    pool = linked("abc")
    held = final(pool)
    pool.chain.rollback(34)
    seen = []
    for _ in range(60):
        pool.round()
        if chain_of(pool).finality.revoked:
            seen.append((chain_of(pool).finalized.grade, final(pool).number >= held.number))
    assert len(seen) > 40
    assert set(seen) == {(Grade.SPLIT, True)}
    assert (VIOLATION, "sim", "critical") in pool.fired()


# -- who acknowledges lets it go


def acknowledged(pool: Ticking) -> None:
    [alert] = {alert.fingerprint for alert in pool.alerts if alert.detector == VIOLATION}
    args = (("fingerprint", alert), ("why", "seen"))
    pool.take(Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb="ack", args=args, by="me"))


def test_after_the_ack_what_is_final_is_counted_anew() -> None:
    pool = away(revokes=True)
    held = final(pool)
    pool.rounds(60)
    assert final(pool).number <= held.number
    assert (VIOLATION, "sim") in pool.open()
    acknowledged(pool)
    pool.rounds(12)
    assert final(pool).number > held.number + 200
    assert chain_of(pool).finalized.grade is Grade.QUORUM
    assert (VIOLATION, "sim") not in pool.open()


# -- one group alone


def lying_final(pool: Ticking, *, number: int | None = None) -> Answer:
    """A node that calls another block than all others final."""

    def answer(node: SimNode, request: bytes) -> bytes:
        answers = orjson.loads(node.answer(request))
        asked = orjson.loads(request)
        for call, entry in zip(asked, answers, strict=True) if isinstance(asked, list) else ():
            if "finalized" in str(call.get("params")):
                other = SimChain(pool.clock, replace(pool.chain.spec, seed=77, history=pool.chain.branch().head.number))
                at = int(entry["result"]["number"], 16) if number is None else number
                entry["result"] = other.branch().blocks[at].head()
        return orjson.dumps(answers)

    return answer


def test_one_liar_with_another_finalized_block_is_a_warning_that_ends_with_the_lie() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(20)
    honest, pool.answers["n2"] = pool.answers["n2"], lying_final(pool)
    pool.rounds(14)
    assert [one for one in pool.fired() if one[0] == VIOLATION] == [(VIOLATION, "sim", "warning")]
    [alert] = [alert for alert in pool.alerts if alert.detector == VIOLATION]
    assert alert.grade is Grade.UNCORROBORATED
    pool.answers["n2"] = honest
    pool.rounds(40)
    assert (VIOLATION, "sim") not in pool.open()


@pytest.mark.parametrize("providers", ["ab", "abc", "aab"])
def test_a_liar_before_anything_was_agreed_raises_no_more_than_a_warning(providers: str) -> None:
    pool = Ticking(settings_for(tuple(providers)))
    pool.answers[f"n{len(providers) - 1}"] = lying_final(pool)
    pool.rounds(40)
    severities = {severity for detector, _, severity in pool.fired() if detector == VIOLATION}
    assert severities == {"warning"}


def test_two_providers_nodes_that_lie_alike_are_one_group_and_a_warning() -> None:
    pool = Ticking(settings_for(("a", "b", "l", "l")))
    pool.rounds(20)
    pool.answers["n2"] = pool.answers["n3"] = lying_final(pool)
    pool.rounds(14)
    assert {severity for detector, _, severity in pool.fired() if detector == VIOLATION} == {"warning"}


def test_two_groups_that_revoke_finality_are_critical_even_against_a_quorum() -> None:
    pool = linked("abcde")
    pool.answers["n3"] = pool.answers["n4"] = lying_final(pool)
    pool.rounds(14)
    assert (VIOLATION, "sim", "critical") in pool.fired()
    before = final(pool).number
    pool.rounds(12)
    assert final(pool).number > before, "three groups go on on the chain of what was final"
    assert (VIOLATION, "sim") in pool.open()


def test_two_groups_that_lie_each_in_its_own_way_bear_nothing_out() -> None:
    pool = Ticking(settings_for(("a", "b", "c", "d", "e")))
    pool.rounds(20)
    pool.answers["n3"], pool.answers["n4"] = lying_final(pool), lying_final(pool, number=30)
    pool.rounds(14)
    assert {severity for detector, _, severity in pool.fired() if detector == VIOLATION} <= {"warning"}


# -- links that come later


def linked(providers: str) -> Ticking:
    """A pool that has watched for longer than it takes a block to become final: all is linked."""
    settings = at_pace(settings_for(tuple(providers)), 2 * NS)
    pool = Ticking(settings, spec=ChainSpec(slot_ns=2 * NS, finalized_after=20))
    pool.rounds(40)
    return pool


def test_a_contradiction_that_headers_show_only_later_is_told_when_they_come() -> None:
    """The finalized block stands still, so that nothing but the link is new."""
    pool = linked("abc")
    pool.chain.stall_finality()
    pool.rounds(10)
    held = final(pool)
    branch = pool.chain.branch()
    fork = pool.chain.fork("bad", depth=branch.head.number - held.number + 3)
    above = fork.blocks[held.number + 5]
    shown = Part(call=FINALIZED, result=orjson.dumps(above.head()))

    def lies(node: SimNode, request: bytes) -> bytes:
        answers, asked = orjson.loads(node.answer(request)), orjson.loads(request)
        for call, entry in zip(asked, answers, strict=True) if isinstance(asked, list) else ():
            if "finalized" in str(call.get("params")):
                entry["result"] = orjson.loads(shown.result or b"")
        return orjson.dumps(answers)

    pool.answers["n2"] = lies
    pool.rounds(8)
    assert chain_of(pool).conflicts == (), "linked to nothing that is known"
    pool.nodes["n2"].view.branch = "bad"
    pool.rounds(40)
    assert {conflict.node for conflict in chain_of(pool).conflicts} == {"n2"}


def test_events_of_nodes_that_were_not_asked_change_nothing() -> None:
    pool = away(revokes=False, answers=nothing)
    pool.round()
    question = chain_of(pool).finality.question
    assert question is not None
    forged: Event = Fetched(t_ns=pool.now, chain="sim", node="n0", request=999_999, call="number:1")
    pool.take(forged)
    pool.tick()
    after = chain_of(pool).finality.question
    assert after is not None
    assert after.shown == question.shown
