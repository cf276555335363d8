"""Real nodes that lie about real contracts: named within a block and a poll, with evidence, and never published."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

import orjson
import pytest
from tests.support.nodekinds import ByNumber, NoProofs
from tests.support.realpool import ALICE, BLOCK_AND_A_POLL, BOB, SLOT_S, RealPool, granted, real_pool, role_of
from tests.support.realwatches import everything
from tests.support.untruths import PROOF, UNTRUTHS, VALUE, WORD, Change, Untruth, in_slot, telling

from tocsin.engine.recheck import Verdict, rechecked
from tocsin.model.alert import Alert, Severity
from tocsin.model.contract import ContractSettings
from tocsin.model.effect import StateChanged
from tocsin.testing.faults import Lie
from tocsin.testing.jsonrpc import Json
from tocsin.wire.envelope import evidence_bytes


def known(pool: RealPool, *, of: str) -> RealPool:
    count = len(pool.settings.chains[0].contracts)
    pool.until(lambda: len(pool.values()) == count and all(map(bool, pool.values().values())), 40)
    pool.rounds(8)
    grades = {
        one.grade.value
        for seen in pool.state.chains["sim"].contracts.watched.values()
        for one in seen.latest.values()
    }  # fmt: skip
    assert grades == {*of.split()}
    assert pool.alerts == []
    return pool


@pytest.fixture(scope="module")
def plain_pool(anvil_binary: str) -> Iterator[RealPool]:
    with real_pool(anvil_binary) as pool:
        yield known(pool, of="proven quorum")


@pytest.fixture(scope="module")
def rich_pool(anvil_binary: str) -> Iterator[RealPool]:
    """Every kind of value is watched there."""
    with real_pool(anvil_binary, put=everything, tick_s=2) as pool:
        yield known(pool, of="proven quorum")


@pytest.fixture(scope="module")
def pool_by_number(anvil_binary: str) -> Iterator[RealPool]:
    with real_pool(anvil_binary) as pool:
        for node in pool.virtual.values():
            pool.run(node.set(ByNumber()))
        yield known(pool, of="proven quorum")


@pytest.fixture(scope="module")
def pool_without_proofs(anvil_binary: str) -> Iterator[RealPool]:
    with real_pool(anvil_binary) as pool:
        for node in pool.virtual.values():
            pool.run(node.set(NoProofs()))
        yield known(pool, of="quorum")


def named(alert: Alert) -> str:
    """Return the node that an alert is about, or all its labels."""
    return dict(alert.labels).get("node", str(alert.labels)).removeprefix("sim.")


def rehearse(pool: RealPool, liar: str, what: str, one: ContractSettings, verdict: Verdict) -> bool:
    """Let one node lie, look at each poll, read the evidence, and let it be well again; return whether it did lie."""
    untruth, values, said, since = UNTRUTHS[what], pool.values(), len(pool.told()), len(pool.alerts)
    lies: list[Json] = []
    pool.run(pool.virtual[liar].add(telling(untruth, one.address, lies)))
    try:
        for _ in range(BLOCK_AND_A_POLL):
            pool.round()
            assert pool.values() == values
    finally:
        pool.run(pool.virtual[liar].clear("lie"))
    alerts = pool.alerts[since:]
    guilty = [(untruth.detector, liar)] if lies else []
    assert [(alert.detector, named(alert)) for alert in alerts] == guilty, one.name
    if not lies:
        return False
    [alert] = alerts
    assert (alert.severity, alert.evidence["contract"]) == (Severity.CRITICAL, one.name)
    evidence = orjson.loads(evidence_bytes(alert))
    assert rechecked(evidence).verdict is verdict, rechecked(evidence)
    pool.round()  # what it said last is still being looked at
    pool.acked(alert)
    pool.rounds(BLOCK_AND_A_POLL)
    assert pool.open() == set()
    assert pool.values() == values
    assert len(pool.told()) == said
    return True


def concerned(pool: RealPool, what: str) -> list[ContractSettings]:
    """Return the contracts of which a node can say that."""
    return [one for one in pool.settings.chains[0].contracts if UNTRUTHS[what].of(one)]


def checkable(what: str) -> Verdict:
    """Return what the evidence has to be worth: what a call returns nobody can prove."""
    return Verdict.UNDECIDED if UNTRUTHS[what].method == "eth_call" else Verdict.PROVES


@pytest.mark.parametrize("what", UNTRUTHS)
def test_who_lies_about_a_contract_is_named_with_evidence_that_proves_it(plain_pool: RealPool, what: str) -> None:
    at = list(UNTRUTHS).index(what)
    able = concerned(plain_pool, what)
    assert rehearse(plain_pool, ("n0", "n3")[at % 2], what, able[at % len(able)], checkable(what))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("liar", ["n0", "n1", "n2", "n3"])
@pytest.mark.parametrize("what", UNTRUTHS)
def test_whoever_lies_about_any_contract_is_named(rich_pool: RealPool, what: str, liar: str) -> None:
    lied = [rehearse(rich_pool, liar, what, one, checkable(what)) for one in concerned(rich_pool, what)]
    assert any(lied)


ROOTLESS: Final = "no account at all"


@pytest.mark.parametrize("what", [name for name in UNTRUTHS if name != ROOTLESS])
def test_so_is_who_takes_no_hashes(pool_by_number: RealPool, what: str) -> None:
    assert rehearse(pool_by_number, "n2", what, concerned(pool_by_number, what)[0], checkable(what))


def test_a_proof_by_number_that_begins_nowhere_may_be_of_another_block_and_accuses_nobody(
    pool_by_number: RealPool,
) -> None:
    pool, values = pool_by_number, pool_by_number.values()
    since = len(pool.alerts)
    pool.run(pool.virtual["n1"].add(telling(UNTRUTHS[ROOTLESS], concerned(pool, ROOTLESS)[0].address)))
    pool.rounds(2 * BLOCK_AND_A_POLL)
    pool.run(pool.virtual["n1"].clear("lie"))
    pool.rounds(BLOCK_AND_A_POLL)
    assert pool.alerts[since:] == []
    assert pool.values() == values


@pytest.mark.parametrize("what", [name for name, one in UNTRUTHS.items() if one.detector == VALUE])
def test_where_nobody_proves_a_quorum_names_who_lies(pool_without_proofs: RealPool, what: str) -> None:
    assert rehearse(pool_without_proofs, "n1", what, concerned(pool_without_proofs, what)[-1], Verdict.UNDECIDED)


def first_is(account: str) -> Change:
    """Let the first log of a grant name somebody else."""
    return lambda logs: [{**logs[0], "topics": [*logs[0]["topics"][:2], word_of(account), *logs[0]["topics"][3:]]}]


def word_of(account: str) -> str:
    return f"0x{int(account, 16):064x}"


def of_roles(change: Change) -> Lie:
    """Return the fault of a node that changes logs of grants where there are some."""
    return Lie(tell=lambda truth, call: change(truth) if truth and call["method"] == "eth_getLogs" else truth)


def granting(pool: RealPool, token: str) -> Callable[[], Any]:
    """Return what mines blocks in which somebody is given a role and loses it, by turns."""
    verbs = cycle(("grant", "revoke"))

    async def mine() -> None:
        sender = (await pool.pair.call("eth_accounts"))[0]
        data = f"0x{granted(next(verbs), 'PAUSER', BOB).hex()}"
        await pool.pair.call("eth_sendTransaction", {"from": sender, "to": token, "data": data, "gas": "0x30d40"})
        await pool.pair.mine(apart_s=SLOT_S)

    return mine


@pytest.mark.parametrize("change", [lambda logs: logs[:-1], first_is(ALICE)], ids=["left out", "changed"])
def test_who_lies_about_a_grant_is_named_and_the_grant_is_told_all_the_same(anvil_binary: str, change: Change) -> None:
    with real_pool(anvil_binary) as pool:
        known(pool, of="proven quorum")
        token = next(one.address for one in pool.settings.chains[0].contracts if one.name == "token")
        pool.run(pool.virtual["n2"].add(of_roles(change)))
        pool.mine = granting(pool, token)
        pool.until(lambda: bool(pool.about("contract.role_granted")), 12)
        pool.rounds(2)  # who tells no logs at all is asked once more a poll later
        assert {(name, node) for name, node, _ in pool.fired()} == {(VALUE, "n2"), ("contract.role_granted", "sim")}
        assert all(alert.summary.endswith(f"/{BOB}") for alert in pool.about("contract.role_granted"))
        [alert] = pool.about(VALUE)
        assert str(alert.evidence["subject"]).startswith("logs:")
        evidence = orjson.loads(evidence_bytes(alert))
        assert rechecked(evidence).verdict is Verdict.UNDECIDED
        assert "n0, n1, n3 said" in " ".join(check.text for check in rechecked(evidence).checks)


def test_a_grant_that_never_was_is_disproved_by_the_header_alone(anvil_binary: str) -> None:
    with real_pool(anvil_binary) as pool:
        known(pool, of="proven quorum")
        values, token = pool.values(), next(one for one in pool.settings.chains[0].contracts if one.name == "token")

        def tell(truth: Any, call: Json) -> Any:
            if call["method"] != "eth_getLogs":
                return truth
            at = call["params"][0]["blockHash"]
            number = pool.state.chains["sim"].tree.headers[at].number
            return [invented(token.address, call["params"][0]["topics"][0][0], at, number)]

        pool.run(pool.virtual["n1"].add(Lie(tell=tell)))
        for _ in range(BLOCK_AND_A_POLL):
            pool.round()
            assert pool.values() == values
        assert pool.open() == {(VALUE, "n1")}
        [alert] = pool.alerts
        evidence = orjson.loads(evidence_bytes(alert))
        report = rechecked(evidence)
        assert report.verdict is Verdict.PROVES, report
        assert "the bloom in the header says that the block has no such logs" in report.checks[-3].text
        for change in ({"answer": []}, {"expected": evidence["said"]}, {"said": "no logs"}):
            assert rechecked({**evidence, **change}).verdict is Verdict.FAILS


def invented(address: str, topic: str, block: str, number: int) -> dict[str, Any]:
    """Return a log of a grant to somebody, in a block that has none."""
    return {
        "address": address,
        "topics": [topic, role_of("PAUSER"), word_of(ALICE), word_of(ALICE)],
        "data": "0x",
        "blockHash": block,
        "blockNumber": hex(number),
        "transactionHash": f"0x{7:064x}",
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }


def price_of(pool: RealPool) -> str | None:
    latest = pool.state.chains["sim"].feeds["eth-usd"].latest
    return None if latest is None else latest.value


def priced_at(answer: int) -> Change:
    """Change the price in what a feed says of its newest round."""

    def changed(said: str) -> str:
        words = bytearray.fromhex(said[2:])
        words[32:64] = answer.to_bytes(32)
        return f"0x{words.hex()}"

    return changed


def test_who_lies_about_a_price_is_named_and_the_price_stays(plain_pool: RealPool) -> None:
    pool, [feed] = plain_pool, plain_pool.settings.chains[0].feeds
    pool.until(lambda: price_of(pool) == "2000", 20)
    said = [one for one in pool.effects if isinstance(one, StateChanged) and one.kind == "feed"]
    since, before = len(pool.alerts), len(said)
    assert before
    lie = Untruth("eth_call", lambda said: priced_at(10**8)(said) if len(said) > 66 else said, VALUE)
    pool.run(pool.virtual["n2"].add(telling(lie, feed.address)))
    for _ in range(BLOCK_AND_A_POLL):
        pool.round()
        assert price_of(pool) == "2000"
    assert {(alert.detector, dict(alert.labels)["node"]) for alert in pool.alerts[since:]} == {(VALUE, "sim.n2")}
    [alert, *_] = pool.alerts[since:]
    report = rechecked(orjson.loads(evidence_bytes(alert)))
    assert report.verdict is Verdict.UNDECIDED
    assert "n0, n1, n3 said" in " ".join(check.text for check in report.checks)
    healed(pool, ["n2"], since, worth=Verdict.UNDECIDED)
    later = [one for one in pool.effects if isinstance(one, StateChanged) and one.kind == "feed"][before:]
    assert not [one for one in later if one.document is not None and one.document.get("price") == "1"]


def everywhere(address: str, word: str) -> Lie:
    """Return the fault of a node whose answers about a contract's first slot all agree with each other."""

    def tell(truth: Any, call: Json) -> Any:
        first = call["params"][0] if call.get("params") else None
        if (first.get("to") if isinstance(first, dict) else first) != address:
            return truth
        match call["method"]:
            case "eth_getStorageAt" | "eth_call":
                return word
            case "eth_getProof":
                return in_slot(lambda slot: {**slot, "value": word})(truth)
        return truth

    return Lie(tell=tell)


