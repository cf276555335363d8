"""Roles, Safes and amounts on a simulated chain: what is left away, made up or missed changes nothing, or is told."""

import random
from dataclasses import replace
from typing import Any

import pytest
from orjson import loads
from tests.property.test_contract_watches import laid_out, names, pages
from tests.support.honest import prune
from tests.support.pool import healthy
from tests.support.statepool import StatePool, lying, watching

from tocsin.chain.keccak import keccak256
from tocsin.clock import NS
from tocsin.engine import watch_logs, watch_roles, watch_safe, words
from tocsin.model.alert import Severity
from tocsin.model.contract import Amount, Bounds, ContractSettings, Role, SafePart, Watch
from tocsin.testing import ChainSpec
from tocsin.testing.simstate import Change, Reverted, SimAccount, SimLog, World, word

SAFE, ROLES, TOKEN, WALLET = (bytes([at]) * 20 for at in (0x5A, 0x60, 0x70, 0x80))
SAFE_CODE, ROLES_CODE, TOKEN_CODE = bytes.fromhex("6001"), bytes.fromhex("6002"), bytes.fromhex("6003")
ALICE, BOB, CAROL = (f"0x{name:040x}" for name in (0xA11CE, 0xB0B, 0xCA401))
MINTER = f"0x{keccak256(b'MINTER_ROLE').hex()}"
ROOT = word(0)
TOTAL, CAP, GUARDIAN = 4, 5, 6

A_SAFE = ContractSettings(name="safe", address=f"0x{SAFE.hex()}", watches=(Watch.SAFE,))
A_ROLE = ContractSettings(
    name="roles",
    address=f"0x{ROLES.hex()}",
    watches=(Watch.ROLES, Watch.PAUSER),
    functions={"pauser": f"0x{words.selector('guardian()').hex()}"},
    roles=(Role(name="minter", id=MINTER, members=(ALICE,)),),
)
A_TOKEN = ContractSettings(
    name="token",
    address=f"0x{TOKEN.hex()}",
    watches=(Watch.SUPPLY,),
    supply=Bounds(most="1000", decimals=1),
)
A_WALLET = ContractSettings(
    name="wallet",
    address=f"0x{WALLET.hex()}",
    watches=(Watch.BALANCE,),
    balances=(Amount(name="eth", bounds=Bounds(least="100", most="200", decimals=2)),),
)


def held(role: str, account: str) -> tuple[bytes, int]:
    return ROLES, int.from_bytes(words.mapped(ROOT, role, account))


def grant(role: str, account: str, *, holds: bool = True, logged: bool = True) -> Change:
    topics = (watch_roles.GRANTED, bytes.fromhex(role[2:]), words.padded(account), word(1))
    log = SimLog(address=ROLES, topics=topics)
    return Change(slots={held(role, account): int(holds)}, logs=(log,) if logged else ())


def of_safe(seen: World, to: bytes, data: bytes) -> bytes:
    slots = {word(slot): value for slot, value in seen.account(to).slots.items()}
    part = SafePart.OWNERS if data == words.selector("getOwners()") else SafePart.MODULES
    text = {f"0x{to.hex()}:0x{slot.hex()}": f"0x{value:064x}" for slot, value in slots.items()}
    members = list(watch_safe.walk(f"0x{to.hex()}", part, text).members)
    return bytes.fromhex((names if part is SafePart.OWNERS else pages)(members)[2:])


def of_roles(seen: World, to: bytes, data: bytes) -> bytes:
    slots = seen.account(to).slots
    arguments = [f"0x{data[at : at + 32].hex()}" for at in range(4, len(data), 32)]
    if data[:4] == words.selector("guardian()"):
        return word(slots.get(GUARDIAN, 0))
    slot = words.mapped(ROOT, *arguments)
    if data[:4] == words.selector("getRoleAdmin(bytes32)"):
        slot = words.beside(slot, 1)
    return word(slots.get(int.from_bytes(slot), 0))


