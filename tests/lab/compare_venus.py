"""A Venus market read as the rules say and counted, beside what its contracts say and do."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from tests.lab.chain import Contract, Json, selector
from tests.lab.venus import LIQUIDATOR, PACE_S, RULES, Lab

from tocsin.protocols.base import Liquidation, Reach, Refusal, UnknownStateError
from tocsin.protocols.compound_v2.accrual import accrued, stored, vai_index
from tocsin.protocols.compound_v2.critical import critical_price
from tocsin.protocols.compound_v2.liquidation import VAI
from tocsin.protocols.compound_v2.market import Account, Market
from tocsin.protocols.compound_v2.valuation import Position, position
from tocsin.risk.columns import Columns
from tocsin.risk.table import Legs

OF: Final = RULES.of
PRICE_ERROR: Final = 13
Ours = Liquidation | Refusal | UnknownStateError


@dataclass
class Compared:
    """Accounts that were held against what the comptroller says of them, and what differs."""

    accounts: int = 0
    short: int = 0
    in_pools: int = 0
    owing_vai: int = 0
    wrong: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass
class Tried:
    """Liquidations that were tried, and what came out otherwise than we said."""

    done: int = 0
    of_vai: int = 0
    with_fee: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Any, ...]] = field(default_factory=list)


async def compare(lab: Lab, so_far: Compared) -> None:
    """Hold all accounts at the newest block against the comptroller, and then with all interest added."""
    await _hold(lab, so_far)
    place = await lab.chain.anvil.call("evm_snapshot")
    block = await lab.chain.anvil.block()
    market, accounts = await lab.read(block)
    at_s = int(block["timestamp"], 16) + PACE_S
    await lab.chain.send(
        *(token.call("accrueInterest") for token in lab.tokens), lab.controller.call("accrueVAIInterest")
    )
    said = await lab.said(await lab.chain.anvil.block())
    for account, (_, liquidity, shortfall) in zip(accounts, said, strict=True):
        ours = RULES.verdict(market, account, at_s)
        found = accrued_position(market, account, at_s)
        told = (found.liquidity, found.shortfall, ours.liquidatable)
        if told != (liquidity, shortfall, shortfall > 0):
            so_far.wrong.append(("accrued", account.address.hex(), told, liquidity, shortfall))
    assert await lab.chain.anvil.call("evm_revert", place)


async def _hold(lab: Lab, so_far: Compared) -> None:
    block = await lab.chain.anvil.block()
    market, accounts = await lab.read(block, exact=False)
    at_s = int(block["timestamp"], 16)
    columns = RULES.columns(market, at_s)
    for account, answer in zip(accounts, await lab.said(block), strict=True):
        found = position(OF, market, account, stored(market), market.vai.index if market.vai else 0)
        assert_columns_tell(columns, RULES.legs(market, account, at_s), accrued_position(market, account, at_s))
        so_far.accounts += 1
        so_far.short += found.shortfall > 0
        so_far.in_pools += account.pool > 0
        so_far.owing_vai += account.vai is not None and account.vai.minted > 0
        if answer != (0, found.liquidity, found.shortfall) or RULES.differs(market, account, answer, at_s):
            so_far.wrong.append((account.address.hex(), found, answer))


def vai_at(market: Market, at_s: int) -> int:
    """Return the index of VAI with all interest added."""
    return 0 if market.vai is None else vai_index(OF, market, market.vai, at_s)


def accrued_position(market: Market, account: Account, at_s: int) -> Position:
    """Return an account with all interest added."""
    return position(OF, market, account, accrued(OF, market, at_s), vai_at(market, at_s))


def assert_columns_tell(columns: Columns, legs: Legs, ours: Position) -> None:
    """Hold what an account comes to by legs and factors against what it comes to by the rules: no more than steps."""
    sides = (
        (legs.collateral, "raw", "collateral_step", ours.collateral),
        (legs.collateral, "collateral", "collateral_step", ours.weighted),
        (legs.debt, "debt", "debt_step", ours.debt),
    )
    for side, factor, step, exact in sides:
        known = [(getattr(columns.all[at], factor), amount) for at, amount in side.items()]
        if any(one is None for one, _ in known):
            continue
        told = sum((one * amount for one, amount in known), Fraction(0))
        assert abs(told - exact) <= sum(getattr(columns.all[at], step) for at in side)


# -- liquidations


async def liquidate(lab: Lab, rng: random.Random, so_far: Tried, most: int) -> None:
    """Try liquidations of accounts as they are at the newest block, each by itself, and hold them against ours."""
    block = await lab.chain.anvil.block()
    market, accounts = await lab.read(block)
    at_s = int(block["timestamp"], 16) + PACE_S
    for account, seized, owed in _pairs(market, accounts, at_s, rng)[:most]:
        amount, ours = _wanted(market, account, (seized, owed), at_s, rng)
        theirs = await _really(lab, market, account, (seized, owed, amount))
        so_far.of_vai += owed == VAI and theirs is not None
        if _judged(ours, theirs, so_far):
            so_far.wrong.append((account.address.hex(), seized, owed, amount, ours, theirs))


def _falls(market: Market, account: Account, at_s: int) -> bool:
    try:
        return RULES.verdict(market, account, at_s).liquidatable
    except UnknownStateError:
        return True


def _pairs(
    market: Market, accounts: Sequence[Account], at_s: int, rng: random.Random
) -> list[tuple[Account, int, int]]:
    """Return pairs to try, in no order: of those that fall all, of others some, and some that fit nobody."""
    found = []
    for account in accounts:
        owes = [*account.borrows, *([VAI] if account.vai and account.vai.minted else [])]
        pairs = [(account, seized, owed) for seized in account.balances for owed in owes]
        falls = _falls(market, account, at_s)
        found += pairs if falls else rng.sample(pairs, min(len(pairs), rng.random() < 0.3))
        if falls and owes and rng.random() < 0.2:
            found.append((account, rng.randrange(len(market.tokens)), rng.choice(owes)))
    rng.shuffle(found)
    return found


def _wanted(market: Market, account: Account, pair: tuple[int, int], at_s: int, rng: random.Random) -> tuple[int, Ours]:
    """Return how much is offered, and what we say of it: often just the most, one more, or nothing."""
    seized, owed = (_address(market, at) for at in pair)
    try:
        most = RULES.liquidation(market, account, seized, owed, None, at_s)
        amount = most.repaid if isinstance(most, Liquidation) else rng.randint(1, 10**20)
        if pair[1] == VAI and isinstance(most, Liquidation):
            amount = rng.randint(1, most.repaid)
        elif rng.random() < 0.4:
            amount = rng.choice((amount + 1, rng.randint(1, max(amount, 1)), 0, 2 * amount))
        return amount, RULES.liquidation(market, account, seized, owed, amount, at_s)
    except UnknownStateError as unknown:
        return rng.randint(1, 10**6), unknown


def _address(market: Market, at: int) -> bytes:
    if at != VAI:
        return market.tokens[at].address
    assert market.vai is not None
    return market.vai.controller


async def _really(lab: Lab, market: Market, account: Account, wanted: tuple[int, int, int]) -> dict[str, int] | None:
    """Liquidate in the next block, say what happened, None where it was refused, and take it back."""
    anvil, (seized, owed, amount) = lab.chain.anvil, wanted
    place = await anvil.call("evm_snapshot")
    user, collateral = f"0x{account.address.hex()}", lab.tokens[seized]
    to = lab.controller if owed == VAI else lab.tokens[owed]
    if lab.liquidator is not None:
        call = lab.liquidator.call("liquidateBorrow", to.address, user, amount, collateral.address)
    else:
        call = to.call("liquidateVAI" if owed == VAI else "liquidateBorrow", user, amount, collateral.address)
    (receipt,) = await lab.chain.send(call, sender=LIQUIDATOR, may_fail=True)
    assert int(receipt["blockNumber"], 16) == market.block.number + 1
    theirs = await _said(lab, receipt, user, wanted) if receipt["status"] == "0x1" else None
    assert await anvil.call("evm_revert", place)
    return theirs


async def _said(lab: Lab, receipt: Json, user: str, wanted: tuple[int, int, int]) -> dict[str, int] | None:
    """Return what a liquidation's logs and the balances after it say; None if it came to nothing."""
    seized, owed, _ = wanted
    to = lab.controller if owed == VAI else lab.tokens[owed]
    done = _words(receipt, to, "LiquidateVAI" if owed == VAI else "LiquidateBorrow")
    if done is None:
        return None
    shared = _words(receipt, lab.liquidator, "LiquidateBorrowedTokens") if lab.liquidator is not None else None
    left = await lab.chain.ask(to, "getVAIRepayAmount" if owed == VAI else "borrowBalanceStored", user)
    held = await lab.chain.ask(lab.tokens[seized], "balanceOf", user)
    return {
        "repaid": done[2],
        "seized": done[4],
        "fee": shared[-2] if shared else 0,
        "owed": left,
        "held": held,
    }


