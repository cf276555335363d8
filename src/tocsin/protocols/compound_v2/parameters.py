"""What governance sets of a market, by names that stay, as text: a change of one is news."""

from collections.abc import Iterator
from decimal import Decimal

from tocsin.protocols.compound_v2.market import Market, Terms, Token
from tocsin.protocols.compound_v2.revisions import Revision
from tocsin.protocols.places import Parts


def parameters(revision: Revision, parts: Parts, market: Market) -> tuple[tuple[str, str], ...]:
    """Return the parameters of all tokens and pools, and where prices come from."""
    return tuple(_all(revision, parts, market))


def _all(revision: Revision, parts: Parts, market: Market) -> Iterator[tuple[str, str]]:
    yield "revision", revision.number
    yield "oracle", _address(market.oracle)
    yield "close factor", _percent(market.close_factor)
    for token in market.tokens:
        yield from ((f"{parts.name(token.address)} {what}", text) for what, text in _of_token(revision, parts, token))
    if revision.venus:
        yield from _of_venus(parts, market)


def _of_token(revision: Revision, parts: Parts, token: Token) -> Iterator[tuple[str, str]]:
    yield "listed", _yes(is_so=token.listed)
    yield from _of_terms(token.terms)
    yield "reserve factor", _percent(token.reserve_factor)
    yield "interest rate model", _address(parts.links.get("interest rate model", {}).get(token.address))
    yield "seizing paused", _yes(is_so=token.seizure_paused)
    yield "liquidated in any case", _yes(is_so=token.forced)
    if revision.venus:
        yield "liquidating paused", _yes(is_so=token.liquidation_paused)
        yield "repaying paused", _yes(is_so=token.repayment_paused)
        yield "transferring paused", _yes(is_so=token.transfer_paused)
    else:
        yield "protocol seize share", _percent(token.seize_share)
    yield from token.rules


def _of_terms(terms: Terms) -> Iterator[tuple[str, str]]:
    yield "collateral factor", _percent(terms.collateral_factor)
    yield "liquidation threshold", _percent(terms.threshold)
    yield "liquidation incentive", _percent(terms.incentive)


def _of_venus(parts: Parts, market: Market) -> Iterator[tuple[str, str]]:
    yield "paused", _yes(is_so=market.paused)
    for pool in market.pools.values():
        yield f"pool {pool.number} active", _yes(is_so=pool.active)
        yield f"pool {pool.number} falls back", _yes(is_so=pool.falls_back)
        for at, terms in pool.terms.items():
            name = f"pool {pool.number} {parts.name(market.tokens[at].address)}"
            yield from ((f"{name} {what}", text) for what, text in _of_terms(terms))
    if market.vai is not None:
        yield "VAI paused", _yes(is_so=market.vai.paused)
        yield "VAI liquidating paused", _yes(is_so=market.vai.liquidation_paused)
    if market.liquidator is not None:
        yield "liquidator", _address(market.liquidator.address)
        yield "treasury share", _percent(market.liquidator.treasury_share)
        yield "VAI first", _yes(is_so=market.liquidator.vai_first)


def _percent(mantissa: int) -> str:
    return f"{Decimal(mantissa).scaleb(-16).normalize():f} %"


def _yes(*, is_so: bool) -> str:
    return "yes" if is_so else "no"


def _address(address: bytes | None) -> str:
    return "none" if not address else f"0x{address.hex()}"
