"""What is found on our own topics: our words, a late will, a leftover, nonsense, or a second daemon."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.messages import LIFE, NOON_NS, ORIGIN

from tocsin.mqtt import presence
from tocsin.mqtt.client import Received
from tocsin.mqtt.presence import Life, Rival, Stale, State, judge

EARLIER = dataclasses.replace(LIFE, boot="earlier", started_wall_ns=NOON_NS - 10**9)
LATER = dataclasses.replace(LIFE, boot="later", started_wall_ns=NOON_NS + 10**9)
STATUS, HEARTBEAT = ORIGIN.root + "status", ORIGIN.root + "heartbeat"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda kids: (
        st.lists(kids, max_size=4)
        | st.dictionaries(st.sampled_from(["data", "boot_id", "started", "state"]) | st.text(), kids)
    ),
    max_leaves=12,
)


def said(life: Life, state: State, *, retained: bool = False) -> Received:
    return Received(topic=STATUS, payload=presence.status(life, state, NOON_NS).payload, retained=retained)


def beat(life: Life) -> Received:
    return Received(topic=HEARTBEAT, payload=presence.heartbeat(life, 1, {}, 10, NOON_NS).payload, retained=False)


@given(payload=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
@pytest.mark.parametrize("topic", [STATUS, HEARTBEAT])
def test_any_payload_is_judged_without_an_error(topic: str, payload: bytes) -> None:
    assert isinstance(judge(LIFE, Received(topic=topic, payload=payload, retained=False)), Stale | Rival | None)


@pytest.mark.parametrize("state", [state for state in State if state is not State.LOST])
def test_our_own_words_mean_nothing(state: State) -> None:
    assert judge(LIFE, said(LIFE, state)) is None
    assert judge(LIFE, beat(LIFE)) is None


def test_our_own_will_is_stale_while_we_live() -> None:
    assert judge(LIFE, said(LIFE, State.LOST)) == Stale()


@pytest.mark.parametrize("other", [EARLIER, LATER])
@pytest.mark.parametrize("state", [State.LOST, State.DISCONNECTED])
def test_the_end_of_another_life_is_stale(other: Life, state: State) -> None:
    parted = other.boot if state is State.DISCONNECTED else ""
    assert judge(LIFE, said(other, state)) == Stale(parted=parted)


@pytest.mark.parametrize("state", [State.INIT, State.READY, State.DEGRADED, State.DRAINING])
def test_a_live_word_of_another_life_is_a_rival_and_the_older_one_is_known(state: State) -> None:
    assert judge(LIFE, said(EARLIER, state)) == Rival(boot="earlier", older=True)
    assert judge(LIFE, said(LATER, state)) == Rival(boot="later", older=False)
    assert judge(LIFE, beat(EARLIER)) == Rival(boot="earlier", older=True)


def test_of_two_that_started_together_exactly_one_is_the_older() -> None:
    twin = dataclasses.replace(LIFE, boot="0")
    mine, its = judge(LIFE, said(twin, State.READY)), judge(twin, said(LIFE, State.READY))
    assert isinstance(mine, Rival)
    assert isinstance(its, Rival)
    assert mine.older is not its.older


def test_what_was_retained_before_we_came_is_a_leftover_and_no_rival() -> None:
    assert judge(LIFE, said(EARLIER, State.READY, retained=True)) == Stale()


def test_a_cleared_status_is_stale_and_a_cleared_heartbeat_nothing() -> None:
    assert judge(LIFE, Received(topic=STATUS, payload=b"", retained=False)) == Stale()
    assert judge(LIFE, Received(topic=HEARTBEAT, payload=b"", retained=False)) is None


def test_a_message_that_is_too_long_is_nonsense_unread() -> None:
    long = presence.status(EARLIER, State.READY, NOON_NS).payload[:-1] + b" " * 20_000 + b"}"
    assert judge(LIFE, Received(topic=STATUS, payload=long, retained=False)) == Stale(garbage=True)
