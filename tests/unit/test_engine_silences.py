"""Silences and weekly windows in the core: by command, by configuration, by the calendar; refusals, and ends."""

from dataclasses import replace

import pytest
from tests.support.pool import Pool, settings_for
from tests.support.ticking import fails

from tocsin.clock import NS
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.quiet import marks
from tocsin.engine.silencing import LONGEST_NS, MOST, Refused, silence_of
from tocsin.errors import CorruptRecord
from tocsin.model.event import CalendarRevised, Commanded, ConfigRevised, Ticked
from tocsin.model.silence import Silence, Span, WeeklyWindow

HOUR = 3600 * NS
WINDOW = WeeklyWindow(
    name="night", match="chain=sim", by="ann", reason="updates", days=(0,), from_minute=0, to_minute=60, zone="UTC"
)


def command(pool: Pool, verb: str, **args: str) -> None:
    pool.take(_command(pool, verb, **args))


def _command(pool: Pool, verb: str, **args: str) -> Commanded:
    known = tuple(sorted(args.items()))
    return Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb=verb, args=known, by="ann")


def silence(pool: Pool, match: str = "node=n0", *, for_ns: int = HOUR, **more: str) -> None:
    command(pool, "silence", match=match, why="disk", for_ns=str(for_ns), **more)


@pytest.fixture
def pool() -> Pool:
    pool = Pool(settings_for(("a", "b", "c"), own=(0,)))
    pool.rounds(10)
    assert pool.alerts == []
    return pool


def break_node(pool: Pool) -> None:
    pool.answers["n0"] = fails()
    pool.rounds(8)


def heard(pool: Pool) -> list[tuple[str, str, bool]]:
    return [(alert.detector, alert.reason, alert.silenced) for alert in pool.alerts]


def test_a_silence_by_command_marks_ends_by_itself_and_tells_then(pool: Pool) -> None:
    silence(pool, for_ns=60 * NS)
    break_node(pool)
    assert heard(pool) == [("node.unreachable", "fired", True)]
    pool.state = decode_state(encode_state(pool.state))
    pool.rounds(40)
    assert heard(pool)[1:] == [("node.unreachable", "unsilenced", False)]
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))
    assert pool.state.silences == ()


def test_a_silence_ends_by_command(pool: Pool) -> None:
    silence(pool)
    [one] = pool.state.silences
    assert (one.id, one.by, one.reason) == ("s1", "ann", "disk")
    command(pool, "unsilence", id="s2")
    assert pool.state.silences == (one,)
    command(pool, "unsilence", id="s1")
    assert pool.state.silences == ()
    silence(pool)
    assert pool.state.silences[0].id == "s2", "an id is not used twice"


@pytest.mark.parametrize(
    ("match", "means"),
    [("node=sim.n0", True), ("provider=a", True), ("chain=sim", True), ("chain=eip155:1337", True), ("node=n1", False)],
)
def test_people_call_nodes_by_their_names(pool: Pool, match: str, means: bool) -> None:  # noqa: FBT001
    silence(pool, match)
    break_node(pool)
    assert heard(pool) == [("node.unreachable", "fired", means)]


def test_a_silence_of_the_configuration_and_a_weekly_window_do_the_same(pool: Pool) -> None:
    wall = pool.clock.wall_ns()
    one = Silence(id="config:1", match="node=n1", by="ann", reason="b", from_wall_ns=wall, until_wall_ns=wall + HOUR)
    pool.take(ConfigRevised(t_ns=pool.now, settings=replace(pool.settings, silences=(one,), windows=(WINDOW,))))
    span = Span(window="night", from_wall_ns=wall, until_wall_ns=wall + 60 * NS)
    gone = Span(window="gone", from_wall_ns=0, until_wall_ns=wall + 10 * HOUR)
    pool.take(CalendarRevised(t_ns=pool.now, spans=(span, gone)))
    pool.tick()
    assert [row["id"] for row in marks(pool.state, ()).rows] == ["config:1", "maintenance:night"]
    break_node(pool)
    assert heard(pool) == [("node.unreachable", "fired", True)]
    pool.rounds(40)
    assert heard(pool)[1:] == [("node.unreachable", "unsilenced", False)]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"match": "node"}, "match: character 1"),
        ({"match": ""}, "match: character 1"),
        ({"why": " "}, "takes a reason"),
        ({"why": "x" * 501}, "takes a reason"),
        ({"for_ns": "0"}, "lasts for 7 days at most"),
        ({"for_ns": str(LONGEST_NS + 1)}, "lasts for 7 days at most"),
        ({"for_ns": "1h"}, "whole numbers"),
        ({"from_wall_ns": "5"}, "begins now, or within a week"),
    ],
)
def test_what_is_no_silence_is_refused_with_the_reason_and_changes_nothing(
    pool: Pool, args: dict[str, str], said: str
) -> None:
    wanted = {"match": "node=n0", "why": "disk", "for_ns": str(HOUR), **args}
    with pytest.raises(Refused, match=said):
        silence_of(pool.state, _command(pool, "silence", **wanted))
    command(pool, "silence", **wanted)
    assert pool.state.silences == ()


def test_there_are_never_too_many(pool: Pool) -> None:
    for _ in range(MOST + 5):
        silence(pool)
    assert len(pool.state.silences) == MOST
    with pytest.raises(Refused, match="end some of them"):
        silence_of(pool.state, _command(pool, "silence", match="node=n0", why="x", for_ns="1"))


def test_one_may_begin_later(pool: Pool) -> None:
    silence(pool, from_wall_ns=str(pool.clock.wall_ns() + HOUR))
    assert [row["active"] for row in marks(pool.state, ()).rows] == [False]
    break_node(pool)
    assert heard(pool) == [("node.unreachable", "fired", False)]


def test_only_who_says_so_silences_what_is_critical(pool: Pool) -> None:
    silence(pool, critical="true")
    silence(pool, critical="yes")
    assert [one.critical for one in pool.state.silences] == [True, False]


def test_events_and_snapshots_carry_it_and_nonsense_is_no_snapshot(pool: Pool) -> None:
    event = CalendarRevised(t_ns=1, spans=(Span(window="w", from_wall_ns=1, until_wall_ns=2),))
    assert decode_event(*encode_event(event)) == event
    silence(pool)
    assert decode_state(encode_state(pool.state)).silences == pool.state.silences
    broken = replace(pool.state, silences=(replace(pool.state.silences[0], match="node"),))
    with pytest.raises(CorruptRecord, match="means no alerts"):
        decode_state(encode_state(broken))
