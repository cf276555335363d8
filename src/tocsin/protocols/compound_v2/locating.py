"""Which revision a comptroller is of, and where the contracts of its market are."""

from collections.abc import Mapping, Sequence
from typing import Final

from tocsin.protocols.base import Question, Reading, UnknownStateError, known
from tocsin.protocols.compound_v2 import reading
from tocsin.protocols.names import names_of
from tocsin.protocols.places import Parts, Target
from tocsin.wire.aggregator import DEPLOYED

NOWHERE: Final = bytes(20)
MOST_TOKENS: Final = 512
"""More than any comptroller has listed: a longer list is no answer of one."""
_FOR_LIQUIDATION: Final = 1
UNKNOWN: Final = "unknown"


def revision(target: Target) -> Reading[str]:
    """Tell comptrollers apart by what they answer, as none says its version. Raises UnknownStateError.

    Nobody's factor is 0, and so nobody asks for it: what matters is that it is answered.
    """
    pool = target.pool
    listed, factor, lens, deprecated = yield (
        Question(reading.TOKENS, pool),
        Question(reading.EFFECTIVE, pool, (NOWHERE, NOWHERE, _FOR_LIQUIDATION)),
        Question(reading.LENS, pool),
        Question(reading.DEPRECATED, pool, (NOWHERE,)),
    )
    tokens = known(listed, reading.TOKENS)
    if lens is not None:
        return "venus-10" if factor is not None else UNKNOWN
    by_time, by_block = yield tuple(
        Question(read, token) for token in tokens[:1] for read in (reading.ACCRUED_TIME, reading.ACCRUED_AT)
    ) or (Question(reading.ACCRUED_TIME, pool), Question(reading.ACCRUED_AT, pool))
    if by_block is not None:
        return "compound" if deprecated is not None else UNKNOWN
    return "moonwell" if by_time is not None and deprecated is None else UNKNOWN


def parts(target: Target) -> Reading[Parts]:
    """Find the contracts. Raises UnknownStateError where the comptroller or its oracle do not answer."""
    pool = target.pool
    listed, oracle, controller, liquidator = yield (
        Question(reading.TOKENS, pool),
        Question(reading.ORACLE_PLACE, pool),
        Question(reading.VAI_PLACE, pool),
        Question(reading.LIQUIDATOR_PLACE, pool),
    )
    tokens = tokens_of(known(listed, reading.TOKENS))
    found: Sequence[bytes | None] = yield tuple(
        Question(read, token) for read in (reading.ASSET_OF, reading.MODEL_PLACE) for token in tokens
    )
    assets, models = found[: len(tokens)], found[len(tokens) :]
    return Parts(
        target=target,
        at={
            reading.COMPTROLLER: (pool,),
            reading.TOKEN: tokens,
            reading.ORACLE: (known(oracle, reading.ORACLE_PLACE),),
            reading.VAI: _somewhere(controller),
            reading.LIQUIDATOR: _somewhere(liquidator),
            reading.MODEL: tuple(model for model in models if model is not None)[:1],
            reading.CLOCK: (DEPLOYED,),
        },
        names=(yield from _names(tokens, assets)),
        links={reading.MODEL: {one: model for one, model in zip(tokens, models, strict=True) if model is not None}},
    )


def tokens_of(listed: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the tokens of a list, each once. Raises UnknownStateError for a list that no comptroller has."""
    if len(listed) > MOST_TOKENS:
        raise UnknownStateError(f"a comptroller of {len(listed)} tokens: {MOST_TOKENS} at most are believed")
    return tuple(dict.fromkeys(listed))


def _names(tokens: Sequence[bytes], assets: Sequence[bytes | None]) -> Reading[Mapping[bytes, str]]:
    """Name tokens as people call what is supplied; the one of the chain's own coin by its own symbol."""
    asked = {token: asset or token for token, asset in zip(tokens, assets, strict=True)}
    names = yield from names_of(tuple(dict.fromkeys(asked.values())))
    return {token: names[asset] for token, asset in asked.items() if asset in names}


def _somewhere(address: bytes | None) -> tuple[bytes, ...]:
    return () if address is None or address == NOWHERE else (address,)