def of_token(seen: World, to: bytes, data: bytes) -> bytes:
    slot = {words.selector("totalSupply()"): TOTAL, words.selector("cap()"): CAP}.get(data)
    if slot is None or (slot == CAP and CAP not in seen.account(to).slots):
        raise Reverted
    return word(seen.account(to).slots.get(slot, 0))


def world() -> World:
    safe = laid_out([ALICE, BOB], [], threshold=2, nonce=7)
    return World(
        {
            SAFE: SimAccount(code=SAFE_CODE, slots={int.from_bytes(slot): value for slot, value in safe.items()}),
            ROLES: SimAccount(code=ROLES_CODE, slots={held(MINTER, ALICE)[1]: 1, GUARDIAN: int(ALICE, 16)}),
            TOKEN: SimAccount(code=TOKEN_CODE, slots={TOTAL: 500}),
            WALLET: SimAccount(balance=150),
            **{bytes([at]) * 20: SimAccount(balance=at) for at in range(1, 9)},
        }
    )


def pool_of(*contracts: ContractSettings, proofs: bool = True, **more: Any) -> StatePool:
    settings = watching(contracts=contracts, **more)
    pool = StatePool(settings, spec=ChainSpec(history=200, world=world()))
    for code, program in ((SAFE_CODE, of_safe), (ROLES_CODE, of_roles), (TOKEN_CODE, of_token)):
        pool.chain.programs[code] = program
    for node in pool.nodes.values():
        node.data.missing = set() if proofs else {"eth_getProof"}
    pool.rounds(10 if proofs else 40)
    for one in contracts:
        assert pool.seen(one.name).problem == ""
        assert {name for name in one.parts if name != "supply.cap"} <= pool.seen(one.name).latest.keys()
    assert pool.alerts == []
    return pool


def listed(request: bytes) -> list[dict[str, Any]]:
    """The calls of a request."""
    asked = loads(request)
    return asked if isinstance(asked, list) else [asked]


def value(pool: StatePool, contract: str, name: str) -> str:
    return pool.seen(contract).latest[name].value


def write(pool: StatePool, address: bytes, slots: dict[bytes, int]) -> None:
    pool.chain.send(Change(slots={(address, int.from_bytes(slot)): number for slot, number in slots.items()}))


# -- Safes


@pytest.mark.parametrize("proofs", [True, False])
def test_a_safe_is_proven_or_counted_and_a_change_is_told(*, proofs: bool) -> None:
    pool = pool_of(A_SAFE, proofs=proofs)
    assert {grade for _, grade in pool.values("safe").values()} == {"proven" if proofs else "quorum"}
    assert value(pool, "safe", "safe.owners") == f"{BOB},{ALICE}"
    write(pool, SAFE, laid_out([ALICE, CAROL, BOB], [CAROL], threshold=1, nonce=8))
    pool.until(lambda: bool(pool.alerts), 14)
    [alert] = pool.alerts
    assert alert.summary == (
        "safe is governed otherwise: "
        f"safe.modules has now {CAROL}; safe.owners has now {CAROL}; safe.threshold was 2, is 1"
    )
    pool.ack("contract.safe_changed")
    pool.rounds(20)
    assert pool.open() == set()
    assert pool.seen("safe").baseline["safe.nonce"].value == "8"


def test_a_nonce_that_rises_is_no_news_and_one_that_falls_is() -> None:
    pool = pool_of(A_SAFE)
    for nonce in (8, 9, 300):
        write(pool, SAFE, {watch_safe.PLACES[SafePart.NONCE]: nonce})
        pool.rounds(14)
    assert pool.alerts == []
    assert pool.seen("safe").baseline["safe.nonce"].value == "300"
    write(pool, SAFE, {watch_safe.PLACES[SafePart.NONCE]: 299})
    pool.rounds(14)
    assert pool.alerts[0].summary == "safe is governed otherwise: safe.nonce was 300, is 299"


