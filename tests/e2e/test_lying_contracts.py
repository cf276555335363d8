"""The real daemon over anvils with real contracts: who lies is named, anybody can check it, nobody is told the lie."""

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import pytest_asyncio
from tests.support.anvil import Lockstep
from tests.support.artifacts import call_data
from tests.support.broker import Mosquitto
from tests.support.realpool import ALICE, BOB, configured, deployed, granted
from tests.support.rig import Place, Rig, rigged
from tests.support.untruths import PROOF, UNTRUTHS, VALUE, WORD, telling
from tests.support.watchdog import Event, beside, eventually, open_alerts

from tocsin.engine.watch_roles import GRANTED
from tocsin.testing.faults import Lie
from tocsin.testing.jsonrpc import Json

in_one_session = pytest.mark.asyncio(loop_scope="module")

PLACES: Final = {
    "own": Place(anvil="left", provider="a"),
    "b1": Place(anvil="right", provider="b"),
    "c1": Place(anvil="left", provider="c"),
}
CASES: Final = {
    # what is said, of which contract: by whom; and what the evidence is worth
    "a slot in a proof": ("proxy", "b1", 0),
    "a node of a slot's proof": ("safe", "c1", 0),
    "the balance in a proof": ("token", "own", 0),
    "a slot": ("admin", "b1", 0),
    "one byte of the code": ("pool", "c1", 0),
    "the result of a call": ("token", "own", 2),
}


