"""The truth rule as a whole: whatever one group says, in whatever order, for however long."""

from dataclasses import replace

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.chains import NOTHING, chain, header, name, node
from tests.support.lengths import at_length
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking, fails

from tocsin.chain.agreement import Circumstances, Decision, agree, agree_finalized, break_tie
from tocsin.chain.count import QUORUM_GROUPS
from tocsin.chain.dispute import Ruling
from tocsin.chain.groups import group_nodes
from tocsin.chain.tree import HeaderTree, Window, insert, missing, prune, relation
from tocsin.engine.codec import encode_state
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef, Header
from tocsin.model.event import Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, SAFE, Part
from tocsin.model.view import Agreement, Ahead, Behind, Level
from tocsin.testing import ChainSpec, SimChain, SimNode

FIRST = 100
HONEST = chain(FIRST, FIRST + 400, "honest")
TRUE = {block.hash for block in HONEST}
LIARS = ("L1", "L2")


class Truth(RuleBasedStateMachine):
    """An honest majority of groups, one group that lies, and a quorum counted after each move."""

    @initialize(
        honest=st.integers(2, 4), twins=st.booleans(), clients=st.sampled_from(["", "geth"]), raised=st.booleans()
    )
    def begin(self, honest: int, twins: bool, clients: str, raised: bool) -> None:  # noqa: FBT001
        self.honest = [f"H{at}" for at in range(honest)]
        liars = LIARS if twins else LIARS[:1]
        nodes = [node(label, client=clients) for label in self.honest]
        nodes += [node(label, "liar", client="besu") for label in liars]
        self.groups = group_nodes(nodes)
        self.raised = raised
        self.tip = FIRST
        self.tree = insert(HeaderTree(), HONEST[0])
        self.shown: dict[str, str] = dict.fromkeys((*self.honest, *liars), HONEST[0].hash)
        self.finals: dict[str, BlockRef] = {}
        self.agreement: Agreement = NOTHING
        self.finalized: Agreement = NOTHING
        self.liars = list(liars)
        self.lies = 0

    # -- the honest ones

    @rule(more=st.integers(1, 5))
    def the_chain_grows(self, more: int) -> None:
        self.tip = min(FIRST + 400, self.tip + more)

    @rule(data=st.data(), behind=st.integers(0, 6))
    def an_honest_node_is_polled(self, data: st.DataObject, behind: int) -> None:
        label = data.draw(st.sampled_from(self.honest))
        self.show(label, HONEST[max(0, self.tip - FIRST - behind)])
        self.finals[label] = HONEST[max(0, self.tip - FIRST - 64)].ref

    @rule()
    def all_honest_nodes_are_polled(self) -> None:
        for label in self.honest:
            self.show(label, HONEST[self.tip - FIRST])

    @rule(data=st.data())
    def an_honest_node_falls_silent(self, data: st.DataObject) -> None:
        self.shown.pop(data.draw(st.sampled_from(self.honest)), None)

    # -- the liar

    @rule(data=st.data(), base=st.integers(0, 400), ahead=st.integers(1, 40))
    def a_liar_shows_a_branch_of_its_own(self, data: st.DataObject, base: int, ahead: int) -> None:
        self.lies += 1
        below = HONEST[min(base, self.tip - FIRST)]
        branch = chain(below.number + 1, below.number + ahead, f"lie {self.lies}", after=below.hash)
        self.tree = insert(self.tree, *branch)
        self.show(data.draw(st.sampled_from(self.liars)), branch[-1])

    @rule(data=st.data(), number=st.integers(0, 10**9))
    def a_liar_shows_what_links_to_nothing(self, data: st.DataObject, number: int) -> None:
        self.lies += 1
        self.show(data.draw(st.sampled_from(self.liars)), header(number, f"phantom {self.lies}"))

    @rule(data=st.data(), back=st.integers(0, 400))
    def a_liar_tells_the_truth_of_another_day(self, data: st.DataObject, back: int) -> None:
        self.show(data.draw(st.sampled_from(self.liars)), HONEST[max(0, self.tip - FIRST - back)])

    @rule(data=st.data(), number=st.integers(FIRST, FIRST + 400))
    def a_liar_finalizes_something_else(self, data: st.DataObject, number: int) -> None:
        label = data.draw(st.sampled_from(self.liars))
        self.finals[label] = BlockRef(number=number, hash=name(f"final lie {number}"))

    @rule()
    def the_liars_fall_silent(self) -> None:
        for label in self.liars:
            self.shown.pop(label, None)

    # -- the counting

    def show(self, label: str, head: Header) -> None:
        self.tree = insert(self.tree, head)
        self.shown[label] = head.hash

    @rule()
    def the_back_fill_brings_what_lacks(self) -> None:
        known = {block.hash: block for block in HONEST}
        for _ in range(64):
            lacking = missing(self.tree, [self.tree.headers[head] for head in self.shown.values()])
            found = [known[gap.hash] for gap in lacking if gap.hash in known]
            if not found:
                return
            self.tree = insert(self.tree, *found)

    @rule()
    def old_headers_are_dropped(self) -> None:
        held = self.agreement.block
        keep = [*self.shown.values(), *([held.hash] if held is not None else [])]
        self.tree = prune(self.tree, keep=keep, anchor=self.tip, window=Window(depth=80, reach=200, cap=400))

    @rule(data=st.data(), overdue=st.booleans())
    def votes_are_counted(self, data: st.DataObject, overdue: bool) -> None:  # noqa: FBT001
        late = set(self.shown) if overdue else set()
        how = Circumstances(overdue=late, raised=self.raised)
        before = self.agreement
        decision = agree(self.tree, self.shown, self.groups, before, 1, how)
        order = data.draw(st.permutations(sorted(self.shown)))
        shuffled = agree(self.tree, {label: self.shown[label] for label in order}, self.groups, before, 1, how)
        assert shuffled == decision, "the order of votes leaves no trace"
        self.check_move(before, decision)
        self.agreement = decision.agreement
        if decision.agreement.grade is Grade.SPLIT:
            out = tuple(data.draw(st.lists(st.sampled_from(sorted(self.shown)), unique=True)))
            ruling = Ruling(by="trusted", out=out, why="a made-up ruling")
            broken = break_tie(decision, [ruling], self.tree, self.shown, self.groups, before, 1, how)
            assert broken.agreement.grade is not Grade.QUORUM, "a broken tie is no quorum"
            assert (broken.agreement.explanation == decision.agreement.explanation) == (broken == decision)
            self.check_supported(before, broken)

    def check_move(self, before: Agreement, decision: Decision) -> None:
        block = decision.agreement.block
        if block is None:
            return
        assert block.hash in TRUE, "one lying group never moves the agreed head off the honest chain"
        assert block.number <= max(self.tip, FIRST)
        if before.block is not None:
            assert block.number >= before.block.number
            assert decision.reorg is None
        self.check_supported(before, decision)

    def check_supported(self, before: Agreement, decision: Decision) -> None:
        """A head that moved is one that at least two groups have at or below what they show."""
        block = decision.agreement.block
        if block is None or (before.block is not None and before.block.hash == block.hash):
            return
        stands = {label: relation(self.tree, self.tree.headers[shown], block) for label, shown in self.shown.items()}
        having = {label for label, found in stands.items() if isinstance(found, Level | Ahead)}
        groups = sum(2 * len(having & set(group.nodes)) > len(group.nodes) for group in self.groups.groups)
        assert groups >= QUORUM_GROUPS, "the agreed head never follows fewer than two groups"

    @rule()
    def finals_are_counted(self) -> None:
        before = self.finalized
        self.finalized = agree_finalized(self.tree, self.finals, self.groups, before, 1).agreement
        block = self.finalized.block
        if block is not None:
            assert block.hash in TRUE
            assert before.block is None or block.number >= before.block.number

    # -- what always holds

    @invariant()
    def who_says_nothing_is_no_vote(self) -> None:
        if not hasattr(self, "agreement"):
            return
        assert self.agreement.votes <= self.agreement.voting_groups <= len(self.groups.groups)

    @invariant()
    def honest_nodes_are_not_taken_for_others(self) -> None:
        if not hasattr(self, "agreement") or self.agreement.block is None:
            return
        for label in self.honest:
            head = self.tree.headers.get(self.shown.get(label, ""))
            if head is None:
                continue
            found = relation(self.tree, head, self.agreement.block)
            if not isinstance(found, Level | Ahead | Behind):
                # Only headers that were dropped or never fetched may lack; a fork it is never.
                assert type(found).__name__ == "Unlinked"