def test_a_safe_whose_owners_make_no_sense_any_more_is_told_of() -> None:
    pool = pool_of(A_SAFE)
    write(pool, SAFE, {words.mapped(watch_safe.LISTS[SafePart.OWNERS], ALICE): int(ALICE, 16)})
    pool.until(lambda: bool(pool.alerts), 14)
    assert "safe.owners was" in pool.alerts[0].summary
    assert pool.alerts[0].summary.endswith("is unreadable")
    assert "the list runs in a circle" in pool.seen("safe").problem


def test_a_list_that_makes_no_sense_at_first_sight_is_told_and_not_pinned() -> None:
    begun = int.from_bytes(words.mapped(watch_safe.LISTS[SafePart.MODULES], 1))
    there = world().after(Change(slots={(SAFE, begun): 2**170}))
    pool = StatePool(watching(contracts=(A_SAFE,)), spec=ChainSpec(history=200, world=there))
    pool.chain.programs[SAFE_CODE] = of_safe
    pool.rounds(20)
    assert value(pool, "safe", "safe.modules") == "unreadable"
    assert "safe.modules: the list holds what is no address" in pool.seen("safe").problem
    assert "safe.modules" not in pool.seen("safe").baseline
    assert "safe.owners" in pool.seen("safe").baseline
    assert pool.alerts == []


def test_a_code_that_names_other_owners_than_it_has_changes_nothing_and_is_told() -> None:
    pool = pool_of(A_SAFE)
    pool.chain.programs[SAFE_CODE] = lambda *_: bytes.fromhex(names([CAROL])[2:])
    pool.rounds(14)
    assert value(pool, "safe", "safe.owners") == f"{BOB},{ALICE}"
    assert pool.alerts == []
    assert "safe.owners: its code names others than its slots hold" in pool.seen("safe").problem


# -- roles


def test_somebody_who_is_given_a_role_is_told_of_and_accepted_for_good() -> None:
    pool = pool_of(A_ROLE)
    pool.chain.send(grant(MINTER, BOB))
    pool.until(lambda: bool(pool.alerts), 14)
    assert pool.alerts[0].summary == f"roles gives other rights: roles.minter has now {BOB}"
    pool.ack("contract.role_granted")
    pool.restart(down_s=3)
    pool.rounds(30)
    assert pool.open() == set()
    assert value(pool, "roles", "roles.minter") == f"{BOB},{ALICE}"


def test_a_role_that_nobody_configured_is_told_of() -> None:
    pool = pool_of(A_ROLE)
    other = f"0x{'ab' * 32}"
    pool.chain.send(grant(other, BOB))
    pool.until(lambda: bool(pool.alerts), 14)
    assert pool.alerts[0].summary == f"roles gives other rights: roles has now 0xabababab...abababab/{BOB}"
    assert value(pool, "roles", "roles") == f"{other}/{BOB}"


def test_another_pauser_is_told_of() -> None:
    pool = pool_of(A_ROLE)
    pool.chain.send(Change(slots={(ROLES, GUARDIAN): int(BOB, 16)}))
    pool.until(lambda: bool(pool.alerts), 14)
    assert pool.alerts[0].summary == f"roles gives other rights: pauser was {ALICE}, is {BOB}"


def test_a_log_that_is_made_up_gives_nobody_a_role_and_its_node_is_named() -> None:
    pool = pool_of(A_ROLE)
    topics = [f"0x{watch_roles.GRANTED.hex()}", MINTER, f"0x{int(BOB, 16):064x}", f"0x{1:064x}"]

    def made_up(_said: Any) -> Any:
        block = pool.chain.branch().head
        near = pool.state.chains["sim"].contracts.looked[0]
        assert block.number >= near.number
        return [{"address": f"0x{ROLES.hex()}", "topics": topics, "data": "0x", "removed": False, **place}]

    place: dict[str, Any] = {}

    def wanted(params: list[Any]) -> bool:
        place.clear()
        number = pool.chain.head().number - 1
        place.update(
            blockHash=params[0].get("blockHash"),
            blockNumber=hex(number),
            transactionHash=f"0x{7:064x}",
            transactionIndex="0x0",
            logIndex="0x0",
        )
        return "blockHash" in params[0]

    pool.answers["n1"] = lying("eth_getLogs", made_up, wanted)
    pool.until(lambda: ("node.call_mismatch", "n1") in pool.open(), 14)
    assert pool.open() == {("node.call_mismatch", "n1")}
    assert value(pool, "roles", "roles.minter") == ALICE


