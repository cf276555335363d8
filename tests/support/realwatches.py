"""Real contracts and prices with something of every kind that is watched, and what changes each of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.support.aggregatorcode import AGGREGATOR, RUNTIME
from tests.support.anvil import Lockstep
from tests.support.artifacts import OPENZEPPELIN, Deployer, call_data, code_of, of_safe
from tests.support.feedcode import creation, selector
from tests.support.realpool import ALICE, BOB, Doing, Placed, deployed, granted, priced, role_of
from tests.support.realprices import FIRST, Prices, prices_on

from tocsin.chain.keccak import keccak256
from tocsin.model.contract import Amount, Bounds, ContractSettings, Layout, Role, Watch

CAROL: Final = f"0x{0xCA401:040x}"
_SENTINEL: Final = f"0x{1:040x}"
_PROXIABLE: Final = int.from_bytes(keccak256(b"PROXIABLE"))
_BALANCES, _ALLOWANCES, _SUPPLY = (f"0x{number:064x}" for number in (2, 3, 4))
"""Of OpenZeppelin's ERC20PresetMinterPauser 4: after two slots of its roles."""
_TOKENS: Final = Bounds(decimals=18)


async def everything(pair: Lockstep) -> Placed:
    """Put contracts on the chain of which all is watched that can be, each value in every way in which it is read."""
    plain = {one.name: one for one in await deployed(pair)}
    at = Deployer(pair)
    types = ("uint256", "address[]", "address[]", "address")
    sender = (await pair.call("eth_accounts"))[0].lower()
    timelock = await at.deploy(code_of(OPENZEPPELIN, "TimelockController"), types, 0, [ALICE], [ALICE], sender)
    owned = await at.deploy(code_of(OPENZEPPELIN, "ProxyAdmin"))
    uups = await at.deploy(creation(RUNTIME))
    for slot, value in ((_PROXIABLE, plain["token"].address), (AGGREGATOR, ALICE)):
        await at.send(uups, _stored(slot, value))
    contracts = {**plain, **{one.name: one for one in _more(plain, timelock, owned, uups)}}
    prices = await prices_on(pair)
    feed = replace(await priced(pair), name="plain")
    addresses = {one.name: one.address for one in contracts.values()}
    doings = (*_of_contracts(addresses, sender), *_of_prices(prices, feed.address))
    # Hours may pass in which nobody answers, and that is not what it is about.
    heartbeats = [replace(one, heartbeat_ns=one.heartbeat_ns and feed.heartbeat_ns) for one in prices.feeds]
    return Placed(contracts=tuple(contracts.values()), feeds=(*heartbeats, feed), doings=doings)


def _more(plain: dict[str, ContractSettings], timelock: str, owned: str, uups: str) -> Iterator[ContractSettings]:
    token, wallet, behind = (plain[name] for name in ("token", "wallet", "behind"))
    proposer = Role(name="proposer", id=role_of("PROPOSER"), members=(ALICE,))
    yield replace(
        token,
        watches=(*token.watches, Watch.SUPPLY),
        supply=_TOKENS,
        layouts={"supply": Layout(slot=_SUPPLY)},
    )
    yield ContractSettings(
        name="timelock",
        address=timelock,
        watches=(Watch.CODE, Watch.ROLES),
        roles=(proposer,),
        layouts={"roles": Layout(slot=f"0x{0:064x}")},
    )
    yield replace(plain["admin"], name="owned", address=owned)
    yield ContractSettings(
        name="uups",
        address=uups,
        watches=(Watch.CODE, Watch.IMPLEMENTATION, Watch.PAUSER),
        layouts={
            "implementation": Layout(slot=f"0x{_PROXIABLE:064x}"),
            "pauser": Layout(slot=f"0x{AGGREGATOR:064x}"),
        },
        functions={"pauser": f"0x{selector('aggregator()').hex()}"},
    )
    yield replace(behind, layouts={"beacon_implementation": plain["beacon"].layouts["implementation"]})
    kept = Amount(name="kept", bounds=_TOKENS, token=token.address, slot=_BALANCES)
    taken = Amount(name="bob", bounds=_TOKENS, token=token.address, spender=BOB, slot=_ALLOWANCES)
    yield replace(
        wallet,
        watches=(Watch.BALANCE, Watch.ALLOWANCE),
        balances=(*wallet.balances, kept, replace(kept, name="told", slot="")),
        allowances=(taken, replace(taken, name="carol", spender=CAROL, slot="")),
    )


def _stored(slot: int, value: str | int) -> bytes:
    return call_data("store(uint256,uint256)", slot, value if isinstance(value, int) else int(value, 16))


def _of_contracts(at: dict[str, str], sender: str) -> Iterator[Doing]:
    token, safe, uups = (at[name] for name in ("token", "safe", "uups"))
    for verb in ("grant", "revoke"):
        yield Doing(token, granted(verb, "MINTER", BOB))
        yield Doing(token, granted(verb, "PAUSER", CAROL))
        yield Doing(at["timelock"], granted(verb, "PROPOSER", BOB))
    for signature in ("pause()", "unpause()"):
        yield Doing(token, call_data(signature))
    for owner in (ALICE, at["wallet"]):
        yield Doing(token, call_data("mint(address,uint256)", owner, 10**18))
    for code in (token, at["factory"]):
        yield Doing(at["beacon"], call_data("upgradeTo(address)", code))
        yield Doing(at["admin"], call_data("upgrade(address,address)", at["proxy"], code))
        yield Doing(uups, _stored(_PROXIABLE, code))
    yield from (Doing(uups, _stored(AGGREGATOR, name)) for name in (ALICE, BOB))
    yield Doing(at["owned"], call_data("transferOwnership(address)", BOB))
    yield from (Doing(at["factory"], call_data("enableFeeAmount(uint24,int24)", 20_000 + fee, 7)) for fee in range(3))
    for data in (
        call_data("addOwnerWithThreshold(address,uint256)", CAROL, 1),
        call_data("removeOwner(address,address,uint256)", _SENTINEL, CAROL, 1),
        call_data("enableModule(address)", CAROL),
        call_data("disableModule(address,address)", _SENTINEL, CAROL),
        *(call_data("setFallbackHandler(address)", name) for name in (ALICE, BOB)),
    ):
        yield Doing(safe, of_safe(sender, safe, data))
    for spender, amount in ((BOB, 0), (BOB, 10**30), (CAROL, 1), (CAROL, 2)):
        yield Doing(token, call_data("approve(address,uint256)", spender, amount), sender=at["wallet"])
    yield Doing(token, call_data("transfer(address,uint256)", ALICE, 1), sender=at["wallet"])
    yield Doing(BOB, b"", sender=at["wallet"], value=10**15)


def _of_prices(prices: Prices, feed: str) -> Iterator[Doing]:
    yield from (Doing(feed, call_data("answer(int256)", answer)) for answer in (2_000 * 10**8, 2_001 * 10**8))
    at = 128 + 8 * FIRST
    yield from (Doing(prices.proxy.address, _stored(at, answer)) for answer in (2_000 * 10**8, 1_999 * 10**8))
    yield Doing(prices.base, call_data("transfer(address,uint256)", prices.swap, 10**15))
    yield Doing(prices.swap, call_data("sync()"))
    yield from (
        Doing(prices.pool, call_data("increaseObservationCardinalityNext(uint16)", count)) for count in range(2, 5)
    )
