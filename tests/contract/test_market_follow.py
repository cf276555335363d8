"""A market that is followed is at every block what is read of it anew: with Aave's own contracts on a real node."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import pytest_asyncio
from tests.lab.aave import CORE, NO, VARIABLE, YES, Lab, deploy_3_0
from tests.lab.chain import ARGUMENTS, Artifacts, Chain
from tests.support.anvil import running_anvil
from tests.support.chains import pool

from tocsin.chain.groups import Groups
from tocsin.chain.readvalues import Values
from tocsin.model.block import BlockRef
from tocsin.model.log import Log
from tocsin.model.logquery import LogFilter
from tocsin.model.market import AccountSettings, MarketSettings
from tocsin.model.reading import CallOf
from tocsin.protocols import kind_of
from tocsin.protocols.base import Exactness, Verdict
from tocsin.protocols.kind import Kind
from tocsin.protocols.places import Target
from tocsin.risk.digest import book_hash
from tocsin.runtime.valuer import compared
from tocsin.state import marketfollow
from tocsin.state.ground import Place
from tocsin.state.marketbook import Saved, Version, lasting_hash, parameters_digest
from tocsin.state.marketfollow import Follower, Members
from tocsin.state.marketread import Unknowable, Worker
from tocsin.state.markettrail import Lost, Trail, Walked
from tocsin.state.reader import Plan, Read, Unread
from tocsin.valuation.packing import Packed, pack
from tocsin.valuation.valuing import value
from tocsin.wire import aggregator
from tocsin.wire.multicall import Call

USERS = 30
PAIR = pool("a b")


@dataclass
class Direct:
    """Reads of one node, at once: what stands in for readers and walks of a chain."""

    lab: Lab
    lie: Callable[[bytes, bytes, bytes | None], bytes | None] = lambda _, __, said: said
    deviations: list[Any] = field(default_factory=list)
    reads: int = 0
    most: int = 10_000

    async def ask(self, plan: Plan, at: Place) -> Read | Unread:
        """Answer calls at a block."""
        calls = [one.item for one in plan.first if isinstance(one.item, CallOf)]
        self.reads += len(calls)
        values = Values(len(calls))
        place = f"0x{aggregator.PLACE.hex()}"
        for begin in range(0, len(calls), 300):
            some = calls[begin : begin + 300]
            data = aggregator.encode([Call(target=one.to, data=one.data) for one in some])
            asked = {"to": place, "data": f"0x{data.hex()}", "gas": hex(900_000_000)}
            code = {place: {"code": f"0x{aggregator.CODE.hex()}"}}
            pinned = {"blockHash": at.block.hash}
            said = await self.lab.chain.anvil.call("eth_call", asked, pinned, code)
            found = aggregator.decode(bytes.fromhex(said[2:]), len(some))
            for at_, one in enumerate(some):
                result = self.lie(one.to, one.data, found.result(at_) if found.succeeded[at_] else None)
                if result is None:
                    values.reverted(begin + at_)
                else:
                    values.returned(begin + at_, result)
        values.confirmed[:] = plan.audit_one_in == 1
        return Read(block=at.block, first=values, second=Values(0), wanted=(), nodes=("a",))

    async def since(
        self, head: BlockRef, knows: Callable[[str], bool], lowest: int, wanted: LogFilter
    ) -> Walked | Lost:
        """Walk down a chain, and return what its logs say."""
        at, logs = head, list[Log]()
        while not knows(at.hash):
            if at.number <= lowest or head.number - at.number > self.most:
                return Lost("it is not known")
            logs = [*await self._logs(at, wanted), *logs]
            block = await self.lab.chain.anvil.call("eth_getBlockByHash", at.hash, *[False])
            at = BlockRef(number=at.number - 1, hash=block["parentHash"])
        return Walked(base=at, logs=tuple(logs))

    async def _logs(self, block: BlockRef, wanted: LogFilter) -> Iterator[Log]:
        addresses = [f"0x{address.hex()}" for address in wanted.addresses]
        topics = [[f"0x{topic.hex()}" for topic in wanted.topics]]
        asked = {"blockHash": block.hash, "address": addresses, "topics": topics}
        found = await self.lab.chain.anvil.call("eth_getLogs", asked)
        return (
            Log(
                index=at,
                address=bytes.fromhex(one["address"][2:]),
                topics=tuple(bytes.fromhex(topic[2:]) for topic in one["topics"]),
                data=bytes.fromhex(one["data"][2:]),
            )
            for at, one in enumerate(found)
        )

    async def head(self) -> tuple[Place, int]:
        block = await self.lab.chain.anvil.block()
        return Place(block=BlockRef(number=int(block["number"], 16), hash=block["hash"])), int(block["timestamp"], 16)


class Rig:
    """Followers of one market."""

    def __init__(self, lab: Lab, kind: Kind | None = None) -> None:
        self.lab = lab
        self.direct = Direct(lab)
        self.kind = kind or kind_of("aave-v3")
        self.worker = Worker()
        self.target = Target(pool=bytes.fromhex(lab.pool.address[2:]))
        self.begin: BlockRef | None = None

    def follower(self, of: Groups = PAIR, always: frozenset[bytes] = frozenset()) -> Follower:
        return Follower(
            self.kind,
            self.target,
            groups=of,
            ask=self.direct.ask,
            trail=cast("Trail", self.direct),
            worker=self.worker,
            members=self.members,
            always=always,
        )

    def members(self) -> Members | str:
        if self.begin is None:
            return "its log index is complete to block 0 only"
        known = frozenset(self.lab.addresses)
        return Members(accounts=known, hashes=frozenset({self.begin.hash}), lowest=self.begin.number)

    async def advance(self, follower: Follower) -> Version:
        found = await follower.advance(*await self.direct.head())
        assert isinstance(found, Version), found
        return found

    async def anew(self) -> Version:
        """Read all of it at the head."""
        self.begin = (await self.direct.head())[0].block
        return await self.advance(self.follower())


@pytest_asyncio.fixture
async def lab(anvil_binary: str) -> AsyncIterator[Lab]:
    if not CORE.exists():
        pytest.skip(f"{CORE} is not there: run `npm ci --ignore-scripts`")
    async with running_anvil(anvil_binary, *ARGUMENTS) as anvil:
        found = await deploy_3_0(Chain(anvil, Artifacts(CORE)))
        await found.populate(USERS, random.Random(7))  # noqa: S311 - reproducible
        yield found


@pytest_asyncio.fixture
async def rig(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    # Whom no log names is not read again: what is found is found by logs.
    monkeypatch.setattr(marketfollow, "IN_TURN", 0)
    rig = Rig(lab)
    rig.begin = (await rig.direct.head())[0].block
    yield rig
    rig.worker.close()


async def act(lab: Lab, rng: random.Random) -> None:
    """Let accounts do what accounts do; what the pool refuses does nothing."""
    pool, owner = lab.pool, lab.chain.owner
    sent = []
    for user in rng.sample(lab.users, 6):
        token = rng.choice(lab.tokens).address
        amount = 10 ** rng.randint(3, 20)
        sent += [
            rng.choice(
                [
                    (pool.call("supply", token, amount, user, 0), owner),
                    (pool.call("borrow", token, amount, VARIABLE, 0, user), user),
                    (pool.call("repay", token, amount, VARIABLE, user), owner),
                    (pool.call("withdraw", token, amount, user), user),
                    (pool.call("setUserUseReserveAsCollateral", token, rng.choice((YES, NO))), user),
                    (pool.call("setUserEMode", rng.randint(0, 2)), user),
                    (pool.call("swapBorrowRateMode", token, VARIABLE), user),
                ]
            )
        ]
    await lab.chain.send_all(sent)
    await lab.pass_time(rng.randint(1, 50_000))


def differing(one: Version, other: Version) -> list[tuple[Any, Any]]:
    """Return the accounts that are not the same in two versions."""
    accounts, others = ({account: of.accounts[account] for account in of.accounts} for of in (one, other))
    both = ((accounts.get(who), others.get(who)) for who in sorted({*accounts, *others}))
    return [(mine, its) for mine, its in both if mine != its]


def same(one: Version, other: Version) -> bool:
    """Tell whether two versions of one block are the same, and say in which accounts they are not."""
    assert not differing(one, other)
    return one.unread == other.unread and book_hash(one.book) == book_hash(other.book)


async def test_what_is_followed_by_logs_is_what_is_read_anew_at_every_block(rig: Rig) -> None:
    rng, follower = random.Random(1), rig.follower()  # noqa: S311 - reproducible
    first = await rig.advance(follower)
    assert len(first.accounts) == USERS
    assert not first.unread
    changed = 0
    for _ in range(6):
        await act(rig.lab, rng)
        before = rig.direct.reads
        version = await rig.advance(follower)
        read = rig.direct.reads - before
        fresh = await rig.anew()
        assert same(version, fresh)
        assert read < rig.direct.reads - before - read
        changed += book_hash(version.book) != book_hash(first.book)
    assert changed == 6


async def test_the_pool_says_of_everybody_what_the_version_says(rig: Rig) -> None:
    version = await rig.advance(rig.follower())
    said = dict(zip(rig.lab.addresses, await rig.lab.data(rig.lab.addresses), strict=True))
    checked, wrong = compared(version, said)
    assert (checked, wrong) == (USERS, [])
    # An account that is another one than the chain's is found.
    some = rig.lab.addresses[0]
    odd = replace(version.accounts[some], flags=version.accounts[some].flags ^ 3)
    version = replace(version, accounts=Packed(type(odd), {**dict(version.accounts.data), some: pack(odd)}))
    _, wrong = compared(version, said)
    assert {one.account for one in wrong} == {f"0x{some.hex()}"}


async def test_after_a_reorganisation_it_goes_on_from_where_the_branches_part(rig: Rig) -> None:
    rng, follower, anvil = random.Random(2), rig.follower(), rig.lab.chain.anvil  # noqa: S311 - reproducible
    await rig.advance(follower)
    await act(rig.lab, rng)
    common = await rig.advance(follower)
    place = await anvil.call("evm_snapshot")
    for _ in range(2):
        await act(rig.lab, rng)
        await rig.advance(follower)
    assert await anvil.call("evm_revert", place)
    await anvil.mine(apart_s=77)
    before = rig.direct.reads
    version = await rig.advance(follower)
    assert not differing(version, common)
    read = rig.direct.reads - before
    assert same(version, await rig.anew())
    assert read < rig.direct.reads - before - read
    await act(rig.lab, rng)
    assert same(await rig.advance(follower), await rig.anew())


async def test_what_governance_changes_is_in_all_legs_at_once(rig: Rig) -> None:
    follower, lab = rig.follower(), rig.lab
    before = await rig.advance(follower)
    set_ = lab.configurator.call
    await lab.chain.send(
        set_("setEModeCategory", 3, 9000, 9300, 10100, f"0x{0:040x}", "a third"),
        set_("setAssetEModeCategory", lab.tokens[1].address, 3),
        set_("configureReserveAsCollateral", lab.tokens[0].address, 7900, 8100, 10600),
    )
    version = await rig.advance(follower)
    assert before.book.columns != version.book.columns
    assert before.parameters != version.parameters
    assert same(version, await rig.anew())


async def test_a_gap_that_is_too_long_is_read_anew(rig: Rig) -> None:
    rng, follower = random.Random(3), rig.follower()  # noqa: S311 - reproducible
    await rig.advance(follower)
    await act(rig.lab, rng)
    await rig.lab.chain.anvil.mine(10)
    rig.begin = (await rig.direct.head())[0].block
    rig.direct.most = 5
    before = rig.direct.reads
    version = await rig.advance(follower)
    assert rig.direct.reads - before > 3 * USERS
    assert same(version, await rig.anew())


async def test_an_index_that_is_not_complete_is_waited_for(rig: Rig) -> None:
    rig.begin = None
    found = await rig.follower().advance(*await rig.direct.head())
    assert found == Unread("its log index is complete to block 0 only")


async def test_an_account_that_cannot_be_read_is_unknown_until_it_can(rig: Rig) -> None:
    follower, who = rig.follower(), rig.lab.addresses[3]
    rig.direct.lie = lambda _, data, said: None if data.endswith(who) else said
    version = await rig.advance(follower)
    assert set(version.unread) == {who}
    assert len(version.accounts) == USERS - 1
    rig.direct.lie = lambda _, __, said: said
    await rig.lab.chain.anvil.mine()
    version = await rig.advance(follower)
    assert not version.unread
    assert same(version, await rig.anew())


async def test_a_market_whose_time_goes_back_is_not_believed(rig: Rig) -> None:
    follower, lab = rig.follower(), rig.lab
    first = await rig.advance(follower)
    index = next(each.liquidity_index for each in first.market.reserves if each.liquidity_index > 10**27)
    true, false = index.to_bytes(32), (index - 1).to_bytes(32)
    rig.direct.lie = lambda _, __, said: None if said is None else said.replace(true, false)
    await lab.chain.anvil.mine()
    found = await follower.advance(*await rig.direct.head())
    assert isinstance(found, Unread)
    assert "is not believed" in found.reason
    rig.direct.lie = lambda _, __, said: said
    assert same(await rig.advance(follower), await rig.anew())


async def test_what_no_log_told_is_found_in_turn(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = rig.follower()
    who = next(account for account in rig.lab.addresses)
    words = {word for word in (await _shares(rig, who)) if word}
    lies = {word.to_bytes(32): (word + 1).to_bytes(32) for word in words}

    def lie(_: bytes, data: bytes, said: bytes | None) -> bytes | None:
        return lies.get(said or b"", said) if data.endswith(who) else said

    rig.direct.lie = lie
    await rig.advance(follower)
    rig.direct.lie = lambda _, __, said: said
    await rig.lab.chain.anvil.mine()
    assert len(differing(await rig.advance(follower), await rig.anew())) == 1
    monkeypatch.setattr(marketfollow, "IN_TURN", USERS)
    await rig.lab.chain.anvil.mine()
    version = await rig.advance(follower)
    assert version.surprises == 1
    assert same(version, await rig.anew())


async def _shares(rig: Rig, account: bytes) -> list[int]:
    known = (await rig.anew()).accounts[account]
    return [amount for one in known.holdings.values() for amount in (one.supplied, one.borrowed)]


async def test_who_was_read_of_one_group_is_confirmed_by_another(rig: Rig) -> None:
    follower = rig.follower()
    version = await rig.advance(follower)
    assert version.unconfirmed == frozenset(rig.lab.addresses)
    some = rig.lab.addresses[:2]
    found = await follower.confirmed(version, some)
    assert isinstance(found, Version)
    assert found.unconfirmed == version.unconfirmed - set(some)
    assert same(found, version)
    alone = await rig.advance(rig.follower(pool("a")))
    assert not alone.unconfirmed


async def test_who_borrows_for_the_first_time_is_there_with_the_next_block(rig: Rig) -> None:
    follower, lab = rig.follower(), rig.lab
    await rig.advance(follower)
    user = f"0x{0xB0B:040x}"
    ether, dollars = lab.tokens[0].address, lab.tokens[2].address
    await lab.chain.send(lab.pool.call("supply", ether, 10**18, user, 0))
    # Who only supplies owes nothing, and is in no index.
    assert len((await rig.advance(follower)).accounts) == USERS
    await lab.chain.send(lab.pool.call("borrow", dollars, 10**6, VARIABLE, 0, user), sender=user)
    version = await rig.advance(follower)
    lab.users.append(user)
    assert len(version.accounts) == USERS + 1
    assert same(version, await rig.anew())


def saved_of(version: Version, accounts: dict[bytes, bytes], book: str) -> Saved:
    return Saved(
        block=version.block,
        accounts=Packed(version.accounts.kind, accounts),
        unread=frozenset(),
        revision=version.rules.revision,
        parameters=parameters_digest(version.parameters),
        book=book,
    )


def spoiled(version: Version, *places: int) -> dict[bytes, bytes]:
    """Return the accounts, some of them with more than they have: of those whose legs do not change with time."""
    accounts = dict(version.accounts.data)
    indebted = [
        one for one in version.accounts if not any(leg.stable for leg in version.accounts[one].holdings.values())
    ]
    for place in places:
        known = version.accounts[indebted[place]]
        more = {at: replace(one, supplied=one.supplied + 1) for at, one in known.holdings.items()}
        accounts[indebted[place]] = pack(replace(known, holdings=more))
    return accounts


async def test_what_was_kept_is_gone_on_with(rig: Rig) -> None:
    version = await rig.advance(rig.follower())
    await act(rig.lab, random.Random(4))  # noqa: S311 - reproducible
    follower = rig.follower()
    follower.saved = saved_of(version, dict(version.accounts.data), lasting_hash(version.book))
    before = rig.direct.reads
    marked, marketfollow.PROVED = marketfollow.PROVED, 3
    try:
        found = await rig.advance(follower)
    finally:
        marketfollow.PROVED = marked
    read = rig.direct.reads - before
    assert follower.saved is None
    assert same(found, await rig.anew())
    assert read < rig.direct.reads - before - read


@pytest.mark.parametrize("of_its_book", [True, False])
async def test_what_was_kept_and_is_not_true_is_read_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, *, of_its_book: bool
) -> None:
    """By its book, where that is another one; by some accounts, where they are others."""
    version = await rig.advance(rig.follower())
    await rig.lab.chain.anvil.mine()
    rig.begin = (await rig.direct.head())[0].block
    follower = rig.follower()
    if of_its_book:
        monkeypatch.setattr(marketfollow, "PROVED", 1)
        follower.saved = saved_of(version, spoiled(version, 5), lasting_hash(version.book))
    else:
        monkeypatch.setattr(marketfollow, "PROVED", USERS)
        wrong = spoiled(version, *range(8))
        other = replace(version, accounts=Packed(version.accounts.kind, wrong))
        book = marketfollow.whole(other.rules, other.market, other.accounts, other.time_s, {}).legs
        named = marketfollow.book_of(other.rules, other.market, book, other.time_s)
        follower.saved = saved_of(version, wrong, lasting_hash(named))
    assert same(await rig.advance(follower), await rig.anew())


async def test_an_account_of_ones_own_is_there_though_it_never_owed(rig: Rig) -> None:
    own, nobody = bytes(19) + b"\x77", bytes(19) + b"\x78"
    lab = rig.lab
    await lab.chain.send(lab.pool.call("supply", lab.tokens[0].address, 10**18, f"0x{own.hex()}", 0))
    rig.begin = (await rig.direct.head())[0].block
    version = await rig.advance(rig.follower(always=frozenset({own, nobody})))
    watched = tuple(AccountSettings(name=f"n{at}", address=f"0x{one.hex()}") for at, one in enumerate((own, nobody)))
    settings = MarketSettings(name="lab", kind="aave-v3", pool=lab.pool.address, watched=watched)
    [found] = value(version.situation, settings, salt=b"").sample.watched
    assert (found.account, found.health_ppm, found.liquidatable) == (f"0x{own.hex()}", None, False)
    assert [leg.asset for leg in found.held] == ["WETH"]


async def test_of_a_revision_that_is_not_known_the_pool_is_asked(rig: Rig) -> None:
    def newer(_: Target) -> Iterator[tuple[()]]:
        yield ()
        return "99"

    rig.kind = replace(rig.kind, revision=cast("Any", newer))
    version = await rig.advance(rig.follower())
    assert version.rules.exactness is Exactness.CHAIN
    data = dict(zip(rig.lab.addresses, await rig.lab.data(rig.lab.addresses), strict=True))
    assert version.said.keys() == data.keys()
    for account, said in version.said.items():
        assert isinstance(said, Verdict)
        assert (said.collateral_base, said.debt_base) == data[account][:2]
    # It becomes one that is known: all is read.
    rig.kind = kind_of("aave-v3")
    assert same(await rig.advance(rig.follower()), await rig.anew())


async def test_what_is_no_pool_is_unknowable_with_the_reason(rig: Rig) -> None:
    rig.target = Target(pool=bytes(19) + b"\x99")
    found = await rig.follower().advance(*await rig.direct.head())
    assert isinstance(found, Unknowable)
    assert "POOL_REVISION() failed" in found.reason
