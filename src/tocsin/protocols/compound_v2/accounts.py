"""Accounts read: which markets they entered, then what they have and owe in each."""

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.protocols.base import Question, Read, Reading
from tocsin.protocols.compound_v2 import reading
from tocsin.protocols.compound_v2.assembly import place
from tocsin.protocols.compound_v2.market import NO_POOL, Account, Borrow, Market, VaiDebt
from tocsin.protocols.compound_v2.revisions import Revision
from tocsin.protocols.places import Parts, Unread


def accounts(
    revision: Revision, parts: Parts, of: Market, addresses: Sequence[bytes]
) -> Reading[Sequence[Account | Unread]]:
    """Read accounts, in their order.

    A token does not tell the index of a debt, but what is owed at its own, cut to a unit.
    """
    pool = place(parts, reading.COMPTROLLER)
    entered = yield _of(reading.ENTERED, pool, addresses)
    places: list[tuple[int, ...] | str] = [_entered(of, answer) for answer in entered]
    wanted = [
        (who, at) for who, mine in zip(addresses, places, strict=True) if not isinstance(mine, str) for at in mine
    ]
    holdings = yield from _holdings(revision, pool, of, wanted)
    of_venus = (yield from _of_venus(pool, of, addresses)) if revision.venus else [{} for _ in addresses]
    return [
        _account(of, address, mine, holdings, more)
        for address, mine, more in zip(addresses, places, of_venus, strict=True)
    ]


_Holdings = Mapping[tuple[bytes, int], Sequence[Any]]


def _of(read: Read, to: bytes, addresses: Sequence[bytes]) -> tuple[Question, ...]:
    return tuple(Question(read, to, (address,)) for address in addresses)


def _entered(of: Market, answer: Sequence[bytes] | None) -> tuple[int, ...] | str:
    """Return the places of the tokens of markets that were entered, or why there are none."""
    if answer is None:
        return "comptroller: which markets it entered could not be read"
    places = [of.place_of(token) for token in dict.fromkeys(answer)]
    found = tuple(at for at in places if at is not None)
    return found if len(found) == len(places) else "it entered a market that the comptroller does not list"


def _holdings(revision: Revision, pool: bytes, of: Market, wanted: Sequence[tuple[bytes, int]]) -> Reading[_Holdings]:
    """Read of each account and market what it has, what it owes, and whether it may be liquidated in any case."""
    tokens = [of.tokens[at].address for _, at in wanted]
    both = [(who, token) for (who, _), token in zip(wanted, tokens, strict=True)]
    balances = yield tuple(Question(reading.BALANCE, token, (who,)) for who, token in both)
    owed = yield tuple(Question(reading.OWED, token, (who,)) for who, token in both)
    forced: Sequence[Any] = [False] * len(wanted)
    if revision.venus:
        forced = yield tuple(Question(reading.FORCED_FOR, pool, one) for one in both)
    return dict(zip(wanted, zip(balances, owed, forced, strict=True), strict=True))


def _of_venus(pool: bytes, of: Market, addresses: Sequence[bytes]) -> Reading[list[dict[str, Any]]]:
    """Read which pool accounts chose, and what they owe of VAI. What can't be read is None."""
    pools = yield _of(reading.CHOSEN_POOL, pool, addresses)
    if of.vai is None:
        return [{"pool": pool} for pool in pools]
    controller = of.vai.controller
    minted = yield _of(reading.MINTED, pool, addresses)
    past = yield _of(reading.VAI_PAST, controller, addresses)
    index = yield _of(reading.VAI_INDEX_OF, controller, addresses)
    forced = yield tuple(Question(reading.FORCED_FOR, pool, (address, controller)) for address in addresses)
    return [
        {"pool": pool, "vai": _vai(*debt), "vai_forced": is_forced}
        for pool, *debt, is_forced in zip(pools, minted, past, index, forced, strict=True)
    ]


def _vai(minted: int | None, past: int | None, index: int | None) -> VaiDebt | None:
    if minted is None or past is None or index is None:
        return None
    return VaiDebt(minted=minted, past_interest=past, index=index)


def _account(
    of: Market, address: bytes, entered: tuple[int, ...] | str, holdings: _Holdings, more: Mapping[str, Any]
) -> Account | Unread:
    if isinstance(entered, str):
        return Unread(account=address, reason=entered)
    for at in entered:
        if None in holdings[address, at]:
            token = f"0x{of.tokens[at].address.hex()}"
            return Unread(account=address, reason=f"token {token}: what it has or owes of it could not be read")
    if None in more.values():
        return Unread(account=address, reason="comptroller: its pool, or what it owes of VAI, could not be read")
    pool = more.get("pool", NO_POOL)
    if pool != NO_POOL and pool not in of.pools:
        return Unread(account=address, reason=f"pool {pool} is not known of the market")
    mine = {at: holdings[address, at] for at in entered}
    debts = {at: owed for at, (_, owed, _) in mine.items() if owed}
    return Account(
        address=address,
        entered=entered,
        balances={at: balance for at, (balance, _, _) in mine.items() if balance},
        borrows={
            at: Borrow(principal=owed, index=of.tokens[at].borrow_index, is_cut=True) for at, owed in debts.items()
        },
        forced=frozenset(at for at, (*_, is_forced) in mine.items() if is_forced),
        **more,
    )
