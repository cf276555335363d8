"""A protocol that there is not, in a folder of its own: data and one function, and no existing file is touched."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tocsin import protocols
from tocsin.model.block import BlockRef
from tocsin.model.log import Log
from tocsin.model.market import MarketSettings
from tocsin.protocols import kind_of, kinds, rules_of
from tocsin.protocols.base import Exactness, Question, Reach, Reading, Rules, UnknownStateError
from tocsin.protocols.horizon import seconds_to_liquidation
from tocsin.protocols.kind import followed, touched
from tocsin.protocols.places import Base, Parts, Target, Unread
from tocsin.protocols.plainmarket import Asset, PlainAccount, PlainMarket
from tocsin.risk.book import Book
from tocsin.risk.evaluate import evaluate
from tocsin.risk.factors import Factors
from tocsin.risk.health import Flag, confirm, screen
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stress import stress
from tocsin.valuation.packing import Packed, pack
from tocsin.valuation.situation import Situation
from tocsin.valuation.valuing import value

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/add-a-protocol.md"
MADE_UP: Final = PAGE.read_text().split("```python\n")[1].split("```")[0]
"""What the page says to write: all that there is of it."""

RAY: Final = 10**27
POOL, WETH, USDC, ODD = (bytes([number]) * 20 for number in (1, 2, 3, 4))
ASSETS: Final = {
    WETH: ("WETH", 18, 2_000 * 10**8, 8_000, RAY, RAY),
    USDC: ("USDC", 6, 10**8, 9_000, RAY, RAY),
    ODD: ("ODD", 2, 33_333_333, 5_000, RAY * 3 // 2, RAY * 5 // 3),
}
"""Name, decimals, price, threshold, indexes."""
BLOCK: Final = BlockRef(number=9, hash="0x" + "09" * 32)
TARGET: Final = Target(pool=POOL)


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path) -> Iterator[None]:
    """Put the protocol where it is looked for."""
    (tmp_path / "made_up").mkdir()
    (tmp_path / "made_up/__init__.py").write_text(MADE_UP)
    protocols.__path__.append(str(tmp_path))
    try:
        yield
    finally:
        protocols.__path__.remove(str(tmp_path))
        sys.modules.pop("tocsin.protocols.made_up", None)


Accounts = dict[bytes, tuple[dict[bytes, int], dict[bytes, int]]]
"""By account what it has supplied and owes, in shares by asset."""


class Pool:
    """Answers as the contract would."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.says: dict[str, Callable[..., Any]] = {
            "version": lambda: 7,
            "assets": lambda: tuple(ASSETS),
            "symbol": lambda of: ASSETS[of][0],
            "decimals": lambda of: ASSETS[of][1],
            "price": lambda asset: ASSETS[asset][2],
            "threshold": lambda asset: ASSETS[asset][3],
            "supplyIndex": lambda asset: ASSETS[asset][4],
            "debtIndex": lambda asset: ASSETS[asset][5],
            "supplied": lambda account, asset: accounts[account][0].get(asset, 0),
            "owed": lambda asset, account: accounts[account][1].get(asset, 0),
        }

    def read(self, reading: Reading[Any]) -> Any:
        answers: list[Any] | None = None
        while True:
            try:
                questions = next(reading) if answers is None else reading.send(answers)
            except StopIteration as done:
                return done.value
            answers = [self._answer(each) for each in questions]

    def _answer(self, question: Question) -> Any:
        of = question.read.asks.name
        return self.says[of](question.to) if of in ("symbol", "decimals") else self.says[of](*question.arguments)


class Loaded:
    """The market and its accounts, read as the daemon reads them: by kind and revision."""

    def __init__(self, pool: Pool) -> None:
        kind = kind_of("made-up")
        self.rules: Rules[PlainMarket, PlainAccount] = rules_of("made-up", pool.read(kind.revision(TARGET)))
        self.parts: Parts = pool.read(self.rules.parts(TARGET))
        self.market: PlainMarket = pool.read(self.rules.market(self.parts, BLOCK))
        self.read: Sequence[Any] = pool.read(self.rules.accounts(self.parts, self.market, tuple(pool.accounts)))
        self.accounts = {one.address: one for one in self.read if isinstance(one, PlainAccount)}
        self.columns = self.rules.columns(self.market, 0)
        legs = {address: self.rules.legs(self.market, one, 0) for address, one in self.accounts.items()}
        self.book = Book.of(self.columns.names, legs)
        self.factors = Factors.of(self.columns)

    def falls(self, address: bytes) -> bool:
        return self.rules.verdict(self.market, self.accounts[address], 0).liquidatable


def who(number: int) -> bytes:
    return number.to_bytes(20)


