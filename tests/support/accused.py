"""Alerts about nodes that were caught with a lie about a contract, as the engine says them."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from orjson import loads
from tests.support.messages import ORIGIN, changed
from tests.support.statepool import MALLORY, TOKEN, VAULT, StatePool, about, lying, swapped

from tocsin.model.alert import Alert
from tocsin.wire.envelope import alert_messages, evidence_bytes

WORD = f"0x{MALLORY:064x}"
LIES: Mapping[str, tuple[str, Callable[[Any], Any], bytes]] = {
    "proof": ("eth_getProof", swapped(MALLORY), VAULT),
    "slot": ("eth_getStorageAt", lambda _: WORD, VAULT),
    "call": ("eth_call", lambda _: WORD, TOKEN),
    "code": ("eth_getCode", lambda _: "0x" + "60" * 24_576, VAULT),
}


@lru_cache(maxsize=4)
def alert(what: str) -> Alert:
    """Return the alert about a node that lies about a proof, a slot, a call or code."""
    method, lie, of = LIES[what]
    pool = StatePool()
    pool.rounds(20)
    pool.answers["n1"] = lying(method, lie, about(of))
    pool.rounds(7)
    [found] = pool.alerts
    return found


def event(what: str, seq: int = 1) -> Any:
    """Return that alert as it is published."""
    return loads(alert_messages(changed(alert(what), seq=seq), ORIGIN)[0].payload)


def evidence(what: str) -> Any:
    """Return its whole evidence."""
    return loads(evidence_bytes(alert(what)))