TestTruth = Truth.TestCase
TestTruth.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestTruthAtLength = at_length(Truth, examples=120, steps=40)


# -- through the whole core


def made_up(pool: Ticking, ahead: int) -> Answer:
    """A node of another chain with the same id, at about the same height."""
    history = max(1, pool.chain.branch().head.number + ahead)
    stranger = SimNode(SimChain(pool.clock, replace(pool.chain.spec, seed=77, history=history)), name="x", delay_ns=0)
    return lambda _node, request: stranger.answer(request)


def echo_of(pool: Ticking, slots: int) -> Answer:
    """A node that is so many slots late."""
    late = SimNode(pool.chain, name="x", delay_ns=slots * pool.settings.chains[0].block_time_ns)
    return lambda _node, request: late.answer(request)


def forked(pool: Ticking) -> Answer:
    if "bad" not in pool.chain.branches:
        pool.chain.fork("bad")
    other = SimNode(pool.chain, name="x", delay_ns=0)
    other.view.branch = "bad"
    return lambda _node, request: other.answer(request)


ATTACKS = st.sampled_from(["truth", "silent", "far ahead", "near", "behind", "late", "forked", "garbage"])


def attack(pool: Ticking, kind: str, honest: Answer) -> Answer:
    match kind:
        case "silent":
            return fails()
        case "far ahead":
            return made_up(pool, 30_000_000 % 100_000)
        case "near":
            return made_up(pool, 2)
        case "behind":
            return made_up(pool, -30)
        case "late":
            return echo_of(pool, 20)
        case "forked":
            return forked(pool)
        case "garbage":
            return lambda _node, _request: b"\x00{"
        case _:
            return honest


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(ATTACKS, ATTACKS, st.integers(1, 12)), min_size=1, max_size=5), st.booleans())
def test_no_attack_of_one_group_evicts_an_honest_node_or_moves_the_head(
    script: list[tuple[str, str, int]],
    fast: bool,  # noqa: FBT001
) -> None:
    slot_ns = 10**9 // 2 if fast else 12 * 10**9
    base = settings_for(("a", "b", "liar", "liar"))
    pool = Ticking(
        replace(base, chains=(replace(base.chains[0], block_time_ns=slot_ns),)), spec=ChainSpec(slot_ns=slot_ns, seed=4)
    )
    pool.rounds(6)
    honest = pool.answers["n0"]
    for first, second, rounds in script:
        pool.answers["n2"], pool.answers["n3"] = attack(pool, first, honest), attack(pool, second, honest)
        pool.rounds(rounds)
        head = pool.state.chains["sim"].head
        main = {block.hash for block in pool.chain.branch().blocks}
        assert head.block is not None
        assert head.block.hash in main
        assert head.grade is Grade.QUORUM
    accused = {who for _, who, _ in pool.fired()} - {"n2", "n3"}
    assert accused <= {"sim"}
    of_the_chain = {detector for detector, who, _ in pool.fired() if who == "sim"} - {"provider.unreachable"}
    assert of_the_chain <= {"chain.finality_violation"}
    outages = {dict(alert.labels)["provider"] for alert in pool.alerts if alert.detector == "provider.unreachable"}
    assert outages <= {"liar"}


