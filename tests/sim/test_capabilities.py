"""What a node can answer is found out in few questions, kept through restarts, and looked at again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from tests.support.pool import Pool, settings_for

from tocsin.clock import NS
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.status import status
from tocsin.model.effect import Fetch, StateChanged
from tocsin.model.event import Event, Fetched, Polled
from tocsin.model.observation import Fault, FaultKind, Part, RpcError, RpcErrorKind, hash_of, number_of
from tocsin.model.question import CLIENT_VERSION, PEERS, TXPOOL, Ability, asked
from tocsin.model.traits import Capabilities, Reach
from tocsin.mqtt.models import Node
from tocsin.testing import ChainSpec

LEARNT_S = 300


class Trials(Pool):
    """A pool that is asked its slow questions as well, and counts the trials of each node."""

    def __post_init__(self) -> None:
        self.trials: Counter[str] = Counter()
        self.way: Fault | None = None
        self.limited: Callable[[Fetch], bool] = lambda _: False
        super().__post_init__()

    def _poll(self, name: str, calls: tuple[str, ...]) -> Polled:
        return super()._poll(name, (*calls, CLIENT_VERSION, PEERS, TXPOOL) if self.polls % 30 == 1 else calls)

    def _fetch(self, effect: Fetch) -> Fetched:
        event = super()._fetch(effect)
        if self.limited(effect):
            error = RpcError(kind=RpcErrorKind.RATE_LIMITED, code=-32005, message="x")
            return replace(event, part=Part(call=effect.call, error=error))
        return event if self.way is None else replace(event, part=None, fault=self.way)

    def take(self, event: Event) -> None:
        before = len(self.pending)
        super().take(event)
        for effect in self.pending[before:]:
            if hash_of(effect.call) is None and number_of(effect.call) is None:
                self.trials[effect.node] += 1

    def run(self, seconds: float) -> None:
        self.rounds(round(seconds * NS / self.settings.chains[0].poll_ns))

    def known(self, name: str = "n0") -> Capabilities:
        return self.state.chains["sim"].nodes[name].capabilities

    def reach(self, ability: Ability, name: str = "n0") -> Reach:
        return self.known(name).reach[ability]


@pytest.fixture
def pool() -> Trials:
    return Trials(settings_for(("self", "x")), spec=ChainSpec(history=3000, transactions=2))


@pytest.fixture
def slow_pool() -> Trials:
    """The same polled once a block, for what takes hours."""
    settings = settings_for(("self", "x"), poll_s=12)
    return Trials(settings, spec=ChainSpec(history=3000, transactions=2), late_ticks=0)


@pytest.mark.parametrize("kept", [0, 1, 63, 64, 127, 128, 900, 1023, 2500])
def test_the_depth_of_state_is_found_to_an_eighth(pool: Trials, kept: int) -> None:
    pool.nodes["n0"].data.state = kept
    pool.run(LEARNT_S)
    reach = pool.reach(Ability.STATE)
    assert reach.depth is not None
    assert kept - max(1, kept // 8) - 1 <= reach.depth <= kept
    assert not reach.whole
    assert reach.tries == 1


def test_an_archive_is_known_as_whole_by_its_first_block_and_not_by_its_genesis(pool: Trials) -> None:
    pool.nodes["n0"].data.state = None
    pool.run(LEARNT_S)
    assert pool.reach(Ability.STATE).whole
    assert pool.reach(Ability.HEADERS).whole
    assert pool.reach(Ability.RECEIPTS).whole


def test_proofs_at_the_head_alone_are_a_depth_of_zero(pool: Trials) -> None:
    pool.nodes["n0"].data.proofs = 0
    pool.run(LEARNT_S)
    assert pool.reach(Ability.PROOFS).depth == 0


def test_a_missing_method_is_remembered_and_asked_again_after_hours_only(slow_pool: Trials) -> None:
    slow_pool.nodes["n0"].data.missing = {"eth_getProof"}
    slow_pool.run(4 * LEARNT_S)
    assert slow_pool.reach(Ability.PROOFS) == Reach(missing=True, tries=1)
    slow_pool.run(3600)
    assert slow_pool.reach(Ability.PROOFS).tries == 1
    assert slow_pool.said() == []


def test_empty_accounts_of_besu_beyond_its_history_are_no_state(pool: Trials) -> None:
    node = pool.nodes["n0"]
    node.client, node.data.state, node.data.balance_when_pruned = "besu/v24.1.1/linux", 500, 0
    pool.run(LEARNT_S)
    assert pool.reach(Ability.STATE).depth in range(430, 501)


def test_pins_are_believed_where_a_hash_of_no_block_is_refused(pool: Trials) -> None:
    first, second = pool.nodes["n0"].data, pool.nodes["n1"].data
    first.pins_object, first.pins_hash = True, False
    second.pins_object, second.pins_hash, second.pins_anything = True, True, True
    pool.run(LEARNT_S)
    assert pool.known("n0").pins == {Ability.PIN_OBJECT: True, Ability.PIN_HASH: False}
    assert pool.known("n1").pins == {Ability.PIN_OBJECT: False, Ability.PIN_HASH: False}


def test_what_a_node_offers_is_tried_first_and_believed_only_then(pool: Trials) -> None:
    claim = pool.nodes["n0"].view.head().number - 700
    for name, kept in (("n0", 750), ("n1", 100)):
        data = pool.nodes[name].data
        data.state = kept
        data.offers = {"state": {"disabled": False, "oldestBlock": hex(claim)}, "receipts": {"disabled": True}}
    pool.run(LEARNT_S)
    assert pool.known("n0").offered == {Ability.STATE: claim}
    assert pool.reach(Ability.STATE, "n0").depth in range(700, 731)
    assert pool.reach(Ability.STATE, "n1").depth in range(86, 101)


def test_learning_costs_little_and_watching_less(slow_pool: Trials) -> None:
    slow_pool.run(4 * LEARNT_S)
    learnt = slow_pool.trials["n0"]
    assert learnt <= 40
    slow_pool.run(2 * 3600)
    assert slow_pool.trials["n0"] - learnt <= 720 // 12


def test_a_depth_that_is_lost_is_found_lost_within_two_looks_and_restored_again(pool: Trials) -> None:
    pool.run(LEARNT_S)
    assert pool.reach(Ability.STATE).best == pool.reach(Ability.STATE).depth
    pool.nodes["n0"].data.state = 10
    pool.run(700)
    lost = pool.reach(Ability.STATE)
    assert lost.depth is not None
    assert lost.depth <= 10
    assert lost.lost_ns is not None
    pool.nodes["n0"].data.state = 127
    pool.run(700)
    back = pool.reach(Ability.STATE)
    assert back.lost_ns is None
    assert back.depth in range(112, 128)


def test_a_node_that_gathers_history_is_found_to_reach_further(slow_pool: Trials) -> None:
    slow_pool.nodes["n0"].data.state = 64
    slow_pool.run(4 * LEARNT_S)
    slow_pool.nodes["n0"].data.state = 500
    slow_pool.run(2 * 3600)
    assert slow_pool.reach(Ability.STATE).depth in range(437, 501)


def test_what_was_shorter_for_a_day_is_what_the_node_has(slow_pool: Trials) -> None:
    slow_pool.run(4 * LEARNT_S)
    slow_pool.nodes["n0"].data.state = 10
    for _ in range(28):
        slow_pool.run(120)
        slow_pool.clock.advance(s=3480)
    reach = slow_pool.reach(Ability.STATE)
    assert reach.lost_ns is None
    assert reach.best == reach.depth


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT, FaultKind.RATE_LIMITED, FaultKind.NOT_JSON])
def test_what_fails_on_the_way_says_nothing(slow_pool: Trials, kind: FaultKind) -> None:
    slow_pool.run(4 * LEARNT_S)
    before = slow_pool.known()
    slow_pool.way = Fault(kind=kind, detail="x")
    slow_pool.run(1800)
    assert slow_pool.known() == before


def test_nothing_is_asked_of_a_node_that_is_not_well(slow_pool: Trials) -> None:
    slow_pool.answers["n0"] = lambda _node, _request: Fault(kind=FaultKind.TIMEOUT, detail="x")
    slow_pool.run(3600)
    assert slow_pool.trials["n0"] == 0
    assert slow_pool.trials["n1"] > 0


def test_a_survey_survives_a_restart_in_the_middle(pool: Trials) -> None:
    pool.run(60)
    assert any(survey.call or survey.stage for survey in pool.state.chains["sim"].surveys.values())
    pool.pending.clear()
    snapshot = encode_state(pool.state)
    pool.state = decode_state(snapshot)
    assert encode_state(pool.state) == snapshot
    pool.run(LEARNT_S)
    assert pool.reach(Ability.STATE).depth in range(112, 128)


def test_a_late_or_unasked_answer_changes_nothing(pool: Trials) -> None:
    pool.run(LEARNT_S)
    before = pool.known()
    effect = Fetch(request=10**6, chain="sim", node="n0", call=f"{Ability.STATE}:5")
    pool.take(pool._fetch(effect))
    pool.tick()
    assert pool.known() == before


def test_the_first_questions_of_many_nodes_are_spread() -> None:
    pool = Trials(settings_for(["p"] * 12))
    began: dict[str, int] = {}
    for _ in range(60):
        pool.round()
        for name in pool.trials:
            began.setdefault(name, pool.now)
    assert len(set(began.values())) > 6


def test_what_was_learnt_is_published_once_and_shown_in_the_status(pool: Trials) -> None:
    pool.keep_events = True
    pool.chain.halt("main")
    pool.run(LEARNT_S)
    documents = [effect for effect in pool.effects if isinstance(effect, StateChanged) and effect.topic.endswith("/n0")]
    shown = [Node.model_validate_json(orjson.dumps(effect.document)) for effect in documents]
    assert len(documents) <= 15  # states, the version, and one for each ability
    newest = shown[-1]
    assert newest.client == "tocsin-sim/v1.0.0"
    assert newest.capabilities is not None
    assert set(newest.capabilities.reach) == {"state", "proofs", "headers", "receipts"}
    assert newest.capabilities.pins == {"pin-object": True, "pin-hash": False}
    [chain] = status(pool.state, pool.now)["chains"]  # type: ignore[misc]
    row = chain["nodes"][0]  # type: ignore[index]
    assert row["capabilities"]["reach"]["state"]["depth"] in range(112, 128)
    assert (row["peers"], row["pending"]) == (25, 150)


def test_old_proofs_are_never_asked_for(pool: Trials) -> None:
    pool.nodes["n0"].data.proofs = None
    pool.keep_events = True
    pool.run(LEARNT_S)
    heights = [asked(effect.call) for effect in pool.effects if isinstance(effect, Fetch) and effect.node == "n0"]
    proofs = [
        where for trial in heights if trial is not None for ability, where in [trial] if ability == Ability.PROOFS
    ]
    head = pool.nodes["n0"].view.head().number
    assert proofs
    assert min(head if where == "latest" else int(where) for where in proofs) >= head - 160
    assert pool.reach(Ability.PROOFS).depth == 127


def test_a_question_that_hits_a_rate_limit_is_left_alone_for_hours(slow_pool: Trials) -> None:
    data = slow_pool.nodes["n0"].data
    data.state = None
    slow_pool.run(4 * LEARNT_S)

    def limited(effect: Fetch) -> bool:
        return effect.call.startswith(f"{Ability.PROOFS}:")

    slow_pool.limited = limited
    before = slow_pool.trials["n0"]
    slow_pool.keep_events = True
    slow_pool.run(3600)
    hit = [
        effect for effect in slow_pool.effects if isinstance(effect, Fetch) and limited(effect) and effect.node == "n0"
    ]
    assert len(hit) == 1
    assert slow_pool.trials["n0"] > before