INDEX: Final = """
[[chain.index]]
name = "holders"
from = 0
[[chain.index.event]]
name = "receiver"
topic = "Transfer(address,address,uint256)"
addresses = ["{token}"]
account = "topic2"
"""
LOGS: Final = {
    # what is said of blocks in which tokens were moved: by which method, and which kind of evidence there is
    "a log left out": ("eth_getLogs", lambda logs: logs[:-1], VALUE, "logs", "c1"),
    "a log changed": ("eth_getLogs", lambda logs: [{**logs[0], "data": WORD}, *logs[1:]], VALUE, "logs", "own"),
    "a receipt": (
        "eth_getBlockReceipts",
        lambda given: [{**given[0], "status": "0x0"}, *given[1:]],
        PROOF,
        "receipts",
        "b1",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory, anvil_binary: str) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("contracts")
    (folder / "broker").mkdir()
    broker = Mosquitto(folder=folder / "broker")
    broker.start()

    async def prepare(pair: Lockstep) -> str:
        contracts = await deployed(pair)
        [token] = [one.address for one in contracts if one.name == "token"]
        return configured(contracts) + INDEX.format(token=token)

    try:
        async with rigged(folder, anvil_binary, broker, PLACES, prepare) as running:
            yield running
    finally:
        broker.stop()


def values(rig: Rig) -> dict[str, Any]:
    """Return what stands on the topics of contracts, each value with how it is known."""
    topics = {topic: one for topic, one in rig.heard.retained.items() if topic.startswith("contract/sim/")}
    rows = {topic: orjson.loads(one.payload)["data"]["values"] for topic, one in topics.items()}
    return {topic: {name: (row["value"], row["grade"]) for name, row in one.items()} for topic, one in rows.items()}


async def known(rig: Rig) -> dict[str, Any]:
    """Wait until all is known for sure, and told; return it."""

    def is_known() -> bool:
        found = values(rig)
        grades = {grade for one in found.values() for _, grade in one.values()}
        return len(found) == 8 and all(found.values()) and grades <= {"proven", "quorum"}

    await eventually(is_known, "all contracts are known")
    return values(rig)


async def address_of(rig: Rig, name: str) -> str:
    status = await rig.daemon.status()
    [row] = [row for row in status["chains"][0]["contracts"] if row["name"] == name]
    return str(row["address"])


async def verified(rig: Rig, event: Event, folder: Path, *options: str) -> tuple[int, Any]:
    """Check the evidence of an alert as it came over MQTT."""
    file = folder / f"{event.seq}.json"
    file.write_bytes(event.heard.payload)
    said = await rig.daemon.command("verify", str(file), "--json", *options)
    assert said.err == ""
    return said.code, orjson.loads(said.out)


async def healed(rig: Rig, *events: Event) -> None:
    for name in PLACES:
        await rig.proxy.node(name).clear()
    config = ("--config", str(rig.daemon.config))
    await asyncio.sleep(1)  # what it said last is still being looked at
    for event in events:
        said = await rig.daemon.command("ack", event.data["fingerprint"], "--why", "seen", *config)
        assert said.code == 0 or "no open alert has" in said.err, (
            said
        )  # after twenty right results it is over by itself
    await eventually(lambda: not open_alerts(rig.heard.events), "everything resolves")


@in_one_session
@pytest.mark.parametrize("what", CASES)
async def test_who_lies_about_a_contract_is_named_and_its_evidence_holds(rig: Rig, tmp_path: Path, what: str) -> None:
    name, liar, worth = CASES[what]
    before, since, heard = await known(rig), len(rig.heard.events), len(rig.heard.heard)
    await rig.proxy.node(liar).set(telling(UNTRUTHS[what], await address_of(rig, name)))
    detector = UNTRUTHS[what].detector
    event = await rig.heard.until(lambda one: one.seq > since and one.key[:2] == (detector, liar), f"{what} is told")
    code, report = await verified(rig, event, tmp_path, "--config", str(rig.daemon.config))
    assert code == worth, report
    [row] = report["evidence"]
    assert (row["detector"], row["subject"], len(row["checks"]) > 3) == (detector, f"ams.{liar}", True)
    await healed(rig, event)
    assert {one.key[:2] for one in rig.heard.events[since:]} == {(detector, liar)}
    assert values(rig) == before
    later = [one.topic for one in rig.heard.heard[heard:] if "/contract/" in one.topic]
    assert later == [], "nothing was said of contracts meanwhile"


@in_one_session
async def test_evidence_too_long_for_its_alert_is_kept_and_goes_along_with_the_incident(
    rig: Rig, tmp_path: Path
) -> None:
    await known(rig)
    since = len(rig.heard.events)
    await rig.proxy.node("b1").set(telling(UNTRUTHS["the end of the code"], await address_of(rig, "pool")))
    event = await rig.heard.until(lambda one: one.seq > since and one.key[:2] == (VALUE, "b1"), "it is told")
    evidence = event.data["evidence"]
    assert evidence["truncated"] is True
    kept = rig.daemon.state_dir / "evidence" / f"{evidence['digest']}.json"
    assert kept.stat().st_size == evidence["size"]
    empty = tmp_path / "empty"
    empty.mkdir()
    code, report = await verified(rig, event, tmp_path, "--kept", str(empty))
    assert (code, report["evidence"][0]["verdict"]) == (2, "undecided")
    assert (await verified(rig, event, tmp_path, "--config", str(rig.daemon.config)))[0] == 0
    assert (await verified(rig, event, tmp_path, "--kept", str(kept.parent)))[0] == 0
    out = tmp_path / "it.tsi"
    key = event.data["fingerprint"]
    said = await rig.daemon.command("incident", "export", key, str(out), "--config", str(rig.daemon.config))
    assert said.code == 0, said
    alone = await rig.daemon.command("verify", str(out), "--kept", str(empty))
    assert alone.code == 0, alone
    tail = await rig.daemon.command("events", "tail", "--json", "--config", str(rig.daemon.config))
    (tmp_path / "tail").write_text(tail.out)
    checked = await rig.daemon.command("verify", str(tmp_path / "tail"), "--config", str(rig.daemon.config))
    assert checked.code in (0, 2), checked  # 2: the case above of which a quorum speaks may be among them
    assert "cannot be checked" not in checked.out
    await healed(rig, event)


async def sent(rig: Rig, to: str, *data: bytes) -> None:
    """Send these by turns, until cancelled: each time the next block has it."""
    pair = rig.miner.pair
    sender = (await pair.call("eth_accounts"))[0]
    for each in cycle(data):
        async with rig.miner.lock:
            wanted = {"from": sender, "to": to, "data": f"0x{each.hex()}", "gas": "0x30d40"}
            await pair.call("eth_sendTransaction", wanted)
        await asyncio.sleep(1)


MINT: Final = call_data("mint(address,uint256)", ALICE, 1)


@in_one_session
@pytest.mark.parametrize("what", LOGS)
async def test_who_tells_wrong_logs_or_receipts_is_named_and_its_evidence_holds(
    rig: Rig, tmp_path: Path, what: str
) -> None:
    method, change, detector, kind, liar = LOGS[what]
    since = len(rig.heard.events)
    lie = Lie(tell=lambda truth, call: change(truth) if truth and call["method"] == method else truth)
    async with beside(sent(rig, await address_of(rig, "token"), MINT)):
        await rig.proxy.node(liar).set(lie)
        event = await rig.heard.until(
            lambda one: one.seq > since and one.key[:2] == (detector, liar), f"{what} is told"
        )
    code, report = await verified(rig, event, tmp_path, "--config", str(rig.daemon.config))
    assert (code, report["evidence"][0]["kind"]) == (0, kind), report
    await healed(rig, event)
    assert {one.key[:2] for one in rig.heard.events[since:]} == {(detector, liar)}


def no_grant(truth: Any, call: Json) -> Any:
    """Leave out by which logs roles were given."""
    is_asked = call["method"] == "eth_getLogs" and f"0x{GRANTED.hex()}" in call["params"][0]["topics"][0]
    return [] if is_asked else truth


@in_one_session
async def test_who_leaves_out_that_a_role_was_given_is_named_and_it_is_said_what_that_rests_on(
    rig: Rig, tmp_path: Path
) -> None:
    await known(rig)
    since, token = len(rig.heard.events), await address_of(rig, "token")
    await rig.proxy.node("c1").set(Lie(tell=no_grant))
    by_turns = [granted(verb, "PAUSER", BOB) for verb in ("grant", "revoke")]
    async with beside(sent(rig, token, *by_turns)):
        event = await rig.heard.until(lambda one: one.seq > since and one.key[:2] == (VALUE, "c1"), "it is told")
        role = await rig.heard.until(
            lambda one: one.seq > since and one.key[0] == "contract.role_granted", "so is the role"
        )
    code, report = await verified(rig, event, tmp_path)
    [row] = report["evidence"]
    assert (code, row["kind"], row["verdict"]) == (2, "value", "undecided"), report
    told = " ".join(check["text"] for check in row["checks"])
    assert "answer: it says no logs" in told
    assert "b1, own said; that is the watchdog's word" in told
    for name, change, why in (
        ("answer", None, "answer: there is none"),
        ("answer", [{}], "nothing that answers the question, not no logs"),
        ("expected", "no logs", "what the node said is what is held to be right"),
        ("header", {**event.data["evidence"]["header"], "gasUsed": "0x1"}, "its fields do not hash to"),
    ):
        file = tmp_path / "changed.json"
        file.write_bytes(orjson.dumps({**event.data["evidence"], name: change}))
        said = await rig.daemon.command("verify", str(file))
        assert (said.code, why in said.out) == (1, True), said
    await healed(rig, event, role)
    assert {one.key[:2] for one in rig.heard.events[since:]} == {(VALUE, "c1"), ("contract.role_granted", role.key[1])}
