"""Hearing other watchdogs: whatever comes in on their topics, and whether anything can."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import NS, EngineClock, SystemClock
from tocsin.errors import BrokerError, PublishRefused
from tocsin.model.event import PeerHeard, PeersListened
from tocsin.mqtt import presence
from tocsin.mqtt.client import Received
from tocsin.mqtt.peers import Ears
from tocsin.mqtt.presence import Life, State
from tocsin.testing import ManualClock
from tocsin.wire.envelope import Origin
from tocsin.wire.peers import LONGEST, STATES, topics_of, word

PEER = "ams/host-b"
STATUS, HEARTBEAT = topics_of(PEER)
LIFE = Life(
    origin=Origin(site="ams", watchdog="host-b"),
    boot="b00700000000",
    started_wall_ns=10**18,
    version="0.1.0",
    environment="test",
    config_hash="c0ffee",
)


def ears(*peers: str) -> tuple[Ears, list[PeerHeard | PeersListened]]:
    """Return ears that listen to these peers, and where their events go."""
    taken: list[PeerHeard | PeersListened] = []
    made = Ears(EngineClock(SystemClock()), taken.append, keepalive_s=10)
    made.configure(peers)
    return made, taken


def received(payload: bytes, topic: str = STATUS, *, kept: bool = False) -> Received:
    return Received(topic=topic, payload=payload, retained=kept)


def beat(period_s: object = 10, seq: object = None, boot: str = LIFE.boot, time: str | None = None) -> bytes:
    payload = presence.heartbeat(replace(LIFE, boot=boot), 1, {}, 10, 10**18).payload
    event = orjson.loads(payload)
    event["data"]["seq"] = seq
    event["time"] = time or event["time"]
    event["data"]["period_s"] = period_s
    return orjson.dumps(event)


# -- what a message says


@pytest.mark.parametrize("state", State)
def test_what_a_watchdog_says_of_itself_is_what_a_peer_hears(state: State) -> None:
    hearing, taken = ears(PEER)
    assert hearing.hear(received(presence.status(LIFE, state, 10**18).payload, kept=True))
    [heard] = taken
    assert isinstance(heard, PeerHeard)
    assert (heard.peer, heard.boot, heard.state, heard.kept) == (PEER, LIFE.boot, state.value, True)


def test_no_state_is_missing_or_invented() -> None:
    assert set(State) == STATES


def test_a_heartbeat_names_its_period_and_an_older_one_none() -> None:
    hearing, taken = ears(PEER)
    hearing.hear(received(beat(25), HEARTBEAT))
    hearing.hear(received(beat(None), HEARTBEAT))
    assert [(one.state, one.period_ns) for one in taken if isinstance(one, PeerHeard)] == [("", 25 * NS), ("", 0)]


def test_a_topic_that_was_cleared_says_nothing() -> None:
    hearing, taken = ears(PEER)
    assert hearing.hear(received(b""))
    assert taken == []


@pytest.mark.parametrize(
    "change",
    [
        {"type": "dev.tocsin.heartbeat.v1"},
        {"type": "dev.tocsin.status.v2"},
        {"source": "/tocsin/ams/host-a"},
        {"data": None},
        {"data": {"boot_id": "b0"}},
        {"data": {"boot_id": "b0", "state": "well"}},
        {"data": {"boot_id": "b" * 65, "state": "ready"}},
        {"data": {"boot_id": "b\n", "state": "ready"}},
        {"data": {"boot_id": 7, "state": "ready"}},
    ],
)
def test_what_is_no_status_of_this_peer_is_refused(change: dict[str, object]) -> None:
    good = orjson.loads(presence.status(LIFE, State.READY, 10**18).payload)
    assert word(PEER, STATUS, orjson.dumps(good)).state == "ready"
    with pytest.raises(ValueError, match=r"\w"):
        word(PEER, STATUS, orjson.dumps({**good, **change}))


@pytest.mark.parametrize("period_s", [0, -1, 3601, 1.5, "10", True, []])
def test_a_period_that_is_none_is_refused(period_s: object) -> None:
    with pytest.raises(ValueError, match="period_s"):
        word(PEER, HEARTBEAT, beat(period_s))


def test_a_message_that_is_too_large_is_not_read() -> None:
    good = presence.status(LIFE, State.READY, 10**18).payload
    assert word(PEER, STATUS, good + b" " * (LONGEST - len(good)))
    with pytest.raises(ValueError, match="bytes"):
        word(PEER, STATUS, good + b" " * (LONGEST - len(good) + 1))


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "boot_id", "state", "type", "source", "period_s"]), inner, max_size=5
        )
    ),
)
payloads = st.binary(max_size=200) | json.map(orjson.dumps) | st.integers(1, 3000).map(lambda deep: b"[" * deep)


@given(payload=payloads, topic=st.sampled_from([STATUS, HEARTBEAT]), kept=st.booleans())
def test_no_bytes_of_anybody_harm_and_none_are_believed_that_are_not_understood(
    *, payload: bytes, topic: str, kept: bool
) -> None:
    hearing, taken = ears(PEER)
    understood = hearing.hear(received(payload, topic, kept=kept))
    assert len(taken) == (understood and payload != b"")
    for one in taken:
        assert isinstance(one, PeerHeard)
        assert 0 < len(one.boot) <= 64


def test_nonsense_of_a_peer_is_told_once_and_of_another_one_too(caplog: pytest.LogCaptureFixture) -> None:
    hearing, _ = ears(PEER, "ams/host-c")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert not hearing.hear(received(b"{"))
            assert not hearing.hear(received(b"{", topics_of("ams/host-c")[1]))
    assert len(caplog.records) == 2


def test_nobody_makes_us_take_messages_without_end_and_other_peers_are_heard_meanwhile() -> None:
    clock, taken = ManualClock(), []
    hearing = Ears(EngineClock(clock), taken.append, keepalive_s=10)
    hearing.configure((PEER, "ams/host-c"))
    for _ in range(10_000):
        hearing.hear(received(beat(), HEARTBEAT))
    assert len(taken) == 20
    other = orjson.loads(beat()) | {"source": "/tocsin/ams/host-c"}
    assert hearing.hear(received(orjson.dumps(other), topics_of("ams/host-c")[1]))
    for _ in range(100):
        clock.advance(s=1)
        assert hearing.hear(received(beat(1), HEARTBEAT))


# -- what was heard before


def hearing_at(clock: ManualClock) -> tuple[Ears, list[PeerHeard | PeersListened]]:
    taken: list[PeerHeard | PeersListened] = []
    made = Ears(EngineClock(clock), taken.append, keepalive_s=10)
    made.configure((PEER,))
    return made, taken


def test_a_heartbeat_that_was_heard_before_is_not_taken_again_and_counted() -> None:
    clock = ManualClock()
    hearing, taken = hearing_at(clock)
    for seq in (7, 8, 9):
        assert hearing.hear(received(beat(seq=seq), HEARTBEAT))
        clock.advance(s=10)
    for seq in (9, 8, 1):
        assert not hearing.hear(received(beat(seq=seq), HEARTBEAT))
    assert hearing.hear(received(beat(seq=10), HEARTBEAT))
    assert (len(taken), hearing.ignored) == (4, {PEER: 3})


def test_neither_is_one_of_an_earlier_life_repeated_after_a_restart() -> None:
    clock = ManualClock()
    hearing, _ = hearing_at(clock)
    assert hearing.hear(received(beat(seq=50, boot="b1"), HEARTBEAT))
    clock.advance(s=10)
    assert hearing.hear(received(beat(seq=1, boot="b2"), HEARTBEAT))
    clock.advance(s=10)
    assert not hearing.hear(received(beat(seq=50, boot="b1"), HEARTBEAT))
    assert hearing.hear(received(beat(seq=2, boot="b2"), HEARTBEAT))


def test_a_forged_number_from_far_ahead_does_not_silence_the_peer() -> None:
    clock = ManualClock()
    hearing, _ = hearing_at(clock)
    for seq in range(1, 6):
        assert hearing.hear(received(beat(seq=seq), HEARTBEAT))
        assert not hearing.hear(received(beat(seq=10**18), HEARTBEAT))
        clock.advance(s=10)


def test_heartbeats_that_were_lost_or_came_in_a_burst_are_no_leap() -> None:
    clock = ManualClock()
    hearing, _ = hearing_at(clock)
    assert hearing.hear(received(beat(seq=1), HEARTBEAT))
    clock.advance(s=3_600)
    assert hearing.hear(received(beat(seq=361), HEARTBEAT))
    assert hearing.hear(received(beat(seq=362), HEARTBEAT))
    assert hearing.hear(received(beat(seq=364), HEARTBEAT))


def test_lives_without_end_take_no_memory() -> None:
    clock = ManualClock()
    hearing, _ = hearing_at(clock)
    for life in range(100):
        hearing.hear(received(beat(seq=1, boot=f"b{life}"), HEARTBEAT))
        clock.advance(s=1)
    assert len(hearing._beats[PEER]) == 8


@pytest.mark.parametrize("seq", [0, -1, 1.5, "7", True, 2**63])
def test_a_number_that_is_none_is_refused(seq: object) -> None:
    with pytest.raises(ValueError, match="seq"):
        word(PEER, HEARTBEAT, beat(seq=seq))


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "nonsense"])
def test_times_are_not_read_so_that_no_clock_accuses_anybody(time: str) -> None:
    hearing, taken = ears(PEER)
    assert hearing.hear(received(beat(seq=1, time=time), HEARTBEAT))
    assert len(taken) == 1


# -- whether anything can be heard


class Line:
    """A connection that refuses some topics and ends when told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.asked: list[str] = []

    async def subscribe(self, topic: str) -> None:
        await asyncio.sleep(0)
        self.asked.append(topic)
        if topic in self.refused:
            raise PublishRefused(topic, 0x87, "not authorized")

    async def publish(self, *_: object, **__: object) -> None:
        raise AssertionError("ears do not speak")

    async def ended(self) -> BrokerError:
        raise AssertionError("ears do not ask")


