"""Contracts as others have published them, watched on a real anvil: each value as it is, each change told of."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.support.anvil import running_anvil
from tests.support.anvilpool import AnvilPool
from tests.support.artifacts import OPENZEPPELIN, SAFE, Deployer, call_data, code_of, of_safe

from tocsin.chain.keccak import keccak256
from tocsin.model.alert import Severity
from tocsin.model.contract import Amount, Bounds, ContractSettings, Layout, Role, Watch

ALICE, BOB, CAROL = (f"0x{name:040x}" for name in (0xA11CE, 0xB0B, 0xCA401))
NOBODY = f"0x{0:040x}"
WRITER = f"0x{0xBAD:040x}"
"""Writes its second word of input to the slot that the first one names."""
MINTER, PAUSER = (f"0x{keccak256(name).hex()}" for name in (b"MINTER_ROLE", b"PAUSER_ROLE"))
PROPOSER = f"0x{keccak256(b'PROPOSER_ROLE').hex()}"
HANDLER = keccak256(b"fallback_manager.handler.address")
ADMIN = f"0x{bytes(32).hex()}"


@pytest.fixture
async def pool(anvil_binary: str) -> AsyncIterator[AnvilPool]:
    async with running_anvil(anvil_binary) as anvil:
        await anvil.mine(70, apart_s=12)
        made = AnvilPool(anvil)
        made.clock.advance(s=71 * 12)
        yield made


@pytest.fixture
async def deployer(pool: AnvilPool) -> Deployer:
    made = Deployer(pool)
    made.sender = (await pool.call("eth_accounts"))[0].lower()
    return made


def contract(address: str, *watches: Watch, **more: Any) -> ContractSettings:
    return ContractSettings(name="it", address=address, watches=watches, **more)


def slot(number: int) -> Layout:
    return Layout(slot=f"0x{number:064x}")


async def well(pool: AnvilPool, one: ContractSettings, blocks: int = 3) -> None:
    await pool.mine(2)
    pool.watch(one)
    await pool.mine(blocks)
    assert pool.seen("it").problem == ""
    assert pool.alerts == []


# -- a Safe


@pytest.fixture
async def safe(deployer: Deployer) -> str:
    single = await deployer.deploy(code_of(SAFE, "Safe"))
    factory = await deployer.deploy(code_of(SAFE, "SafeProxyFactory", "proxies/"))
    handler = await deployer.deploy(code_of(SAFE, "CompatibilityFallbackHandler", "handler/"))
    setup = call_data(
        "setup(address[],uint256,address,bytes,address,address,uint256,address)",
        *([deployer.sender, ALICE], 1, NOBODY, b"", handler, NOBODY, 0, NOBODY),
    )
    made = call_data("createProxyWithNonce(address,bytes,uint256)", single, setup, 0)
    receipt = await deployer.send(factory, made)
    return f"0x{receipt['logs'][-1]['topics'][1][-40:]}"


async def executed(deployer: Deployer, safe: str, data: bytes) -> None:
    """Let the Safe do something to itself, as its owner, who sends the transaction, has signed."""
    await deployer.send(safe, of_safe(deployer.sender, safe, data))


async def sent(pool: AnvilPool, sender: str, to: str, data: bytes) -> None:
    """Send a transaction that waits for the next block."""
    wanted = {"from": sender, "to": to, "data": f"0x{data.hex()}", "gas": "0x3d090"}
    await pool.call("eth_sendTransaction", wanted)


async def test_a_safe_is_known_by_proofs(pool: AnvilPool, deployer: Deployer, safe: str) -> None:
    await well(pool, contract(safe, Watch.SAFE))
    values = pool.values("it")
    assert values["safe.owners"] == ",".join(sorted([deployer.sender, ALICE]))
    assert (values["safe.threshold"], values["safe.nonce"], values["safe.modules"]) == ("1", "0", "none")
    assert values["safe.guard"] == values["safe.module_guard"] == NOBODY
    handler = await pool.call("eth_getStorageAt", safe, f"0x{HANDLER.hex()}", "latest")
    single = await pool.call("eth_getStorageAt", safe, "0x0", "latest")
    assert (values["safe.fallback_handler"], values["safe.singleton"]) == (f"0x{handler[-40:]}", f"0x{single[-40:]}")
    assert set(pool.how("it").values()) == {"proven"}


@pytest.mark.parametrize(
    ("data", "value", "now"),
    [
        (call_data("addOwnerWithThreshold(address,uint256)", BOB, 2), "safe.owners", None),
        (call_data("addOwnerWithThreshold(address,uint256)", BOB, 2), "safe.threshold", "2"),
        (call_data("enableModule(address)", CAROL), "safe.modules", CAROL),
        (call_data("setFallbackHandler(address)", CAROL), "safe.fallback_handler", CAROL),
    ],
)
async def test_a_change_of_a_safe_is_told_and_its_nonce_is_none(
    pool: AnvilPool, deployer: Deployer, safe: str, data: bytes, value: str, now: str | None
) -> None:
    await well(pool, contract(safe, Watch.SAFE))
    await executed(deployer, safe, data)
    await pool.mine(2)
    assert pool.open() == {("contract.safe_changed", "sim")}
    [alert] = pool.alerts
    assert alert.severity is Severity.CRITICAL
    rows: Any = alert.evidence["changes"]
    wanted = now or ",".join(sorted([deployer.sender, ALICE, BOB]))
    assert {row["watch"]: row["now"] for row in rows}[value] == wanted == pool.values("it")[value]
    assert pool.values("it")["safe.nonce"] == "1"
    pool.ack("contract.safe_changed")
    await pool.mine(2)
    assert pool.open() == set()
    assert pool.seen("it").baseline[value].by == "alice"


async def test_a_guard_is_told_of(pool: AnvilPool, deployer: Deployer, safe: str) -> None:
    code = code_of(SAFE, "DelegateCallTransactionGuard", "examples/guards/")
    guard = await deployer.deploy(code, ("address",), ALICE)
    await well(pool, contract(safe, Watch.SAFE))
    await executed(deployer, safe, call_data("setGuard(address)", guard))
    await pool.mine(2)
    assert pool.alerts[0].summary == f"it is governed otherwise: safe.guard was {NOBODY}, is {guard}"


async def test_another_singleton_is_told_of(pool: AnvilPool, deployer: Deployer, safe: str) -> None:
    """What the thieves of February 2025 did: a delegate call wrote whose code the Safe runs."""
    await pool.call("anvil_setCode", WRITER, "0x6020356000355500")
    await well(pool, contract(safe, Watch.SAFE))
    before = pool.values("it")["safe.singleton"]
    wanted = bytes(32) + int(CAROL, 16).to_bytes(32)
    await deployer.send(safe, of_safe(deployer.sender, safe, wanted, to=WRITER, delegated=True))
    await pool.mine(2)
    assert f"safe.singleton was {before}, is {CAROL}" in pool.alerts[0].summary
    assert pool.open() == {("contract.safe_changed", "sim")}


async def test_many_owners_that_come_at_once_are_read_at_the_next_block_at_the_latest(
    pool: AnvilPool, deployer: Deployer, safe: str
) -> None:
    await well(pool, contract(safe, Watch.SAFE))
    owners = [f"0x{0xAAAA00 + at:040x}" for at in range(40)]
    for owner in owners:
        added = call_data("addOwnerWithThreshold(address,uint256)", owner, 1)
        await sent(pool, deployer.sender, safe, of_safe(deployer.sender, safe, added))
    await pool.mine(2)
    assert pool.values("it")["safe.owners"] == ",".join(sorted([deployer.sender, ALICE, *owners]))
    assert pool.seen("it").problem == ""
    assert set(pool.how("it").values()) == {"proven"}


async def test_what_is_no_safe_is_told_and_pins_nothing(pool: AnvilPool, deployer: Deployer) -> None:
    types = ("string", "string", "uint256", "address")
    token = await deployer.deploy(code_of(OPENZEPPELIN, "ERC20PresetFixedSupply"), types, "T", "T", 10, ALICE)
    pool.watch(contract(token, Watch.SAFE))
    await pool.mine(3)
    assert pool.seen("it").problem.startswith(f"{token} is no Safe: ")
    assert pool.seen("it").baseline == pool.values("it") == {}


# -- roles


@pytest.fixture
async def token(deployer: Deployer) -> str:
    """An ERC-20 whose roles can be enumerated, and that can be paused."""
    return await deployer.deploy(code_of(OPENZEPPELIN, "ERC20PresetMinterPauser"), ("string", "string"), "T", "T")


@pytest.fixture
async def timelock(deployer: Deployer) -> str:
    """What has roles and does not tell who has them."""
    types = ("uint256", "address[]", "address[]", "address")
    return await deployer.deploy(
        code_of(OPENZEPPELIN, "TimelockController"), types, 0, [ALICE], [ALICE], deployer.sender
    )


async def test_who_has_a_role_that_can_be_enumerated_is_known(pool: AnvilPool, deployer: Deployer, token: str) -> None:
    role = Role(name="minter", id=MINTER, enumerable=True)
    await well(pool, contract(token, Watch.ROLES, Watch.PAUSED, roles=(role,)))
    assert pool.values("it") == {
        "roles.minter": deployer.sender,
        "roles.minter.admin": ADMIN,
        "roles": "none",
        "paused": "false",
    }
    await deployer.send(token, call_data("grantRole(bytes32,address)", bytes.fromhex(MINTER[2:]), BOB))
    await pool.mine(2)
    assert pool.open() == {("contract.role_granted", "sim")}
    assert pool.alerts[0].summary == f"it gives other rights: roles.minter has now {BOB}"
    # One that is not configured, which only the log names.
    await deployer.send(token, call_data("grantRole(bytes32,address)", bytes.fromhex(PAUSER[2:]), CAROL))
    await pool.mine(2)
    assert pool.values("it")["roles"] == f"{PAUSER}/{CAROL}"


@pytest.mark.parametrize("layouts", [{}, {"roles": slot(0)}])
async def test_a_role_that_is_given_to_anybody_is_seen_by_its_log_and_then_by_the_state(
    pool: AnvilPool, deployer: Deployer, timelock: str, layouts: dict[str, Layout]
) -> None:
    role = Role(name="proposer", id=PROPOSER, members=(ALICE,))
    await well(pool, contract(timelock, Watch.ROLES, roles=(role,), layouts=layouts))
    assert pool.values("it")["roles.proposer"] == ALICE
    assert pool.how("it")["roles.proposer.admin"] == ("proven" if layouts else "quorum")
    grant = call_data("grantRole(bytes32,address)", bytes.fromhex(PROPOSER[2:]), BOB)
    await deployer.send(timelock, grant)
    await pool.mine(2)
    assert pool.open() == {("contract.role_granted", "sim")}
    assert pool.values("it")["roles.proposer"] == f"{BOB},{ALICE}"
    pool.ack("contract.role_granted")
    await pool.mine(5)
    assert pool.open() == set()
    assert pool.seen("it").baseline["roles.proposer"].value == f"{BOB},{ALICE}"
    await deployer.send(timelock, call_data("revokeRole(bytes32,address)", bytes.fromhex(PROPOSER[2:]), ALICE))
    await pool.mine(2)
    assert pool.alerts[-1].summary == f"it gives other rights: roles.proposer no longer {ALICE}"


async def test_a_role_that_was_given_and_taken_back_within_one_block_is_told_of(
    pool: AnvilPool, deployer: Deployer, timelock: str
) -> None:
    role = Role(name="proposer", id=PROPOSER, members=(ALICE,))
    await well(pool, contract(timelock, Watch.ROLES, roles=(role,)))
    for name in ("grantRole", "revokeRole"):
        data = call_data(f"{name}(bytes32,address)", bytes.fromhex(PROPOSER[2:]), BOB)
        await sent(pool, deployer.sender, timelock, data)
    await pool.mine(4)
    assert pool.values("it")["roles.proposer"] == ALICE
    assert pool.open() == {("contract.role_granted", "sim")}
    assert pool.alerts[0].summary == f"it gives other rights: roles.proposer has now {BOB}"


async def test_what_has_no_roles_is_told(pool: AnvilPool, safe: str) -> None:
    pool.watch(contract(safe, Watch.ROLES, roles=(Role(name="minter", id=MINTER, members=(ALICE,)),)))
    await pool.mine(2)
    assert "roles.minter: hasRole() returns no such value" in pool.seen("it").problem


# -- amounts, and what stands behind a beacon


def amount(name: str, most: int, least: str = "", **more: str) -> Amount:
    return Amount(name=name, bounds=Bounds(least=least, most=str(most), decimals=18), **more)


@pytest.mark.parametrize("at", ["", f"0x{2:064x}"])
async def test_balances_allowances_and_supply_are_held_against_their_limits(
    pool: AnvilPool, deployer: Deployer, token: str, at: str
) -> None:
    wallet, mapping = deployer.sender, (f"0x{3:064x}" if at else "")
    await deployer.send(token, call_data("mint(address,uint256)", wallet, 5 * 10**18))
    hot = ContractSettings(
        name="it",
        address=wallet,
        watches=(Watch.BALANCE, Watch.ALLOWANCE),
        balances=(amount("token", 10 * 10**18, str(10**18), token=token, slot=at), amount("eth", 10**23)),
        allowances=(amount("bob", 10**18, token=token, spender=BOB, slot=mapping),),
    )
    layouts = {"supply": slot(4)} if at else {}
    supply = ContractSettings(
        name="token",
        address=token,
        watches=(Watch.SUPPLY,),
        supply=Bounds(most=str(100 * 10**18), decimals=18),
        layouts=layouts,
    )
    pool.watch(hot, supply)
    await pool.mine(3)
    assert pool.seen("it").problem == pool.seen("token").problem == ""
    assert pool.values("it")["balance.token"] == str(5 * 10**18)
    assert pool.values("it")["allowance.bob"] == "0"
    assert pool.values("token")["supply"] == str(5 * 10**18)
    assert pool.how("it")["balance.eth"] == "proven"
    assert pool.how("it")["balance.token"] == pool.how("token")["supply"] == ("proven" if at else "quorum")
    assert pool.alerts == []
    await deployer.send(token, call_data("approve(address,uint256)", BOB, 2**256 - 1))
    await deployer.send(token, call_data("transfer(address,uint256)", CAROL, 45 * 10**17))
    await deployer.send(token, call_data("mint(address,uint256)", CAROL, 10**20))
    await pool.mine(2)
    told = {alert.detector: alert for alert in pool.alerts if alert.reason == "fired"}
    assert set(told) == {"contract.balance_limit", "contract.allowance_limit"}
    balances = [
        alert for alert in pool.alerts if alert.detector == "contract.balance_limit" and alert.reason == "fired"
    ]
    assert {(alert.severity, alert.summary) for alert in balances} == {
        (Severity.WARNING, "it: balance.token is 0.5, less than 1"),
        (Severity.CRITICAL, "token: supply is 105, more than 100"),
    }
    assert told["contract.allowance_limit"].summary.endswith("39457.584007913129639935, more than 1")
    await deployer.send(token, call_data("approve(address,uint256)", BOB, 0))
    await pool.mine(2)
    assert ("contract.allowance_limit", "resolved") in {(alert.detector, alert.state.value) for alert in pool.alerts}


async def test_a_token_with_other_decimals_than_are_configured_is_told(
    pool: AnvilPool, deployer: Deployer, token: str
) -> None:
    await deployer.send(token, call_data("mint(address,uint256)", deployer.sender, 10**18))
    wrong = Amount(name="token", bounds=Bounds(most=str(250_000 * 10**6), decimals=6), token=token)
    pool.watch(contract(deployer.sender, Watch.BALANCE, balances=(wrong,)))
    await pool.mine(3)
    said = f"balance.token: the token {token} has 18 decimals, and 6 are configured"
    assert pool.seen("it").problem == said
    assert {alert.detector: alert.summary for alert in pool.alerts} == {
        "contract.balance_limit": f"it: balance.token is 1000000000000, more than 250000 (but {said})",
        "contract.misconfigured": f"it is not what the configuration says: {said}",
    }
    right = replace(wrong, bounds=Bounds(most=str(250_000 * 10**18), decimals=18))
    pool.watch(contract(deployer.sender, Watch.BALANCE, balances=(right,)))
    await pool.mine(5)
    assert pool.seen("it").problem == ""
    assert pool.open() == set()


async def test_amounts_in_the_smallest_unit_need_no_decimals(pool: AnvilPool, deployer: Deployer, token: str) -> None:
    units = Amount(name="token", bounds=Bounds(least="0", decimals=0), token=token)
    await well(pool, contract(deployer.sender, Watch.BALANCE, balances=(units,)))


async def test_what_is_no_token_is_told(pool: AnvilPool, deployer: Deployer) -> None:
    wrong = Amount(name="token", bounds=Bounds(decimals=6), token=BOB)
    pool.watch(contract(deployer.sender, Watch.BALANCE, balances=(wrong,)))
    await pool.mine(3)
    said = f"balance.token: there is no code at {BOB}: check the token's address"
    assert pool.seen("it").problem == said
    assert [alert.summary for alert in pool.alerts] == [f"it is not what the configuration says: {said}"]


@pytest.mark.parametrize("layouts", [{}, {"beacon_implementation": slot(1)}])
async def test_what_a_beacon_names_is_known_and_another_one_is_an_upgrade(
    pool: AnvilPool, deployer: Deployer, token: str, timelock: str, layouts: dict[str, Layout]
) -> None:
    beacon = await deployer.deploy(code_of(OPENZEPPELIN, "UpgradeableBeacon"), ("address",), token)
    proxy = await deployer.deploy(code_of(OPENZEPPELIN, "BeaconProxy"), ("address", "bytes"), beacon, b"")
    await well(pool, contract(proxy, Watch.BEACON, Watch.BEACON_IMPLEMENTATION, layouts=layouts))
    assert pool.values("it") == {"beacon": beacon, "beacon_implementation": token}
    assert pool.how("it")["beacon_implementation"] == ("proven" if layouts else "quorum")
    await deployer.send(beacon, call_data("upgradeTo(address)", timelock))
    await pool.mine(2)
    assert pool.open() == {("contract.proxy_upgraded", "sim")}
    assert pool.alerts[0].summary == (f"it was upgraded: beacon_implementation was {token}, is {timelock}")
