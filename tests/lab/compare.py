"""Our integers beside what the contracts themselves say: of accounts, and of liquidations."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from eth_abi.abi import decode
from tests.lab.aave import NO, Lab
from tests.lab.chain import Json, selector

from tocsin.model.block import BlockRef
from tocsin.protocols.aave_v3.market import Account, Market
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.aave_v3.rules import AaveRules
from tocsin.protocols.aave_v3.valuation import AccountData, account_data
from tocsin.protocols.base import WAD, Liquidation, Reach, Refusal
from tocsin.protocols.places import Unread
from tocsin.risk.columns import Columns
from tocsin.risk.table import Legs

ALL: Final = 2**256 - 1


async def read(lab: Lab, revision: str, block: Json) -> tuple[Market, list[Account]]:
    """Read the market and all accounts at a block."""
    rules, pinned = AaveRules(REVISIONS[revision]), {"blockHash": block["hash"]}
    parts = await lab.parts(revision)
    where = BlockRef(number=int(block["number"], 16), hash=block["hash"])
    market = await lab.chain.read(rules.market(parts, where), pinned)
    accounts = await lab.chain.read(rules.accounts(parts, market, lab.addresses), pinned)
    assert not [each for each in accounts if isinstance(each, Unread)]
    return market, list(accounts)


@dataclass
class Compared:
    """Accounts that were held against what the pool says of them, and what differs."""

    accounts: int = 0
    liquidatable: int = 0
    in_categories: int = 0
    stable_debts: int = 0
    wrong: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)


async def compare(lab: Lab, revision: str, so_far: Compared) -> None:
    """Hold all accounts at the newest block against the pool."""
    block = await lab.chain.anvil.block()
    of = REVISIONS[revision]
    market, accounts = await read(lab, revision, block)
    said = await lab.data(lab.addresses, {"blockHash": block["hash"]})
    at_s = int(block["timestamp"], 16)
    rules = AaveRules(of)
    columns = rules.columns(market, at_s)
    for account, theirs in zip(accounts, said, strict=True):
        ours = account_data(of, market, account, at_s)
        counted = ours.collateral, ours.debt, ours.available, ours.threshold, ours.ltv, ours.health
        assert_columns_tell(columns, rules.legs(market, account, at_s), ours)
        so_far.accounts += 1
        so_far.liquidatable += ours.health < WAD
        so_far.in_categories += account.category > 0
        so_far.stable_debts += any(holding.stable for holding in account.holdings.values())
        so_far.wrong += [(account.address.hex(), counted, theirs)] if counted != theirs else []


def assert_columns_tell(columns: Columns, legs: Legs, ours: AccountData) -> None:
    """Hold what an account comes to by legs and factors against what it comes to by the rules: no more than steps."""
    sides = (
        (legs.collateral, "raw", "collateral_step", ours.collateral),
        (legs.collateral, "collateral", "collateral_step", Fraction(ours.weighted, 10_000)),
        (legs.debt, "debt", "debt_step", ours.debt),
    )
    for side, factor, step, exact in sides:
        if legs.always_exact and factor == "debt":
            continue
        told = sum(getattr(columns.all[at], factor) * amount for at, amount in side.items())
        assert abs(told - exact) <= sum(getattr(columns.all[at], step) for at in side)


@dataclass
class Tried:
    """Liquidations that were tried, and what came out otherwise than we said."""

    done: int = 0
    with_deficit: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Any, ...]] = field(default_factory=list)


async def liquidate(lab: Lab, revision: str, rng: random.Random, so_far: Tried, most: int) -> None:
    """Try liquidations of accounts as they are at the newest block, each by itself, and hold them against ours."""
    rules = AaveRules(REVISIONS[revision])
    block = await lab.chain.anvil.block()
    market, accounts = await read(lab, revision, block)
    at_s = int(block["timestamp"], 16) + 12
    for account, collateral, debt in _pairs(rules, market, accounts, at_s, rng)[:most]:
        amount = rng.choice((None, None, rng.randint(1, 10**20), rng.randint(1, 2_000), rng.randint(10**8, 10**12)))
        ours = rules.liquidation(market, account, collateral, debt, amount, at_s)
        theirs = await _really(lab, market, account, (collateral, debt, amount), at_s)
        if _judged(ours, theirs, so_far):
            so_far.wrong.append((account.address.hex(), collateral.hex(), debt.hex(), amount, ours, theirs))


def _pairs(
    rules: AaveRules, market: Market, accounts: Sequence[Account], at_s: int, rng: random.Random
) -> list[tuple[Account, bytes, bytes]]:
    """Return pairs to try, in no order: of those that can be liquidated all, of others some, one that fits nobody."""
    found = []
    for account in accounts:
        falls = rules.verdict(market, account, at_s).liquidatable
        held = [each.asset for each in market.reserves if each is not None and account.uses(each.id)]
        owed = [each.asset for each in market.reserves if each is not None and account.borrows(each.id)]
        pairs = [(account, one, other) for one in held for other in owed]
        found += pairs if falls else rng.sample(pairs, min(len(pairs), rng.random() < 0.1))
        if falls and rng.random() < 0.1:
            assets = [each.asset for each in market.reserves if each is not None]
            found.append((account, rng.choice(assets), rng.choice(assets)))
    rng.shuffle(found)
    return found


async def _really(
    lab: Lab, market: Market, account: Account, wanted: tuple[bytes, bytes, int | None], at_s: int
) -> dict[str, Any] | None:
    """Liquidate at a time, say what happened, None where it was refused, and take it back."""
    anvil, (collateral, debt, amount) = lab.chain.anvil, wanted
    place = await anvil.call("evm_snapshot")
    await anvil.call("evm_setNextBlockTimestamp", at_s)
    user, assets = f"0x{account.address.hex()}", (f"0x{collateral.hex()}", f"0x{debt.hex()}")
    call = lab.pool.call("liquidationCall", *assets, user, ALL if amount is None else amount, NO)
    (receipt,) = await lab.chain.send(call, may_fail=True)
    theirs = await _said(lab, market, receipt, user, wanted) if receipt["status"] == "0x1" else None
    assert int((await anvil.block())["timestamp"], 16) == at_s
    assert await anvil.call("evm_revert", place)
    return theirs


async def _said(
    lab: Lab, market: Market, receipt: Json, user: str, wanted: tuple[bytes, bytes, int | None]
) -> dict[str, Any]:
    """Return what a liquidation's logs and the balances after it say."""
    topics = {f"0x{selector(item).hex()}": item["name"] for item in lab.pool.abi if item["type"] == "event"}
    logs = [(topics.get(log["topics"][0]), log) for log in receipt["logs"] if log["address"] == lab.pool.address]
    (call,) = [log for name, log in logs if name == "LiquidationCall"]
    repaid, taken, *_ = decode(["uint256", "uint256", "address", "bool"], bytes.fromhex(call["data"][2:]))
    created = [log for name, log in logs if name == "DeficitCreated"]
    held, owed = (market.reserve_of(asset) for asset in wanted[:2])
    assert held is not None
    assert owed is not None
    # Where there are no stable debts any more, there is no code in their place, and nothing is answered.
    asked = [
        ("eth_call", [lab.tokens[0].call("balanceOf", user) | {"to": f"0x{token.hex()}"}, "latest"])
        for token in (held.supply_token, owed.debt_token, owed.stable_token)
    ]
    left = [int(said.removeprefix("0x") or "0", 16) for said in await lab.chain.anvil.batch(asked)]
    return {
        "repaid": repaid,
        "taken": taken,
        "deficits": {bytes.fromhex(log["topics"][2][-40:]): int(log["data"], 16) for log in created},
        "held": left[0],
        "owed": left[1] + left[2],
    }