ON_THE_LINE: Final[Accounts] = {
    who(1): ({WETH: 10**18}, {USDC: 1_600 * 10**6}),
    who(2): ({WETH: 10**18}, {USDC: 1_600 * 10**6 + 1}),
    who(3): ({WETH: 10**18}, {}),
}


def random_accounts(count: int, seed: int) -> Accounts:
    """Return accounts within a few units of the line, or on it."""
    rng = random.Random(seed)  # noqa: S311 - a seed, not a secret
    found: Accounts = {}
    for number in range(count):
        held, owed = rng.sample(list(ASSETS), rng.randint(1, 3)), rng.choice(list(ASSETS))
        supplied = {asset: int(10 ** (rng.uniform(0, 4) + ASSETS[asset][1])) for asset in held}
        counted = sum(
            amount * ASSETS[asset][4] // RAY * ASSETS[asset][2] // 10 ** ASSETS[asset][1] * ASSETS[asset][3] // 10**4
            for asset, amount in supplied.items()
        )
        _, decimals, price, _, _, index = ASSETS[owed]
        shares = counted * 10**decimals * RAY // (price * index) + rng.choice((-1, 0, 0, 1, rng.randint(-99, 99)))
        found[who(number + 1)] = supplied, {owed: max(shares, 1)}
    return found


def test_it_is_found_and_what_it_is_called_is_read() -> None:
    assert "made-up" in kinds()
    loaded = Loaded(Pool(ON_THE_LINE))
    assert loaded.rules.exactness is Exactness.SOURCE
    assert loaded.parts.names == {WETH: "WETH", USDC: "USDC", ODD: "ODD"}
    assert loaded.rules.base(loaded.parts, loaded.market) == Base(name="USD", decimals=8)
    assert loaded.rules.parameters(loaded.parts, loaded.market)[0] == ("WETH threshold", "8000 bps")
    assert loaded.rules.prices(loaded.market) == {address: one[2] for address, one in ASSETS.items()}
    assert rules_of("made-up", "8").exactness is Exactness.CHAIN


def test_its_verdicts_follow_its_function_to_the_unit() -> None:
    loaded = Loaded(Pool(ON_THE_LINE))
    verdicts = [loaded.rules.verdict(loaded.market, one, 0) for one in loaded.accounts.values()]
    assert [one.liquidatable for one in verdicts] == [False, True, False]
    assert (verdicts[0].health_wad, verdicts[0].collateral_base, verdicts[0].debt_base) == (
        10**18,
        2 * 10**11,
        16 * 10**10,
    )
    assert verdicts[2].health_wad is None
    assert [seconds_to_liquidation(loaded.rules, loaded.market, one, 0, 9) for one in loaded.accounts.values()] == [
        None,
        0,
        None,
    ]


def test_its_book_is_screened_and_no_flag_is_wrong() -> None:
    loaded = Loaded(Pool(random_accounts(600, 1)))
    flags = screen(evaluate(loaded.book, loaded.factors))
    truth = np.array([loaded.falls(loaded.book.account(row)) for row in range(len(loaded.book))])
    settled = confirm(loaded.book, flags, lambda account, _: loaded.falls(account))
    assert ((settled == Flag.LIQUIDATABLE) == truth).all()
    assert 50 < truth.sum() < 550
    assert (flags == Flag.UNSURE).sum() > 100


def test_it_goes_through_scenarios_and_whoever_is_not_near_the_line_falls_as_its_function_says() -> None:
    loaded = Loaded(Pool(random_accounts(300, 2)))
    shocks = [{f"0x{WETH.hex()}": multiple} for multiple in (1.0, 0.8, 0.5, 1.25)]
    report = stress(loaded.book, loaded.factors, Scenarios.of(loaded.factors, shocks))
    for shock, fallen, unsure in zip(shocks, report.liquidatable, report.unsure, strict=True):
        (multiple,) = shock.values()
        market = loaded.market.with_price(WETH, int(ASSETS[WETH][2] * multiple))
        exact = sum(loaded.rules.verdict(market, one, 0).liquidatable for one in loaded.accounts.values())
        assert abs(int(fallen) - exact) <= int(unsure)
    assert report.liquidatable[2] > report.liquidatable[3]
    assert (report.debt[2], report.bad_debt[2]) > (report.debt[3], 0)