def test_a_log_that_is_left_away_hides_nobody_and_its_node_is_named() -> None:
    pool = pool_of(A_ROLE)
    pool.answers["n2"] = lying("eth_getLogs", lambda _: [])
    pool.chain.send(grant(MINTER, BOB))
    pool.rounds(14)
    assert pool.open() == {("contract.role_granted", "sim"), ("node.call_mismatch", "n2")}


def test_a_node_that_has_each_block_before_its_logs_is_no_liar() -> None:
    pool = pool_of(A_ROLE)
    first: dict[int, int] = {}
    none = lying("eth_getLogs", lambda _: [])

    def block_of(wanted: dict[str, Any]) -> int:
        found = pool.chain.by_hash(wanted["blockHash"]) if "blockHash" in wanted else None
        return found.number if found is not None else int(wanted["fromBlock"], 16)

    def late(node: Any, request: bytes) -> Any:
        """Tell no logs of a block that was first asked about less than a poll ago."""
        blocks = [block_of(one["params"][0]) for one in listed(request) if one["method"] == "eth_getLogs"]
        since = [first.setdefault(number, pool.now) for number in blocks]
        is_early = any(pool.now - begun < pool.settings.chains[0].poll_ns for begun in since)
        return (none if is_early else healthy)(node, request)

    pool.answers["n2"] = late
    for at in range(5):
        pool.chain.send(grant(MINTER, f"0x{0xABC000 + at:040x}"))
        pool.rounds(8)
    assert len(first) > 5
    assert not pool.about("node.call_mismatch")


def test_whoever_was_given_a_role_while_nobody_watched_is_found() -> None:
    pool = pool_of(A_ROLE)
    pool.chain.send(grant(MINTER, BOB))
    pool.restart(down_s=1800)
    pool.chain.send(grant(MINTER, CAROL))
    pool.rounds(30)
    assert pool.state.chains["sim"].contracts.unseen is not None
    pool.until(lambda: BOB in value(pool, "roles", "roles.minter"), 1200)
    assert value(pool, "roles", "roles.minter") == f"{BOB},{ALICE},{CAROL}"
    pool.until(lambda: pool.state.chains["sim"].contracts.unseen is None, 1200)


def test_a_node_that_has_pruned_old_logs_and_says_that_there_were_none_is_no_liar() -> None:
    pool = pool_of(A_ROLE)
    pool.answers["n2"] = lying("eth_getLogs", lambda _: [], lambda params: "fromBlock" in params[0])
    pool.chain.send(grant(MINTER, BOB))
    pool.restart(down_s=1800)
    pool.rounds(10)
    pool.until(lambda: pool.state.chains["sim"].contracts.unseen is None, 1200)
    assert value(pool, "roles", "roles.minter") == f"{BOB},{ALICE}"
    assert not pool.about("node.call_mismatch")


def test_no_block_passes_unseen_while_nodes_are_silent() -> None:
    """A role is given in every third block, to somebody else each time; nodes are silent now and then."""
    pool = pool_of(A_ROLE)
    given = []
    for at in range(40):
        if at % 3 == 0:
            given.append(f"0x{0xABC000 + at:040x}")
            pool.chain.send(grant(MINTER, given[-1]))
        for name in pool.nodes:
            pool.nodes[name].data.missing = {"eth_getLogs"} if at % 10 in (4, 5) else set()
        pool.rounds(6)
    pool.rounds(40)
    assert value(pool, "roles", "roles.minter") == ",".join(sorted([ALICE, *given]))
    assert pool.state.chains["sim"].contracts.unseen is None
    assert len(pool.state.chains["sim"].contracts.looked) == watch_logs.TRAIL