def _judged(ours: Liquidation | Refusal, theirs: dict[str, Any] | None, so_far: Tried) -> bool:
    """Count a try, and tell whether both differ."""
    if isinstance(ours, Refusal):
        so_far.refused[ours.reason] += 1
        return theirs is not None
    so_far.done += 1
    so_far.with_deficit += bool(ours.deficits)
    counted = {
        "repaid": ours.repaid,
        "taken": ours.seized - ours.fee,
        "deficits": dict(ours.deficits),
        "held": ours.collateral_left,
        "owed": ours.debt_left,
    }
    return counted != theirs


async def critical(lab: Lab, revision: str, most: int) -> tuple[int, list[tuple[Any, ...]]]:
    """Ask the pool at the prices where we say that accounts fall, and one unit on their healthy side.

    Return how many exact prices were tried, and those prices at which the pool says otherwise.
    """
    rules, block = AaveRules(REVISIONS[revision]), await lab.chain.anvil.block()
    market, accounts = await read(lab, revision, block)
    at_s, exact, wrong = int(block["timestamp"], 16), 0, list[tuple[Any, ...]]()
    for account in [one for one in accounts if rules.verdict(market, one, at_s).debt_base][:most]:
        for place, token in enumerate(lab.tokens):
            found = rules.critical_price(market, account, bytes.fromhex(token.address[2:]), at_s)
            if found.edge is None:
                continue
            outward = 1 if found.reach is Reach.BELOW else -1
            # An edge that is not exact may lie further within, never further out.
            at_edge = [(found.edge, True)] if found.exact else []
            exact += found.exact
            for price, falls in (*at_edge, (found.edge + outward, False)):
                if not 0 < price < 2**90:
                    continue
                code = f"0x7f{price:064x}60005260206000f3"
                data = lab.pool.call("getUserAccountData", f"0x{account.address.hex()}")
                said = await lab.chain.anvil.call("eth_call", data, "latest", {lab.feed(place): {"code": code}})
                if (lab.pool.result("getUserAccountData", 1, said)[5] < WAD) != falls:
                    wrong.append((account.address.hex(), lab.assets[place].symbol, price, found))
    return exact, wrong