def test_at_its_critical_prices_an_account_falls_and_one_unit_before_them_it_does_not() -> None:
    loaded = Loaded(
        Pool({**ON_THE_LINE, **{who(100 + n): one for n, one in enumerate(random_accounts(40, 3).values())}})
    )
    edges = 0
    for account in loaded.accounts.values():
        for asset in ASSETS:
            region = loaded.rules.critical_price(loaded.market, account, asset, 0)
            if region.edge is None:
                continue
            outward = 1 if region.reach is Reach.BELOW else -1
            prices = [(region.edge + outward, False), *([(region.edge, True)] if region.exact else [])]
            for price, falls in prices:
                if not price:
                    continue
                market = loaded.market.with_price(asset, price)
                assert loaded.rules.verdict(market, account, 0).liquidatable is falls
            edges += region.exact
    assert edges > 50
    first, *_ = loaded.accounts.values()
    assert loaded.rules.critical_price(loaded.market, first, WETH, 0).edge == 2_000 * 10**8 - 1
    assert loaded.rules.critical_price(loaded.market, first, ODD, 0).reach is Reach.NEVER


def test_an_asset_on_both_sides_is_tried_price_by_price_near_the_line() -> None:
    loaded = Loaded(Pool({}))
    assets = (Asset(address=WETH, decimals=0, price=1, threshold=7_000, supply_index=RAY * 3 // 2),)
    market = PlainMarket(block=BLOCK, assets=(*assets, Asset(address=USDC, decimals=0, price=1, threshold=0)))
    rng, tried = random.Random(4), 0  # noqa: S311 - a seed, not a secret
    for _ in range(80):
        shares = rng.randint(20, 80)
        own = PlainAccount(address=who(1), supplied={0: shares}, owed={0: rng.randint(1, 60), 1: rng.randint(0, 400)})
        region = loaded.rules.critical_price(market, own, WETH, 0)
        falls = [loaded.rules.verdict(market.with_price(WETH, price), own, 0).liquidatable for price in range(1, 1_500)]
        if not region.exact or region.edge is None:
            continue
        tried += 1
        if region.reach is Reach.BELOW:
            assert region.edge == max(at for at, one in enumerate(falls, 1) if one)
        else:
            assert region.edge == min(at for at, one in enumerate(falls, 1) if one)
    assert tried > 20


def test_it_is_valued_as_the_daemon_values_markets() -> None:
    accounts = {**ON_THE_LINE, who(4): ({WETH: 2 * 10**18}, {USDC: 1_650 * 10**6}), who(5): ({ODD: 1}, {WETH: 10**15})}
    loaded = Loaded(Pool(accounts))
    situation = Situation(
        rules=loaded.rules,
        parts=loaded.parts,
        market=loaded.market,
        accounts=Packed(PlainAccount, {address: pack(one) for address, one in loaded.accounts.items()}),
        book=loaded.book,
        block=BLOCK,
        time_s=0,
    )
    settings = MarketSettings(name="lab", kind="made-up", pool=f"0x{POOL.hex()}", near_ppm=100_000)
    found = value(situation, settings, salt=b"salt").sample
    assert (found.accounts, found.indebted, found.unknown, found.problem) == (5, 4, 0, "")
    assert (found.base, found.base_decimals, found.exactness.value) == ("USD", 8, "screened")
    assert (found.liquidatable, found.underwater) == (2, 1)
    assert [(one.account, one.liquidatable) for one in found.near] == [
        (f"0x{who(5).hex()}", True),
        (f"0x{who(2).hex()}", True),
        (f"0x{who(1).hex()}", False),
    ]
    first, second, third = found.near
    assert (third.health_ppm, third.asset, third.price) == (10**6, "WETH", str(2_000 * 10**8 - 1))
    assert second.held == ()
    # At 5 % less of all but debts, the two on the line fall; at 20 % the fourth does not: 3,200 x 0.8 is above 1,650.
    assert [one.accounts for one in found.curve] == [3, 3, 3, 3]
    assert dict(found.parameters)["USDC threshold"] == "9000 bps"
    assert first.debt == str(2 * 10**8)


def test_its_view_is_asked_and_held_against_its_function() -> None:
    pool = Pool(ON_THE_LINE)
    loaded = Loaded(pool)
    pool.says["worth"] = lambda account: None if account == who(3) else (2 * 10**11, 16 * 10**10, 16 * 10**10)
    first, second, third = pool.read(loaded.rules.view(loaded.parts, tuple(pool.accounts)))
    assert loaded.rules.differs(loaded.market, loaded.accounts[who(1)], first, 0) == ()
    (other,) = loaded.rules.differs(loaded.market, loaded.accounts[who(2)], second, 0)
    assert (other.what, other.ours, other.chain) == ("debt", str(16 * 10**10 + 100), str(16 * 10**10))
    assert isinstance(third, Unread)
    assert rules_of("made-up", "8").view_verdict((5, 3, 4)).liquidatable
    with pytest.raises(UnknownStateError, match="expected to answer"):
        loaded.rules.view_verdict(7)


def test_its_logs_name_who_has_to_be_read_again() -> None:
    loaded = Loaded(Pool(ON_THE_LINE))
    plan = loaded.rules.plan
    (rule,) = kind_of("made-up").index(TARGET)
    assert (rule.addresses, rule.account) == ((f"0x{POOL.hex()}",), "topic1")
    log = Log(index=0, address=POOL, topics=(plan.owes[0].topic0, bytes(12) + who(2)), data=b"")
    assert touched(plan, loaded.parts, [log]).accounts == {who(2)}
    assert plan.changes[0].topic0 in followed(plan, loaded.parts).topics


@pytest.mark.parametrize("price", [None, 0, -1])
def test_without_a_price_nobody_who_holds_the_asset_is_judged_and_all_others_are(price: int | None) -> None:
    pool = Pool({**ON_THE_LINE, who(4): ({ODD: 100}, {USDC: 1})})
    pool.says["price"] = lambda asset: price if asset == WETH else ASSETS[asset][2]
    loaded = Loaded(pool)
    with pytest.raises(UnknownStateError, match=f"there is no price of 0x{WETH.hex()}"):
        loaded.falls(who(1))
    assert not loaded.falls(who(4))
    flags = screen(evaluate(loaded.book, loaded.factors))
    by_account = {loaded.book.account(row): flags[row] for row in range(len(loaded.book))}
    assert (by_account[who(1)], by_account[who(4)]) == (Flag.UNSURE, Flag.SAFE)


def test_an_account_that_cannot_be_read_is_said_to_be_so_and_keeps_no_other_from_being() -> None:
    pool = Pool(ON_THE_LINE)
    owed = pool.says["owed"]
    pool.says["owed"] = lambda asset, account: None if account == who(2) else owed(asset, account)
    loaded = Loaded(pool)
    assert set(loaded.accounts) == {who(1), who(3)}
    assert loaded.read[1] == Unread(account=who(2), reason="what it has and owes of asset 0 could not be read")


def test_two_and_36_decimals_and_255_assets_are_counted_like_any_and_78_decimals_are_refused() -> None:
    loaded = Loaded(Pool({}))
    many = tuple(
        Asset(address=bytes([number]) * 20, decimals=2 if number % 2 else 36, price=10**8, threshold=5_000)
        for number in range(1, 256)
    )
    market = PlainMarket(block=BLOCK, assets=many)
    supplied = {at: asset.unit for at, asset in enumerate(many)}
    account = PlainAccount(address=who(1), supplied=supplied, owed={0: many[0].unit * 255 // 2})
    assert not loaded.rules.verdict(market, account, 0).liquidatable
    more = PlainAccount(address=who(2), supplied=supplied, owed={0: many[0].unit * 255 // 2 + 1})
    assert loaded.rules.verdict(market, more, 0).liquidatable
    columns = loaded.rules.columns(market, 0)
    book = Book.of(columns.names, {one.address: loaded.rules.legs(market, one, 0) for one in (account, more)})
    flags = screen(evaluate(book, Factors.of(columns)))
    assert set(flags) <= {Flag.UNSURE, Flag.LIQUIDATABLE, Flag.SAFE}
    assert not (flags == Flag.LIQUIDATABLE)[book.row(who(1))]
    assert not (flags == Flag.SAFE)[book.row(who(2))]
    pool = Pool({})
    pool.says["decimals"] = lambda _: 78
    with pytest.raises(UnknownStateError, match="78 decimals"):
        Loaded(pool)


def test_an_index_that_goes_back_is_doubted() -> None:
    loaded = Loaded(Pool({}))
    pool = Pool({})
    pool.says["debtIndex"] = lambda asset: ASSETS[asset][5] - (asset == ODD)
    after = Loaded(pool).market
    assert loaded.rules.doubt(loaded.market, after) == f"0x{ODD.hex()}: an index went back"
    assert loaded.rules.doubt(after, loaded.market) == ""


def test_an_empty_book_is_worth_nothing() -> None:
    loaded = Loaded(Pool({}))
    assert len(screen(evaluate(loaded.book, loaded.factors))) == 0
    report = stress(loaded.book, loaded.factors, Scenarios.of(loaded.factors, [{}]))
    assert (report.liquidatable[0], report.debt[0]) == (0, 0)
    nobody = PlainAccount(address=who(1))
    assert loaded.rules.verdict(loaded.market, nobody, 0).liquidatable is False
    bare = PlainAccount(address=who(1), owed={0: 1})
    assert loaded.rules.verdict(loaded.market, bare, 0).liquidatable
