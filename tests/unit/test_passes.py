"""A full pass: each part alone, standing still, withholds it, and none that works does."""

import dataclasses

import pytest
from tests.support.pool import Pool, settings_for

from tocsin.clock import NS
from tocsin.engine.state import EngineState
from tocsin.model.evolve import evolve
from tocsin.model.selftest import SelfTest
from tocsin.runtime.passes import Outside, Passes

EVERY_S = 60


class Rig:
    """A watchdog of which each part can be stopped."""

    def __init__(self, *, broker: bool = True) -> None:
        settings = dataclasses.replace(settings_for(("a", "b")), self_test_ns=EVERY_S * NS)
        pool = Pool(settings)
        pool.rounds(1)
        self.state: EngineState = pool.state
        self.passes = Passes()
        self.broker = broker
        self.at_s = 0
        self.commits = self.sent = 0
        self.stopped: set[str] = set()

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.at_s += 1
            self._work()
            outside = Outside(commits=self.commits, sent=self.sent if self.broker else None)
            self.passes.look(self.state, outside, self.at_s * NS)

    def _work(self) -> None:
        chain = self.state.chains["sim"]
        if "poll" not in self.stopped:
            node = chain.nodes["n0"]
            chain = evolve(chain, nodes={**chain.nodes, "n0": evolve(node, polls=node.polls + 1)})
        if "look" not in self.stopped:
            chain = evolve(chain, tick=chain.tick + 1)
        self.state = evolve(self.state, chains={"sim": chain})
        if "tick" not in self.stopped:
            self.state = evolve(self.state, tick=self.state.tick + 1)
        self.commits += "commit" not in self.stopped
        if self.at_s % EVERY_S == 1:
            self.sent += "publish" not in self.stopped
            if "echo" not in self.stopped:
                self.state = evolve(self.state, self_test=SelfTest(echoed_ns=self.at_s * NS))

    @property
    def stale(self) -> tuple[str, ...]:
        return self.passes.stale(self.at_s * NS)


def test_a_pass_is_full_once_every_part_was_seen_to_work_and_stays_so() -> None:
    rig = Rig()
    rig.run(1)
    assert len(rig.stale) == 6
    rig.run(EVERY_S + 1)
    for _ in range(5 * EVERY_S):
        rig.run(1)
        assert rig.stale == ()


@pytest.mark.parametrize(
    ("part", "within_s", "said"),
    [
        ("poll", 76, "no poll of sim came back for"),
        ("look", 76, "sim was not looked at for"),
        ("tick", 16, "the watchdog has not looked at itself for"),
        ("commit", 16, "nothing was committed to disk for"),
        ("publish", 76, "the broker has taken no alert for"),
        ("echo", 76, "no self-test was heard back for"),
    ],
)
def test_one_part_that_stands_still_is_enough_and_is_named(part: str, within_s: int, said: str) -> None:
    rig = Rig()
    rig.run(3 * EVERY_S + 1)
    rig.stopped = {part}
    rig.run(within_s - 1)
    assert rig.stale == ()
    rig.run(1)
    [why] = rig.stale
    assert why.startswith(said)
    rig.stopped = set()
    rig.run(EVERY_S + 1)
    assert rig.stale == ()


@pytest.mark.parametrize("part", ["poll", "look", "tick", "commit", "publish", "echo"])
def test_a_part_that_never_worked_since_the_start_withholds_it_too(part: str) -> None:
    rig = Rig()
    rig.stopped = {part}
    rig.run(3 * EVERY_S)
    [why] = rig.stale
    assert why.endswith(" yet")


def test_without_a_broker_a_pass_ends_with_the_commit() -> None:
    rig = Rig(broker=False)
    rig.stopped = {"publish", "echo"}
    rig.run(3 * EVERY_S)
    assert rig.stale == ()
    rig.stopped.add("commit")
    rig.run(17)
    assert rig.stale != ()


def test_nothing_is_full_before_there_is_a_configuration() -> None:
    passes = Passes()
    passes.look(EngineState(), Outside(commits=9, sent=9), NS)
    assert passes.stale(NS) == ("nothing is watched yet",)


def test_a_count_that_begins_anew_is_no_work() -> None:
    rig = Rig()
    rig.run(3 * EVERY_S + 1)
    rig.sent, rig.stopped = 0, {"publish"}
    rig.run(76)
    assert rig.stale != ()
