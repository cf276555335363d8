"""Whatever fires, fails, is ordered or configured, in any order: a node's state follows the rules and never sticks."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.lengths import at_length

from tocsin.chain import nodelife
from tocsin.chain.nodelife import LEGAL, MUTE, STATE_OF_FLAG, Checks, LifeParams, NodeLife, NodeState
from tocsin.clock import NS

POLL = 2 * NS
PARAMS = LifeParams.for_poll(POLL)
FLAGS = (*STATE_OF_FLAG, "node.latency", "node.tag_order")
BAD = {*STATE_OF_FLAG.values(), NodeState.DEGRADED}

firing = st.sets(st.sampled_from(FLAGS), max_size=3)
checks = st.sampled_from([Checks(), Checks(), Checks(missing=("genesis",)), Checks(refuted="another finalized block")])


class Life(RuleBasedStateMachine):
    """One node under random alerts, polls, commands and reloads; every change is held against the table."""

    @initialize()
    def begin(self) -> None:
        self.life = NodeLife()
        self.flags: set[str] = set()
        self.checks = Checks()
        self.t = 0

    def become(self, life: NodeLife) -> None:
        before, self.life = self.life, life
        if life.state is before.state:
            assert life.since_ns == before.since_ns, "a state that stays is as old as it was"
            assert life.number in (before.number, before.number + 1)
            return
        assert life.state in LEGAL[before.state], (before.state, life.state)
        assert life.number == before.number + 1
        assert (life.since_ns, bool(life.reason)) == (self.t, True)
        if life.state is NodeState.HEALTHY:
            assert before.state in (NodeState.VERIFYING, NodeState.PROBATION)
            assert not self.flags, "nothing is healthy that something fires for"

    def look(self, *, polled_ok: bool | None) -> None:
        flags = dict.fromkeys(self.flags, "because")
        self.become(nodelife.advance(self.life, flags, polled_ok, self.t, PARAMS, self.checks))

    @rule(flags=firing)
    def alerts_change(self, flags: set[str]) -> None:
        self.flags = flags
        self.look(polled_ok=None)

    @rule(ok=st.sampled_from([True, True, True, False, None]), count=st.integers(1, 40))
    def polls(self, ok: bool | None, count: int) -> None:  # noqa: FBT001 - three-valued
        for _ in range(count):
            self.t += POLL
            self.look(polled_ok=ok)

    @rule(pause=st.sampled_from([1, POLL, 3600 * NS, 90_000 * NS]))
    def time_passes(self, pause: int) -> None:
        self.t += pause
        self.look(polled_ok=None)

    @rule(found=checks)
    def another_thing_is_found_in_verification(self, found: Checks) -> None:
        self.checks = found

    @rule(reason=st.sampled_from(["disk", "upgrade"]))
    def maintenance_begins(self, reason: str) -> None:
        self.become(nodelife.maintain(self.life, reason, self.t))
        assert (self.life.state, self.life.flags) == (NodeState.MAINTENANCE, ())

    @rule()
    def maintenance_ends(self) -> None:
        was = self.life.state
        self.become(nodelife.release(self.life, "over", self.t))
        assert self.life.state is (NodeState.VERIFYING if was is NodeState.MAINTENANCE else was)

    @rule()
    def another_process_answers(self) -> None:
        was = self.life.state
        self.become(nodelife.redial(self.life, "restarted", self.t))
        assert self.life.state is (NodeState.VERIFYING if was is NodeState.HEALTHY else was)

    @rule()
    def it_is_configured_no_longer_and_comes_back(self) -> None:
        relapses = self.life.relapses
        self.become(nodelife.close(self.life, "gone", self.t))
        closed = self.life
        self.look(polled_ok=True)
        assert self.life is closed, "nothing happens to what is closed"
        self.life = NodeLife(since_ns=self.t, relapses=relapses)

    @rule()
    def all_is_well_for_long(self) -> None:
        """From wherever it is, a node that is well for long enough is healthy, unless a person keeps it away."""
        self.flags, self.checks = set(), Checks()
        for _ in range(1 + 900 + 2):
            self.t += POLL
            self.look(polled_ok=True)
        assert self.life.state in (NodeState.HEALTHY, NodeState.MAINTENANCE)

    @invariant()
    def the_state_is_the_worst_flag(self) -> None:
        if self.life.state in BAD:
            assert not self.life.flags or self.life.state is STATE_OF_FLAG.get(
                self.life.flags[0][0], NodeState.DEGRADED
            )
        elif self.life.state is not NodeState.INIT:
            assert self.life.flags == ()

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.life.relapses) <= 8
        assert nodelife.probation_ns(self.life, self.t, PARAMS) <= PARAMS.probation_cap_ns
        assert (nodelife.probation_left_ns(self.life, self.t, PARAMS) is not None) == (
            self.life.state is NodeState.PROBATION
        )


def test_states_without_a_vote_are_those_that_a_person_or_an_accusation_explains() -> None:
    assert set(MUTE) == {NodeState.CORRUPT, NodeState.WRONG_CHAIN, NodeState.MAINTENANCE, NodeState.CLOSED}


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestLifeAtLength = at_length(Life, examples=80, steps=40)
