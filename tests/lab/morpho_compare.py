"""Our integers beside what Morpho Blue itself does: who can be liquidated, with what outcome, and what it refuses."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

from eth_abi.abi import decode
from tests.lab.chain import Artifacts, Json, selector
from tests.lab.morpho import RULES, MorphoLab, Place

from tocsin.protocols.base import Reach, Refusal
from tocsin.protocols.morpho_blue.liquidation import HEALTHY, Settled, asked_for, settle
from tocsin.protocols.morpho_blue.market import Account, Market, Totals
from tocsin.protocols.morpho_blue.valuation import worth

_ERROR, _PANIC = "08c379a0", "4e487b71"
_PANICS: Final = {0x11: "arithmetic", 0x12: "division by zero"}
_WORDS: Final = {
    "arithmetic overflow": "arithmetic",
    "arithmetic underflow": "arithmetic",
    "the oracle reverts": "",
    "the interest rate model reverts": "",
}
"""What the contracts do not tell apart, or give no reason for."""


@dataclass
class Compared:
    """Accounts that were held against the contract, and what differs."""

    verdicts: int = 0
    liquidatable: int = 0
    wrong: list[tuple[Any, ...]] = field(default_factory=list)


async def asked(lab: MorphoLab, call: Json, block: Json, *overrides: Json) -> tuple[int, ...] | str:
    """Return what a call of `liquidate` returns, or why it reverts."""
    sent = {**call, "from": lab.chain.owner, "gas": hex(3_000_000), "gasPrice": "0x0"}
    answer = await lab.chain.anvil.answer("eth_call", sent, {"blockHash": block["hash"]}, *overrides)
    if "error" in answer:
        return _reason(answer["error"])
    return tuple(decode(["uint256", "uint256"], bytes.fromhex(answer["result"][2:])))


def _reason(error: Json) -> str:
    data = str(error.get("data") or "0x")[2:]
    if data.startswith(_ERROR):
        return str(decode(["string"], bytes.fromhex(data[8:]))[0])
    if data.startswith(_PANIC):
        return _PANICS[int(data[8:], 16)]
    return data


def counted(found: Settled | Refusal) -> tuple[int, ...] | str:
    """Return the same of ours."""
    if isinstance(found, Refusal):
        return _WORDS.get(found.reason, found.reason)
    return found.seized, found.repaid


async def both(
    lab: MorphoLab, place: Place, account: Account, **wanted: int
) -> tuple[tuple[int, ...] | str, tuple[int, ...] | str]:
    """Return what we say of a liquidation at the newest block, and what the contract does."""
    block = await lab.chain.anvil.block()
    market, _ = await lab.read(place, block)
    ours = settle(market, account, int(block["timestamp"], 16), **wanted)
    call = lab.liquidate(place, f"0x{account.address.hex()}", wanted.get("seized", 0), wanted.get("shares", 0))
    return counted(ours), await asked(lab, call, block)


async def compare(lab: MorphoLab, place: Place, so_far: Compared) -> None:
    """Ask the contract to liquidate a share of each account, at the newest block, and hold it against ours."""
    block = await lab.chain.anvil.block()
    at_s = int(block["timestamp"], 16)
    market, accounts = await lab.read(place, block)
    for account in accounts:
        falls = RULES.verdict(market, account, at_s).liquidatable
        theirs = await asked(lab, lab.liquidate(place, f"0x{account.address.hex()}", 0, 1), block)
        ours = counted(settle(market, account, at_s, shares=1))
        so_far.verdicts += 1
        so_far.liquidatable += falls
        if (ours, falls) != (theirs, theirs != HEALTHY.reason):
            so_far.wrong.append((place.kind.name, account, falls, ours, theirs))
        assert_columns_tell(market, account, at_s)


def assert_columns_tell(market: Market, account: Account, at_s: int) -> None:
    """Hold what an account comes to by legs and factors against what it comes to by the rules: no more than steps."""
    columns, legs = RULES.columns(market, at_s).all, RULES.legs(market, account, at_s)
    exact = worth(market, account, at_s)
    for side, factor, step, value in (
        (legs.collateral, "raw", "collateral_step", exact.collateral),
        (legs.collateral, "collateral", "collateral_step", exact.most),
        (legs.debt, "debt", "debt_step", exact.owed),
    ):
        told = sum((getattr(columns[at], factor) * amount for at, amount in side.items()), Fraction(0))
        assert abs(told - value) <= sum(getattr(columns[at], step) for at in side)


@dataclass
class Tried:
    """Liquidations that were tried, and what came out otherwise than we said."""

    by_collateral: int = 0
    by_shares: int = 0
    bad_debts: int = 0
    with_interest: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Any, ...]] = field(default_factory=list)


async def liquidate(lab: MorphoLab, place: Place, rng: random.Random, so_far: Tried, most: int) -> None:
    """Liquidate accounts a block later, each by itself, and hold what the contract stores then against ours."""
    block = await lab.chain.anvil.block()
    at_s = int(block["timestamp"], 16) + rng.choice((1, 12, 3_600))
    market, accounts = await lab.read(place, block)
    market = replace(market, rate=await lab.rate_at(place, block, at_s))
    falling = [one for one in accounts if one.shares and worth(market, one, at_s).falls]
    chosen = rng.sample(falling, min(most, len(falling))) + rng.sample(accounts, 2)
    for account in chosen:
        wanted = _wanted(market, account, rng, at_s)
        ours = settle(market, account, at_s, **wanted)
        theirs = await _really(lab, place, account, wanted, at_s)
        if isinstance(ours, Refusal):
            so_far.refused[counted(ours)] += 1  # type: ignore[index]
        else:
            so_far.by_collateral += "seized" in wanted
            so_far.by_shares += "shares" in wanted
            so_far.bad_debts += ours.bad_shares > 0
            so_far.with_interest += ours.totals.supply_assets + ours.bad_assets > market.totals.supply_assets
        if theirs != (counted(ours) if isinstance(ours, Refusal) else _stored(ours)):
            so_far.wrong.append((place.kind.name, account, wanted, ours, theirs))


def _wanted(market: Market, account: Account, rng: random.Random, at_s: int) -> dict[str, int]:
    """Return what a liquidator asks for: what an offer buys; or all, one more than all, some or one, or nothing."""
    if rng.random() < 0.4:
        offer = asked_for(
            market, account, rng.choice((None, rng.randint(1, 1 + market.totals.borrow_assets // 50))), at_s
        )
        return {"seized": offer.seized} if offer.seized else {"shares": offer.shares}
    how, have = rng.choice((("seized", account.collateral), ("shares", account.shares)))
    return {how: rng.choice((have, have, have + 1, rng.randint(0, have), rng.randint(0, have), 1))}


def _stored(ours: Settled) -> dict[str, Any]:
    return {
        "event": (ours.repaid, ours.repaid_shares, ours.seized, ours.bad_assets, ours.bad_shares),
        "position": (ours.account.shares, ours.account.collateral),
        "totals": ours.totals,
    }


async def _really(
    lab: MorphoLab, place: Place, account: Account, wanted: dict[str, int], at_s: int
) -> dict[str, Any] | str:
    """Liquidate at a time, say what is stored then or why it was refused, and take it back."""
    anvil, user = lab.chain.anvil, f"0x{account.address.hex()}"
    before = await anvil.block()
    call = lab.liquidate(place, user, wanted.get("seized", 0), wanted.get("shares", 0))
    kept = await anvil.call("evm_snapshot")
    await anvil.call("evm_setNextBlockTimestamp", at_s)
    (receipt,) = await lab.chain.send(call, may_fail=True)
    assert int((await anvil.block())["timestamp"], 16) == at_s
    done = receipt["status"] == "0x1"
    found = await _said(lab, place, receipt, user) if done else ""
    assert await anvil.call("evm_revert", kept)
    return found or str(await asked(lab, call, before, {}, {"time": hex(at_s)}))


async def _said(lab: MorphoLab, place: Place, receipt: Json, user: str) -> dict[str, Any]:
    stored = await lab.chain.ask(lab.morpho, "market", place.target.id)
    _, shares, collateral = await lab.chain.ask(lab.morpho, "position", place.target.id, user)
    (event,) = [log for log in receipt["logs"] if log["topics"][0] == _topic(lab.chain.artifacts, "Liquidate")]
    return {
        "event": decode(["uint256"] * 5, bytes.fromhex(event["data"][2:])),
        "position": (shares, collateral),
        "totals": Totals(
            supply_assets=stored[0], supply_shares=stored[1], borrow_assets=stored[2], borrow_shares=stored[3]
        ),
    }


def _topic(artifacts: Artifacts, name: str) -> str:
    item = next(item for item in artifacts["EventsLib"]["abi"] if item["type"] == "event" and item["name"] == name)
    return f"0x{selector(item).hex()}"


async def critical(lab: MorphoLab, place: Place) -> tuple[int, list[tuple[Any, ...]]]:
    """Ask the contract at the prices where we say that accounts fall, and one unit above: it is on the line there.

    Return how many accounts were tried, and those prices at which it says otherwise than their edge or our verdict.
    """
    block = await lab.chain.anvil.block()
    at_s = int(block["timestamp"], 16)
    market, accounts = await lab.read(place, block)
    tried, wrong = 0, []
    for account in accounts:
        found = RULES.critical_price(market, account, market.terms.collateral, at_s)
        if found.reach is not Reach.BELOW or found.edge is None:
            continue
        tried += 1
        call = lab.liquidate(place, f"0x{account.address.hex()}", 0, 1)
        for price, falls in ((found.edge, True), (found.edge + 1, False)):
            code = f"0x7f{price:064x}60005260206000f3"
            said = await asked(lab, call, block, {place.oracle: {"code": code}})
            at_price = market.with_price(price)
            ours = counted(settle(at_price, account, at_s, shares=1))
            verdict = RULES.verdict(at_price, account, at_s).liquidatable
            if (said != HEALTHY.reason, said, verdict) != (falls, ours, falls):
                wrong.append((place.kind.name, account, price, said, ours, verdict))
    return tried, wrong