async def listened(hearing: Ears, line: Line, steps: int = 20) -> asyncio.Task[None]:
    task = asyncio.create_task(hearing.listen(line))
    for _ in range(steps):
        await asyncio.sleep(0)
    return task


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def links(taken: list[PeerHeard | PeersListened]) -> list[tuple[bool, tuple[str, ...]]]:
    return [(one.connected, one.peers) for one in taken if isinstance(one, PeersListened)]


async def test_listening_begins_with_the_subscription_and_ends_with_the_connection() -> None:
    hearing, taken = ears(PEER)
    line = Line()
    task = await listened(hearing, line)
    assert links(taken) == [(True, (PEER,))]
    assert line.asked == [STATUS, HEARTBEAT]
    await end(task)
    assert links(taken) == [(True, (PEER,)), (False, ())]


async def test_a_new_connection_subscribes_anew() -> None:
    hearing, _ = ears(PEER)
    await end(await listened(hearing, Line()))
    line = Line()
    await end(await listened(hearing, line))
    assert line.asked == [STATUS, HEARTBEAT]


async def test_a_peer_whose_topic_is_refused_is_not_listened_to_and_that_is_shown() -> None:
    hearing, taken = ears(PEER, "ams/host-c")
    await end(await listened(hearing, Line(HEARTBEAT)))
    assert links(taken)[0] == (True, ("ams/host-c",))
    [told] = hearing.refused
    assert HEARTBEAT in told


async def test_peers_that_come_with_a_reload_are_subscribed_over_the_connection_that_is_there() -> None:
    hearing, taken = ears(PEER)
    line = Line()
    task = await listened(hearing, line)
    hearing.configure((PEER, "ams/host-c"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert line.asked == [STATUS, HEARTBEAT, *topics_of("ams/host-c")]
    assert links(taken)[-1] == (True, (PEER, "ams/host-c"))
    await end(task)


async def test_without_peers_nothing_is_said_or_journalled() -> None:
    hearing, taken = ears()
    await end(await listened(hearing, Line()))
    assert taken == []