def test_where_no_node_tells_logs_the_status_says_what_is_not_known() -> None:
    settings = watching(contracts=(A_ROLE,))
    pool = StatePool(settings, spec=ChainSpec(history=200, world=world()))
    pool.chain.programs[ROLES_CODE] = of_roles
    for node in pool.nodes.values():
        node.data.missing = {"eth_getLogs"}
    pool.rounds(14)
    assert pool.seen("roles").problem == "roles: no node tells the logs"
    assert value(pool, "roles", "roles.minter") == ALICE
    assert "roles" not in pool.seen("roles").baseline


def test_other_members_in_the_configuration_pin_their_role_anew_and_nothing_else() -> None:
    pool = pool_of(A_ROLE)
    before = pool.seen("roles").baseline
    pool.write(ROLES, held(MINTER, CAROL)[1], 1)
    pool.rounds(14)
    more = replace(A_ROLE, roles=(replace(A_ROLE.roles[0], members=(ALICE, CAROL)),))
    pool.reload(watching(contracts=(more,)))
    pool.rounds(14)
    after = pool.seen("roles").baseline
    assert pool.alerts == []
    assert after["roles.minter"].value == f"{ALICE},{CAROL}"
    assert after["pauser"] == before["pauser"]
    assert after["roles.minter.admin"].block == before["roles.minter.admin"].block


def test_who_is_configured_and_does_not_have_his_role_is_told() -> None:
    wrong = replace(A_ROLE, roles=(replace(A_ROLE.roles[0], members=(ALICE, CAROL)),))
    pool = StatePool(watching(contracts=(wrong,)), spec=ChainSpec(history=200, world=world()))
    pool.chain.programs[ROLES_CODE] = of_roles
    pool.rounds(10)
    said = f"roles.minter: {CAROL} is configured, and does not have it"
    assert pool.seen("roles").problem == said
    assert [alert.summary for alert in pool.alerts] == [f"roles is not what the configuration says: {said}"]


# -- amounts


@pytest.mark.parametrize("proofs", [True, False])
def test_a_wallet_that_runs_empty_or_full_is_told_of_and_ends_by_itself(*, proofs: bool) -> None:
    pool = pool_of(A_WALLET, proofs=proofs)
    assert pool.values("wallet") == {"balance.eth": ("150", "proven" if proofs else "quorum")}
    for balance, said in (
        (99, "wallet: balance.eth is 0.99, less than 1"),
        (201, "wallet: balance.eth is 2.01, more than 2"),
    ):
        pool.chain.send(Change(accounts={WALLET: SimAccount(balance=balance)}))
        pool.rounds(14)
        assert pool.open() == {("contract.balance_limit", "sim")}
        [open_one] = pool.state.chains["sim"].alerts.tracked.values()
        assert (open_one.severity, open_one.finding.summary) == (Severity.WARNING, said)
    for balance in (200, 100):
        pool.chain.send(Change(accounts={WALLET: SimAccount(balance=balance)}))
        pool.rounds(14)
        assert pool.open() == set()
    assert pool.seen("wallet").baseline == {}


def test_a_supply_above_its_limit_or_its_own_cap_is_critical() -> None:
    pool = pool_of(A_TOKEN)
    assert "supply.cap" not in pool.seen("token").latest
    pool.write(TOKEN, TOTAL, 1001)
    pool.rounds(14)
    assert [(alert.severity, alert.summary) for alert in pool.alerts] == [
        (Severity.CRITICAL, "token: supply is 100.1, more than 100")
    ]
    pool.chain.send(Change(slots={(TOKEN, TOTAL): 1000, (TOKEN, CAP): 1000}))
    pool.rounds(14)
    assert pool.alerts[-1].state.value == "resolved"
    pool.write(TOKEN, CAP, 999)
    pool.rounds(14)
    assert pool.alerts[-1].summary == "token: supply is 100, more than its cap() of 99.9"


