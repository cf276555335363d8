"""Two lockstep anvils as six nodes of three groups, a real broker, the real daemon: each fault and all its alerts.

The chain has blocks of 1 s and the timers are the product's own for such a chain. Two nodes of one group are sick at
a time: the other two groups keep the quorum, so that everything that is said must be about these two.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from tests.support.broker import Mosquitto
from tests.support.rig import Alerts, Place, Rig, rigged
from tests.support.watchdog import reached, seqs

from tocsin.testing.faults import parse_fault

in_one_session = pytest.mark.asyncio(loop_scope="module")

PLACES: Final = {
    f"{provider}{number}": Place(anvil=anvil, provider=provider)
    for provider in "abc"
    for number, anvil in ((1, "left"), (2, "right"))
}

SILENT: Final = ({("node.unreachable", "warning")}, {("node.unreachable", "info")})
REFUSES: Final = ({("node.rate_limited", "warning")},) * 2
STANDS: Final = ({("node.lag", "warning"), ("node.stale", "warning"), ("node.stale", "critical")},) * 2

TABLE: Final = {
    # what is wrong: the fault; all that is said when it is a node of our own, and when it is somebody else's
    "refused": ("refused", *SILENT),
    "hang": ("hang", *SILENT),
    "reset": ("reset", *SILENT),
    "slow drip": ("slow-drip:100ms", *SILENT),
    "HTTP 503": ("http-503", *SILENT),
    "malformed": ("malformed", *SILENT),
    "HTML": ("html", *SILENT),
    "truncated": ("truncated", *SILENT),
    "wrong ids": ("wrong-ids", *SILENT),
    "endless body": ("endless", *SILENT),
    "HTTP 429": ("http-429:1", *REFUSES),
    "stale": ("stale", *STANDS),
    "regress": ("regress:5", *({("node.lag", "warning")},) * 2),
    "wrong chain": ("wrong-chain:56", *({("node.wrong_chain", "critical")},) * 2),
    "forked at equal height": ("forked:2", *({("node.fork", "warning")},) * 2),
    "phantom head": ("phantom-head:1000", *({("node.phantom_head", "warning")},) * 2),
    "corrupt header": ("corrupt-header:gasUsed", *({("node.corrupt_header", "critical")},) * 2),
}

ROUNDS: Final = [
    # whose nodes, what the first one has, what the second one has: chosen to take about as long
    ("a", "hang", "HTTP 429"),
    ("a", "reset", "slow drip"),
    ("a", "stale", "wrong chain"),
    ("a", "forked at equal height", "corrupt header"),
    ("a", "regress", "phantom head"),
    ("b", "endless body", "truncated"),
    ("b", "HTTP 503", "malformed"),
    ("c", "HTML", "wrong ids"),
    ("c", "corrupt header", "refused"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory, anvil_binary: str) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "broker").mkdir()
    broker = Mosquitto(folder=folder / "broker")
    broker.start()
    try:
        async with rigged(folder, anvil_binary, broker, PLACES) as running:
            yield running
    finally:
        broker.stop()


def expected(sick: dict[str, str]) -> Alerts:
    """Return the complete set of alerts for nodes with faults; two silent nodes of one provider are its outage."""
    providers = {PLACES[node].provider for node in sick}
    if len(sick) > 1 and len(providers) == 1 and all(TABLE[what][1:] == SILENT for what in sick.values()):
        return {("provider.unreachable", "chain", "warning")}
    return {
        (detector, node, severity)
        for node, what in sick.items()
        for detector, severity in TABLE[what][1 if PLACES[node].provider == "a" else 2]
    }


async def rehearse(rig: Rig, sick: dict[str, str], *, hold_s: float) -> None:
    """Make nodes sick, wait for what must come and `hold_s` for what must not, heal them, compare."""
    await rig.heal()
    since = len(rig.heard.events)
    wanted = expected(sick)
    for node, what in sick.items():
        await rig.proxy.node(node).set(parse_fault(TABLE[what][0]))
    await rig.until_reached(wanted, since)
    await asyncio.sleep(hold_s)
    await rig.heal()
    events = rig.heard.events[since:]
    assert reached(events) == wanted
    for key in {event.key[:2] for event in events}:
        states = [event.data["state"] for event in events if event.key[:2] == key]
        assert (states[0], set(states[:-1]), states[-1]) == ("firing", {"firing"}, "resolved"), (key, states)
        ends = {event.data["reason"] for event in events if event.key[:2] == key and event.data["state"] == "resolved"}
        assert ends == {"acked" if key[0] == "node.corrupt_header" else "cleared"}, (key, ends)


def test_the_rounds_try_every_fault_of_the_table() -> None:
    assert {name for _, *names in ROUNDS for name in names} == set(TABLE)


@in_one_session
@pytest.mark.parametrize(("group", "first", "second"), ROUNDS)
async def test_each_fault_gives_its_alerts_and_no_others_and_all_resolve(
    rig: Rig, group: str, first: str, second: str
) -> None:
    await rehearse(rig, {f"{group}1": first, f"{group}2": second}, hold_s=2)


@in_one_session
async def test_the_stream_of_the_whole_session_has_no_hole(rig: Rig) -> None:
    await rehearse(rig, {"a1": "wrong chain"}, hold_s=0)
    events = rig.heard.events
    assert seqs(events) == list(range(1, len(events) + 1))


@pytest.mark.slow
@in_one_session
@pytest.mark.parametrize("node", ["a1", "a2", "b1", "c2"])
@pytest.mark.parametrize("what", TABLE)
async def test_a_fault_that_lasts_gives_nothing_but_its_alerts(rig: Rig, node: str, what: str) -> None:
    await rehearse(rig, {node: what}, hold_s=20)


@pytest.mark.slow
@pytest.mark.timeout(900)
@in_one_session
async def test_ten_healthy_minutes_say_nothing(rig: Rig) -> None:
    await rig.heal()
    since = len(rig.heard.events)
    await asyncio.sleep(600)
    assert rig.heard.events[since:] == []