def _words(receipt: Json, of: Contract, name: str) -> list[int] | None:
    """Return the arguments of the event of a name that are not indexed, as numbers."""
    (topic,) = {f"0x{selector(item).hex()}" for item in of.abi if item["type"] == "event" and item["name"] == name}
    for log in receipt["logs"]:
        if log["address"] == of.address and log["topics"][0] == topic:
            data = log["data"][2:]
            return [int(data[at : at + 64], 16) for at in range(0, len(data), 64)]
    return None


def _judged(ours: Ours, theirs: dict[str, int] | None, so_far: Tried) -> bool:
    """Count a try, and tell whether both differ."""
    if not isinstance(ours, Liquidation):
        so_far.refused[ours.reason if isinstance(ours, Refusal) else str(ours).partition(": ")[2]] += 1
        return theirs is not None
    so_far.done += 1
    so_far.with_fee += ours.fee > 0
    counted = {
        "repaid": ours.repaid,
        "seized": ours.seized,
        "fee": ours.fee,
        "owed": ours.debt_left,
        "held": ours.collateral_left,
    }
    return counted != theirs


async def unknown(lab: Lab, at: int) -> tuple[int, list[tuple[Any, ...]]]:
    """Take the price of one asset away: of whom is nothing known, by us and by the comptroller?

    Return how many those are, and whoever is known to one alone. What was entered and is empty needs no price.
    """
    await lab.set_price(lab.tokens[at].address, 0)
    block = await lab.chain.anvil.block()
    market, accounts = await lab.read(block)
    silent, wrong = 0, list[tuple[Any, ...]]()
    for account, (error, *_) in zip(accounts, await lab.said(block), strict=True):
        try:
            RULES.verdict(market, account, int(block["timestamp"], 16))
            ours = ""
        except UnknownStateError as said:
            ours = str(said)
        silent += error == PRICE_ERROR
        if ("PRICE_ERROR" in ours) != (error == PRICE_ERROR):
            wrong.append((account.address.hex(), ours, error))
    return silent, wrong