def junk(salt: str, number: int, parent: str) -> bytes:
    return orjson.dumps(
        {
            "number": hex(number),
            "hash": name(salt),
            "parentHash": parent,
            "timestamp": hex(1_700_000_000 + 12 * number),
            "stateRoot": name("state"),
            "baseFeePerGas": hex(number + 7),
            "gasUsed": "0x1",
            "gasLimit": "0x2",
        }
    )


@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from([10**8, 2 * 10**9, 12 * 10**9]),
    st.integers(0, 2**32),
    st.sampled_from([1, 3, 10**6]),
)
def test_whatever_all_nodes_send_for_ever_what_is_kept_stays_bounded(slot_ns: int, seed: int, stride: int) -> None:
    base = settings_for(("a", "b", "c"))
    pool = Ticking(replace(base, chains=(replace(base.chains[0], block_time_ns=slot_ns),)))
    sizes = []
    last = {label: name("start") for label in pool.nodes}
    for at in range(400):
        for position, label in enumerate(pool.nodes):
            salt = f"{seed}/{at // 2 if position else at}/{position % (1 + at % 3)}"
            number = 1000 + stride * (at * 7919 % 97 if at % 5 else at)
            latest = junk(salt, number, last[label])
            final = junk(salt + "f", max(0, number - 64), name("x"))
            last[label] = name(salt)
            parts = (
                Part(call=CHAIN_ID, result=b'"0x539"'),
                Part(call=LATEST, result=latest),
                Part(call=SAFE, result=final),
                Part(call=FINALIZED, result=final),
            )
            pool.take(Polled(t_ns=pool.now, started_ns=pool.now, chain="sim", node=label, poll=at, parts=parts))
        pool.tick()
        pool.pending.clear()
        pool.clock.advance(s=2)
        if at % 100 == 99:
            sizes.append(len(encode_state(pool.state)))
    kept = pool.state.chains["sim"]
    assert len(kept.tree.headers) <= 2048 + 2 * 64
    assert len(kept.breaches) <= 256
    assert len(kept.conflicts) <= len(pool.nodes) + 1
    assert len(kept.fees) <= 121
    assert len(kept.trail) <= 32
    assert len(kept.sought) <= 512
    assert max(sizes) < 2_500_000