def test_who_lies_the_same_in_every_answer_is_named_all_the_same(plain_pool: RealPool) -> None:
    pool, values = plain_pool, plain_pool.values()
    admin = next(one for one in pool.settings.chains[0].contracts if one.name == "admin")
    since = len(pool.alerts)
    pool.run(pool.virtual["n1"].add(everywhere(admin.address, WORD)))
    for _ in range(BLOCK_AND_A_POLL):
        pool.round()
        assert pool.values() == values
    assert pool.open() == {(PROOF, "n1"), (VALUE, "n1")}
    healed(pool, ["n1"], since)


def test_one_proof_is_enough_against_all_others(plain_pool: RealPool) -> None:
    pool, values = plain_pool, plain_pool.values()
    factory = next(one for one in pool.settings.chains[0].contracts if one.name == "factory")
    since, liars = len(pool.alerts), ["n1", "n2", "n3"]
    for liar in liars:
        pool.run(pool.virtual[liar].add(everywhere(factory.address, WORD)))
    for _ in range(BLOCK_AND_A_POLL):
        pool.round()
        assert pool.values() == values
    assert pool.open() >= {(VALUE, liar) for liar in liars}
    assert not any(node == "n0" for _, node in pool.open())
    healed(pool, liars, since)


def healed(pool: RealPool, liars: list[str], since: int, worth: Verdict = Verdict.PROVES) -> None:
    """Check all evidence, let everybody tell the truth again, and have seen it."""
    alerts = {alert.fingerprint: alert for alert in pool.alerts[since:]}
    for alert in alerts.values():
        if alert.detector in (PROOF, VALUE):
            assert rechecked(orjson.loads(evidence_bytes(alert))).verdict is worth
    for liar in liars:
        pool.run(pool.virtual[liar].clear("lie"))
    pool.round()
    for alert in alerts.values():
        pool.acked(alert)
    pool.until(lambda: not pool.open(), 40)
    pool.rounds(30)  # until everybody is believed again, and all is told that was not known meanwhile
