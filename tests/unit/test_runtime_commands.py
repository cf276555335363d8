"""What people command reaches the core with its author and its times, and is answered by what became of it."""

import pytest
from tests.support.pool import Pool, settings_for
from tests.support.statepool import ALICE, MALLORY, OWNER_SLOT, VAULT, StatePool

from tocsin.clock import NS, EngineClock
from tocsin.engine.silencing import Refused
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import ControlError
from tocsin.model.event import Commanded, Event
from tocsin.runtime.commands import Commands, Wanted
from tocsin.testing import ManualClock


class Straight:
    """A core that decides at once, and is always on disk; a deaf one takes nothing any more."""

    def __init__(self, state: EngineState, *, is_deaf: bool = False) -> None:
        self.state = state
        self.taken: list[Event] = []
        self.is_deaf = is_deaf

    def take(self, event: Event) -> None:
        if not self.is_deaf:
            self.taken.append(event)
            self.state = step(self.state, event).state

    async def drained(self) -> None:
        return


def commands(*, is_deaf: bool = False) -> tuple[Commands, Straight, int]:
    pool = Pool(settings_for(("a", "b")))
    pool.rounds(3)
    core, clock = Straight(pool.state, is_deaf=is_deaf), ManualClock()
    return Commands(core, EngineClock(clock, last_t_ns=pool.now)), core, clock.wall_ns()  # type: ignore[arg-type]


WANTED = Wanted(match="node=n0", why="disk", for_ns=60 * NS)


async def test_a_silence_is_journalled_with_author_reason_and_times() -> None:
    one, core, wall = commands()
    until = Wanted(match="node=n1", why="x", until_wall_ns=wall + 90 * NS, from_wall_ns=wall + 30 * NS, critical=True)
    first, second = await one.silence(WANTED, "ann"), await one.silence(until, "bob")
    taken = [event for event in core.taken if isinstance(event, Commanded)]
    assert [(event.verb, event.by) for event in taken] == [("silence", "ann"), ("silence", "bob")]
    assert dict(taken[0].args) == {"match": "node=n0", "why": "disk", "for_ns": str(60 * NS)}
    assert dict(taken[1].args) == {
        "match": "node=n1",
        "why": "x",
        "for_ns": str(60 * NS),
        "from_wall_ns": str(wall + 30 * NS),
        "critical": "true",
    }
    assert [told["silence"]["id"] for told in (first, second)] == ["s1", "s2"]  # type: ignore[index]
    assert core.state.silences[1].until_wall_ns == wall + 90 * NS


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(match="node=n0", why="x", until_wall_ns=5), "until: is past"),
        (Wanted(match="node=n0", why="x", for_ns=NS, from_wall_ns=5), "begins now, or within a week"),
        (Wanted(match="node=n0", why="x", for_ns=8 * 86_400 * NS), "7 days at most"),
        (Wanted(match="node=n0", why=" ", for_ns=NS), "takes a reason"),
        (Wanted(match="nodee=n0", why="x", for_ns=NS), "did you mean node"),
        (Wanted(match="", why="x", for_ns=NS), "names no alerts"),
    ],
)
async def test_what_is_refused_never_reaches_the_journal(wanted: Wanted, said: str) -> None:
    one, core, _ = commands()
    with pytest.raises(Refused, match=said):
        await one.silence(wanted, "ann")
    with pytest.raises(Refused, match="there is none"):
        await one.unsilence("s1", "", "ann")
    assert core.taken == []


async def test_the_end_is_journalled_with_its_author_too() -> None:
    one, core, _ = commands()
    await one.silence(WANTED, "ann")
    told = await one.unsilence("s1", "mended", "bob")
    assert told["silence"]["by"] == "ann"  # type: ignore[index]
    last = core.taken[-1]
    assert isinstance(last, Commanded)
    assert (last.verb, last.by, dict(last.args)) == ("unsilence", "bob", {"id": "s1", "why": "mended"})
    assert core.state.silences == ()


async def test_a_daemon_that_takes_nothing_any_more_does_not_say_that_it_did() -> None:
    one, core, _ = commands(is_deaf=True)
    with pytest.raises(ControlError, match="about to end"):
        await one.silence(WANTED, "ann")
    core.is_deaf = False
    await one.silence(WANTED, "ann")
    core.is_deaf = True
    with pytest.raises(ControlError, match="about to end"):
        await one.unsilence("s1", "", "ann")


async def test_an_ack_of_a_contract_says_what_it_accepted_from_what_by_whom_and_why() -> None:
    pool = StatePool()
    pool.rounds(8)
    pool.write(VAULT, OWNER_SLOT, MALLORY)
    pool.until(lambda: bool(pool.alerts), 14)
    key, core = pool.alerts[0].fingerprint, Straight(pool.state)
    one = Commands(core, EngineClock(ManualClock(), last_t_ns=pool.now))  # type: ignore[arg-type]
    found = await one.acknowledge(key, "w" * 500, "ann")
    assert found is not None
    known = pool.seen().latest["owner"]
    row = {
        "chain": "sim",
        "contract": "vault",
        "watch": "owner",
        "by": "ann",
        "why": "w" * 500,
        "before": f"0x{ALICE:040x}",
        "accepted": f"0x{MALLORY:040x}",
        "now": f"0x{MALLORY:040x}",
        "grade": "proven",
        "block": {"number": known.block.number, "hash": known.block.hash},
    }
    assert found == {"accepted": [row]}
    again = await one.acknowledge(key, "me too", "bob")
    assert again == {"accepted": [], "accepted_before": [{**row, "before": None}]}
    assert await one.acknowledge(key[:12], "", "bob") == again
    assert await one.acknowledge("f" * 32, "", "bob") is None
    assert await one.acknowledge("", "", "bob") is None