async def critical(lab: Lab) -> tuple[int, list[tuple[Any, ...]]]:
    """Ask the comptroller at the prices where we say that accounts fall, and one unit on their healthy side.

    Return how many exact prices were tried, and those prices at which the comptroller says otherwise.
    """
    market, accounts = await lab.read(await lab.chain.anvil.block())
    exact, wrong = 0, list[tuple[Any, ...]]()
    for account in [one for one in accounts if one.borrows]:
        for place, token in enumerate(lab.tokens):
            index = market.vai.index if market.vai is not None else 0
            found = critical_price(OF, market, account, bytes.fromhex(token.address[2:]), stored(market), index)
            if found.edge is None:
                continue
            outward = 1 if found.reach is Reach.BELOW else -1
            at_edge = [(found.edge, True)] if found.exact else []
            exact += found.exact
            for price, falls in (*at_edge, (found.edge + outward, False)):
                if price < 1:
                    continue
                if (await _shortfall_at(lab, account, place, price) > 0) != falls:
                    wrong.append((account.address.hex(), lab.assets[place].symbol, price, found))
    return exact, wrong


async def _shortfall_at(lab: Lab, account: Account, place: int, price: int) -> int:
    slot = f"0x{int(lab.tokens[place].address, 16):064x}"
    asked = lab.comptroller.call("getAccountLiquidity", f"0x{account.address.hex()}")
    state = {lab.oracle: {"stateDiff": {slot: f"0x{price:064x}"}}}
    said = await lab.chain.anvil.call("eth_call", asked, "latest", state)
    error, _, shortfall = lab.comptroller.result("getAccountLiquidity", 1, said)
    assert not error
    return int(shortfall)
