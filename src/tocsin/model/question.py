"""What a node is asked beside its head: what it says of itself, and what it can answer.

A question is a call name, as `tocsin.model.observation` has them for the polls: the wire makes a request of it, and the
part that answers it carries it, so that whoever reads the answer knows what was asked.
"""

from enum import StrEnum

CLIENT_VERSION = "client_version"
PEERS = "peers"
TXPOOL = "txpool"
OFFERED = "capabilities"
"""`eth_capabilities`: what the node itself says it can answer. Most nodes do not know the method."""


class Ability(StrEnum):
    """One thing that not every node can do. Closed: stands in call names, in `status` and in alerts."""

    HEADERS = "headers"
    """`eth_getBlockByNumber` of an old block."""
    RECEIPTS = "receipts"
    """`eth_getBlockReceipts` of an old block."""
    STATE = "state"
    """`eth_getBalance` at an old block."""
    PROOFS = "proofs"
    """`eth_getProof` at an old block."""
    PIN_OBJECT = "pin-object"
    """State at `{"blockHash": ..., "requireCanonical": true}` (EIP-1898)."""
    PIN_HASH = "pin-hash"
    """State at a bare block hash in the place of a number, which some nodes take instead."""


DEEP = (Ability.STATE, Ability.PROOFS, Ability.HEADERS, Ability.RECEIPTS)
"""Abilities that reach down to some block and no further."""

PINS = (Ability.PIN_OBJECT, Ability.PIN_HASH)
"""Abilities that a node has or has not."""


def question(ability: Ability, where: int | str) -> str:
    """Return the call that tries an ability at a block number, or for pins at a block hash."""
    return f"{ability.value}:{where}"


def asked(call: str) -> tuple[Ability, str] | None:
    """Return what a call of `question` tries and where, None for every other call."""
    name, colon, where = call.partition(":")
    return (_ABILITIES[name], where) if colon and name in _ABILITIES else None


def is_trial(call: str) -> bool:
    """Tell whether a call only tries what a node can answer: nothing waits for it."""
    return call == OFFERED or asked(call) is not None


_ABILITIES = {ability.value: ability for ability in Ability}
