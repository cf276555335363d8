"""Morpho Blue as its makers published it, with markets of several kinds and accounts in each."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.lab.chain import Chain, Contract, Json

from tocsin.model.block import BlockRef
from tocsin.protocols.base import WAD, UnknownStateError
from tocsin.protocols.morpho_blue import KIND
from tocsin.protocols.morpho_blue.market import PRICE_SCALE, Account, Market
from tocsin.protocols.morpho_blue.rules import REVISION, MorphoRules
from tocsin.protocols.morpho_blue.valuation import worth
from tocsin.protocols.places import Parts, Target

RULES: Final = MorphoRules()
NOBODY: Final = f"0x{0:040x}"
DAY_S: Final = 86_400
_YEAR_S: Final = 365 * DAY_S


@dataclass(frozen=True)
class Kind:
    """A market as it is created."""

    name: str
    price: int
    """In units of the loan token for a unit of collateral, with 36 decimals."""
    lltv: int
    fee: int = 0
    model: str = ""
    """`moving`, a rate of a year in percent that always holds, or empty for none."""
    collateral: int = 10**18
    """What a small account has of it; others have up to 10,000 times as much."""


KINDS: Final = (
    Kind("18 against 6 decimals", 2_000_12345678 * PRICE_SCALE // 10**20, WAD * 86 // 100, WAD // 10, "moving"),
    Kind("8 against 18", 60_321 * PRICE_SCALE * 10**10, WAD * 915 // 1000, WAD // 4, "300", 10**6),
    Kind("an odd loan-to-value", PRICE_SCALE * 11 // 10, WAD * 945 // 1000 + 1, 0, "moving", 10**21),
    Kind("most for liquidators", PRICE_SCALE * 37 // 100, WAD * 385 // 1000, 0, "", 10**19),
    Kind("dust", PRICE_SCALE * 337 // 100, WAD * 77 // 100, WAD // 20, "5000", 7),
)

SHOCKS: Final[Sequence[int]] = (100, 96, 88, 75, 60, 40)
"""Percent of the first prices, state by state."""


@dataclass
class Place:
    """A market on the chain, and who is in it."""

    kind: Kind
    terms: tuple[str, str, str, str, int]
    """As the contract has them."""
    target: Target
    parts: Parts
    users: list[str] = field(default_factory=list)

    @property
    def oracle(self) -> str:
        return self.terms[2]

    @property
    def addresses(self) -> list[bytes]:
        return [bytes.fromhex(user[2:]) for user in self.users]


@dataclass
class MorphoLab:
    """The contract with all its markets."""

    chain: Chain
    morpho: Contract
    places: list[Place] = field(default_factory=list)

    async def set_price(self, place: Place, price: int) -> None:
        await self.chain.answering(place.oracle, price)

    async def read(self, place: Place, block: Json) -> tuple[Market, list[Account]]:
        """Read a market and all accounts in it at a block."""
        pinned = {"blockHash": block["hash"]}
        market = await self.chain.read(
            RULES.market(place.parts, BlockRef(number=int(block["number"], 16), hash=block["hash"])), pinned
        )
        accounts = await self.chain.read(RULES.accounts(place.parts, market, place.addresses), pinned)
        return market, accounts

    async def rate_at(self, place: Place, block: Json, at_s: int) -> int | None:
        """Return what the interest rate model would say in a block of a later time."""
        if place.terms[3] == NOBODY:
            return None
        stored = await self.chain.ask(self.morpho, "market", place.target.id)
        model = self.chain.at("MovingRate", place.terms[3])
        call = model.call("borrowRateView", place.terms, tuple(stored))
        pinned = {"blockHash": block["hash"]}
        said = await self.chain.anvil.call("eth_call", call, pinned, {}, {"time": hex(at_s)})
        return int(said, 16)

    def liquidate(self, place: Place, user: str, seized: int, shares: int) -> Json:
        return self.morpho.call("liquidate", place.terms, user, seized, shares, b"")

    # -- accounts

    async def populate(self, place: Place, count: int, rng: random.Random) -> None:
        """Open positions: of nobody, of collateral alone, and of debts of which some are just what may be owed."""
        users = [f"0x{rng.getrandbits(160):040x}" for _ in range(count)]
        held = {user: int(place.kind.collateral * 10 ** rng.uniform(0, 4)) for user in users if rng.random() < 0.97}
        supplied = [self.morpho.call("supplyCollateral", place.terms, held[user], user, b"") for user in held]
        await self.chain.send(*supplied)
        place.users += users
        for turn in range(2):
            borrowing = [user for user in held if rng.random() < (0.9, 0.3)[turn]]
            await self._borrow(place, borrowing, rng)
            await self.chain.anvil.mine(apart_s=rng.randint(1, 5_000))

    async def _borrow(self, place: Place, users: Sequence[str], rng: random.Random) -> None:
        block = await self.chain.anvil.block()
        market, accounts = await self.read(place, block)
        sent = []
        for account in accounts:
            user = f"0x{account.address.hex()}"
            found = worth(market, account, int(block["timestamp"], 16))
            amount = int((found.most - found.owed) * rng.choice((1.0, 0.999, rng.uniform(0.3, 0.99))))
            if user in users and amount > 0:
                sent.append((self.morpho.call("borrow", place.terms, amount, 0, user, user), user))
        # What is owed is rounded up, so not all that may be owed is lent: some are refused.
        await self.chain.send_all(sent)

    async def stir(self, place: Place, rng: random.Random) -> None:
        """Let some repay shares, add or take out collateral, or nobody do anything."""
        for user in rng.sample(place.users, 5):
            _, shares, collateral = await self.chain.ask(self.morpho, "position", place.target.id, user)
            how = rng.choice(("repay", "supplyCollateral", "withdrawCollateral"))
            part = rng.randint(1, 1 + (shares if how == "repay" else collateral) // 7)
            values = {"repay": (0, part, user, b""), "supplyCollateral": (part, user, b"")}
            call = self.morpho.call(how, place.terms, *values.get(how, (part, user, user)))
            await self.chain.send_all([(call, user if how == "withdrawCollateral" else self.chain.owner)])


async def deploy(chain: Chain, kinds: Sequence[Kind] = KINDS) -> MorphoLab:
    """Put Morpho Blue on a chain, with a market of each kind; the owner lends to all of them."""
    await chain.start()
    morpho = await chain.deploy("Morpho", chain.owner)
    moving = await chain.deploy("MovingRate")
    lab = MorphoLab(chain=chain, morpho=morpho)
    await chain.send(morpho.call("setFeeRecipient", f"0x{0xFEE:040x}"))
    models = {"": NOBODY, "moving": moving.address}
    for at, kind in enumerate(kinds):
        if kind.model not in models:
            models[kind.model] = f"0x{0x1A7E00 + at:040x}"
            await chain.answering(models[kind.model], int(kind.model) * WAD // 100 // _YEAR_S)
    await chain.send(*(morpho.call("enableIrm", model) for model in models.values()))
    for at, kind in enumerate(kinds):
        lab.places.append(await _create(lab, kind, models[kind.model], f"0x{0xFEED00 + at:040x}"))
    return lab


async def _create(lab: MorphoLab, kind: Kind, model: str, oracle: str) -> Place:
    chain, morpho = lab.chain, lab.morpho
    loan, collateral = await chain.deploy_all([("ERC20Mock", ()), ("ERC20Mock", ())])
    terms = (loan.address, collateral.address, oracle, model, kind.lltv)
    await chain.answering(oracle, kind.price)
    steps = [morpho.call("enableLltv", kind.lltv), morpho.call("createMarket", terms)]
    steps += [morpho.call("setFee", terms, kind.fee)] if kind.fee else []
    for token in (loan, collateral):
        steps.append(token.call("setBalance", chain.owner, 2**120))
        steps.append(token.call("approve", morpho.address, 2**256 - 1))
    lent = max(10**9, 25_000 * kind.collateral * kind.price // PRICE_SCALE)
    steps.append(morpho.call("supply", terms, lent, 0, chain.owner, b""))
    receipts = await chain.send(*steps)
    created = next(log for log in receipts[1]["logs"] if len(log["topics"]) > 1)
    target = Target(pool=bytes.fromhex(morpho.address[2:]), id=bytes.fromhex(created["topics"][1][2:]))
    assert await chain.read(KIND.revision(target)) == REVISION
    return Place(kind=kind, terms=terms, target=target, parts=await chain.read(RULES.parts(target)))


async def is_unknown(lab: MorphoLab, target: Target) -> str:
    """Return why a market cannot be read."""
    try:
        await lab.chain.read(RULES.parts(target))
    except UnknownStateError as error:
        return str(error)
    raise AssertionError(f"there is a market {target.id.hex()}")