def test_an_ack_of_a_limit_pins_nothing_and_other_limits_are_not_news() -> None:
    pool = pool_of(A_WALLET)
    pool.chain.send(Change(accounts={WALLET: SimAccount(balance=99)}))
    pool.rounds(14)
    pool.ack("contract.balance_limit")
    assert pool.seen("wallet").baseline == {}
    wider = replace(A_WALLET.balances[0], bounds=Bounds(least="50", most="200", decimals=2))
    pool.reload(watching(contracts=(replace(A_WALLET, balances=(wider,)),)))
    pool.rounds(8)
    assert pool.alerts[-1].state.value == "resolved"


# -- who is honest


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_through_reorgs_pruning_and_outages_nobody_is_accused_and_everybody_who_was_given_a_role_is_found(
    seed: int,
) -> None:
    """Four honest nodes, blocks replaced up to 12 deep; at the end all is known as the chain has it."""
    dice = random.Random(seed)  # noqa: S311 - a seeded simulation
    contracts = (A_SAFE, A_ROLE, A_TOKEN, A_WALLET)
    settings = watching(("self", "b", "c", "d"), contracts, slot_s=12, poll_s=6)
    pool = StatePool(settings, spec=ChainSpec(history=200, world=world()), delays_ns=(0, 700 * 10**6, 2 * NS, 5 * NS))
    for code, program in ((SAFE_CODE, of_safe), (ROLES_CODE, of_roles), (TOKEN_CODE, of_token)):
        pool.chain.programs[code] = program
    pool.rounds(6)
    owners, given = [ALICE, BOB], [ALICE]
    for at in range(60):
        if at % 5 == 4:
            pool.chain.reorg(dice.randint(1, 12))
        if at % 4 == 1:
            given.append(f"0x{0xABC000 + at:040x}")
            pool.chain.send(grant(MINTER, given[-1]))
        if at % 9 == 5:
            owners = [*owners, f"0x{0xDEF000 + at:040x}"]
            write(pool, SAFE, laid_out(owners, [], threshold=2, nonce=8 + at))
        if at % 20 == 10:
            prune(pool.nodes, dice)
        pool.rounds(2)
    for node in pool.nodes.values():
        node.data.missing, node.data.state, node.data.proofs = set(), 127, 127
    pool.rounds(200)
    assert {name for name, _ in pool.open()} <= {"contract.role_granted", "contract.safe_changed", "chain.reorg"}
    assert not [alert for alert in pool.alerts if alert.detector in ("node.proof_invalid", "node.call_mismatch")]
    there = pool.chain.head().world
    assert there is not None
    holders = [account for account in given if there.account(ROLES).slots.get(held(MINTER, account)[1])]
    assert value(pool, "roles", "roles.minter") == ",".join(sorted(holders))
    slots = {
        f"0x{SAFE.hex()}:0x{word(at).hex()}": f"0x{number:064x}" for at, number in there.account(SAFE).slots.items()
    }
    members = watch_safe.walk(f"0x{SAFE.hex()}", SafePart.OWNERS, slots).members
    assert value(pool, "safe", "safe.owners") == ",".join(sorted(members))
    assert {pool.seen(one.name).problem for one in contracts} == {""}


@pytest.mark.parametrize("block_s", [0.25, 1])
def test_on_a_chain_that_is_faster_than_its_polls_whoever_is_given_a_role_is_found_once_that_is_final(
    block_s: float,
) -> None:
    settings = watching(contracts=(A_ROLE,))
    chain = replace(settings.chains[0], block_time_ns=int(block_s * NS))
    spec = ChainSpec(history=200, world=world(), slot_ns=int(block_s * NS))
    pool = StatePool(replace(settings, chains=(chain,)), spec=spec)
    pool.chain.programs[ROLES_CODE] = of_roles
    pool.rounds(12)
    given = []
    for at in range(7):
        given.append(f"0x{0xABC000 + at:040x}")
        pool.chain.send(grant(MINTER, given[-1]))
        pool.rounds(1)
    pool.until(lambda: set(given) <= set(value(pool, "roles", "roles.minter").split(",")), 2000)
    assert not [alert for alert in pool.alerts if alert.detector.startswith("node.")]
