"""Snapshots of all that is known of contracts: Safes, roles, amounts, indexes, alerts that told of them, and liars.

What `test_snapshot_fuzz` asks of every snapshot is asked of one in which all of that stands; what is wrong only there
is changed by name.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
import pytest
from tests.property.test_contract_watches import laid_out
from tests.property.test_snapshot_fuzz import Sample, chain_of, goes_on, mutated, stamped, taken
from tests.sim.test_contract_watches import (
    A_ROLE,
    A_SAFE,
    ALICE,
    BOB,
    CAROL,
    MINTER,
    ROLES_CODE,
    SAFE,
    SAFE_CODE,
    TOKEN_CODE,
    TOTAL,
    WALLET,
    grant,
    of_roles,
    of_safe,
    of_token,
    world,
)
from tests.sim.test_contract_watches import TOKEN as COIN
from tests.sim.test_engine_indexes import DEBTORS
from tests.support.statepool import StatePool, about, lying, watching

from tocsin.engine.codec import decode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import CorruptRecord
from tocsin.model.alert import Grade
from tocsin.model.block import BlockRef
from tocsin.model.contract import Amount, Bounds, ContractSettings, Watch
from tocsin.model.event import AmountsRead, Booted, Commanded, ConfigRevised, Event, IndexSampled
from tocsin.model.index import AmountSample, AmountSettings, IndexSample
from tocsin.model.settings import Settings
from tocsin.testing import ChainSpec
from tocsin.testing.simstate import Change, Reverted, World, word

LIMITS = Bounds(least="100", most="200", decimals=2)
OF_COIN = Bounds(most="1000", decimals=0)
A_COIN = ContractSettings(
    name="coin", address=f"0x{COIN.hex()}", watches=(Watch.SUPPLY, Watch.CODE), supply=Bounds(most="1000", decimals=1)
)
A_WALLET = ContractSettings(
    name="wallet",
    address=f"0x{WALLET.hex()}",
    watches=(Watch.BALANCE, Watch.ALLOWANCE),
    balances=(
        Amount(name="eth", bounds=LIMITS),
        Amount(name="coin", bounds=OF_COIN, token=f"0x{COIN.hex()}"),
    ),
    allowances=(Amount(name="bob", bounds=OF_COIN, token=f"0x{COIN.hex()}", spender=BOB),),
)
HOLDERS = replace(DEBTORS, amount=AmountSettings(contract=f"0x{COIN.hex()}"))
_PARTS = {"contracts", "indexes", "amounts", "alerts"}
"""What is changed here: the rest of a state is, where `test_snapshot_fuzz` does so."""
AT = BlockRef(number=190, hash="0x" + "ab" * 32)


def of_coin(seen: World, to: bytes, data: bytes) -> bytes:
    return word(7) if len(data) > 4 else of_token(seen, to, data) if data[:2] != b"\x31\x3c" else _no_decimals()


def _no_decimals() -> bytes:
    raise Reverted


def settings() -> Settings:
    found = watching(contracts=(A_SAFE, A_ROLE, A_COIN, A_WALLET))
    return replace(found, chains=(replace(found.chains[0], indexes=(HOLDERS,)),))


@lru_cache(maxsize=1)
def sample() -> Sample:
    """A chain with all of that, where much has changed and one node lies, in the middle of being read."""
    pool = StatePool(settings(), spec=ChainSpec(history=200, world=world()))
    for code, program in ((SAFE_CODE, of_safe), (ROLES_CODE, of_roles), (TOKEN_CODE, of_coin)):
        pool.chain.programs[code] = program
    pool.rounds(10)
    indexed = IndexSample(through=AT, target=200, logs=5, accounts=3, grade=Grade.QUORUM)
    held = AmountSample(identity=_identity(), block=AT, accounts=3, holding=2, total="11", grade=Grade.QUORUM)
    pool.take(IndexSampled(t_ns=pool.now, chain="sim", index=HOLDERS.name, sample=indexed))
    pool.take(AmountsRead(t_ns=pool.now, chain="sim", index=HOLDERS.name, sample=held))
    pool.answers["n1"] = lying("eth_getProof", lambda result: {**result, "balance": "0x77"}, about(SAFE))
    slots = {(SAFE, int.from_bytes(slot)): value for slot, value in laid_out([ALICE, CAROL], [], 1, 8).items()}
    pool.chain.send(Change(slots={**slots, (COIN, TOTAL): 2000}), grant(MINTER, BOB))
    pool.until(lambda: {"contract.safe_changed", "contract.role_granted", "contract.balance_limit"} <= names(pool), 20)
    pool.until(lambda: "node.proof_invalid" in names(pool), 20)
    pool.answers_fetch = lambda event: replace(event, request=-1) if event.node == "n2" else event
    pool.until(lambda: "head" in pool.state.chains["sim"].contracts.sittings, 20)
    pool.answers_fetch = None
    whole = taken(pool.state, tuple(_news(pool, indexed, held)))
    return replace(whole, shapes=tuple(alike for alike in whole.shapes if _PARTS & set(alike[0])))


def names(pool: StatePool) -> set[str]:
    return {alert.detector for alert in pool.alerts}


def _identity() -> str:
    assert HOLDERS.amount is not None
    return HOLDERS.amount.identity


def _news(pool: StatePool, indexed: IndexSample, held: AmountSample) -> list[Event]:
    """What happens next: changes, polls and answers, acks of all that fires, another configuration, and a new life."""
    pool.keep_events = True
    pool.chain.send(grant(MINTER, CAROL))
    pool.rounds(3)
    pool.take(IndexSampled(t_ns=pool.now, chain="sim", index=HOLDERS.name, sample=replace(indexed, stuck="x")))
    pool.take(AmountsRead(t_ns=pool.now, chain="sim", index=HOLDERS.name, sample=replace(held, unknown=1)))
    for key in sorted({alert.fingerprint for alert in pool.alerts}):
        args = (("fingerprint", key), ("why", "so"))
        pool.take(Commanded(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), verb="ack", by="me", args=args))
    pool.rounds(1)
    fewer = replace(A_WALLET, balances=A_WALLET.balances[:1])
    chain = replace(pool.settings.chains[0], contracts=(A_SAFE, A_ROLE, fewer))
    pool.take(ConfigRevised(t_ns=pool.now, settings=replace(pool.settings, chains=(chain,))))
    pool.rounds(1)
    pool.take(Booted(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), boot="b2", version="t"))
    return pool.events


def seen(state: EngineState) -> set[str]:
    return {
        f"{kind} {name}"
        for one in state.chains["sim"].contracts.watched.values()
        for kind in ("latest", "baseline", "told", "hints")
        for name in getattr(one, kind)
    }


def test_all_of_it_stands_in_the_sample_and_goes_round() -> None:
    one = sample()
    snapshot = stamped(one, one.body)
    state = decode_state(snapshot)
    chain = state.chains["sim"]
    assert seen(state) >= {
        "latest safe.owners",
        "baseline safe.threshold",
        "told safe.owners",
        "latest roles.minter",
        "told roles.minter",
        "latest supply",
        "latest balance.eth",
        "latest balance.coin",
        "latest allowance.bob",
        "hints grants",
    }
    assert chain.contracts.accused.keys() == {"proof/n1"}
    assert "head" in chain.contracts.sittings
    assert chain.indexes.keys() == chain.amounts.keys() == {"debtors"}
    assert taken(state, ()).body == one.body
    assert goes_on(one, snapshot) is not None


def test_a_state_that_was_read_decides_as_the_one_that_was_written() -> None:
    one = sample()
    read, again = decode_state(stamped(one, one.body)), decode_state(stamped(one, one.body))
    for event in one.news:
        done, redone = step(read, event), step(again, event)
        assert done.effects == redone.effects
        read, again = done.state, decode_state(_written(redone.state))
    assert read == again


def _written(state: EngineState) -> bytes:
    found = taken(state, ())
    return stamped(found, found.body)


@pytest.mark.parametrize("count", [40, pytest.param(6_000, marks=[pytest.mark.slow, pytest.mark.timeout(3_600)])])
def test_a_changed_state_is_refused_or_goes_on(count: int) -> None:
    one, outcomes = sample(), set()
    for number in range(count):
        chance = random.Random(f"contracts/{number}")  # noqa: S311 - repeatable on purpose
        outcomes.add(goes_on(one, stamped(one, mutated(one, chance))) is None)
    assert outcomes == {True, False}, "some are refused, some are states like any other"


def told(plain: Any, subject: str, text: str) -> None:
    chain_of(plain)["contracts"]["values"][subject] = text


def heard(plain: Any, subject: str, text: str) -> None:
    [one, *_] = chain_of(plain)["contracts"]["sittings"]["head"]["heard"].values()
    one["facts"][subject] = text


def of_contract(plain: Any, contract: str, kind: str, **values: Any) -> None:
    chain_of(plain)["contracts"]["watched"][contract][kind].update(values)


def known(value: str, **more: Any) -> dict[str, Any]:
    return {"value": value, "grade": "proven", "block": {"number": 190, "hash": AT.hash}, **more}


SLOT = f"0x{SAFE.hex()}:0x{'00' * 31}04"
CALL = f"0x{SAFE.hex()}:0x12345678"
LOGS = "logs:0x00"
GRANT = f"{MINTER}/{BOB}"
JUNK: dict[str, Callable[[Any], None]] = {
    "a slot without a word": lambda plain: told(plain, SLOT, "0x"),
    "a slot that reverts": lambda plain: heard(plain, SLOT, "reverts"),
    "a balance in words": lambda plain: heard(plain, f"0x{WALLET.hex()}:balance", "much"),
    "code without a hash": lambda plain: told(plain, f"0x{SAFE.hex()}:code", "0x6001"),
    "half a byte": lambda plain: heard(plain, CALL, "0x123"),
    "a fact of nobody": lambda plain: told(plain, "nobody:code", "0x" + "ab" * 32),
    "no logs at all": lambda plain: heard(plain, LOGS, "logs"),
    "a log of nobody": lambda plain: heard(plain, LOGS, "0x12,0x34,0x"),
    "a role of nobody": lambda plain: of_contract(plain, "roles", "hints", grants=["0x12/bob"]),
    "a Safe with a grade that there is not": lambda plain: of_contract(
        plain, "safe", "latest", **{"safe.owners": known(ALICE, grade="split")}
    ),
    "an amount that is none": lambda plain: of_contract(plain, "wallet", "latest", **{"balance.eth": known("0x7")}),
    "a supply in digits of another script": lambda plain: of_contract(plain, "coin", "latest", supply=known("\u0661")),
    "a role pinned at no block": lambda plain: of_contract(
        plain, "roles", "baseline", **{"roles.minter": known(ALICE, block={"number": 190, "hash": "0x"})}
    ),
}
RIGHT: dict[str, Callable[[Any], None]] = {
    "a word": lambda plain: told(plain, SLOT, "0x" + "00" * 31 + "01"),
    "a call that reverts": lambda plain: heard(plain, CALL, "reverts"),
    "a long result": lambda plain: heard(plain, CALL, f"5000 bytes, keccak 0x{'ab' * 32}"),
    "no logs": lambda plain: heard(plain, LOGS, "no logs"),
    "many logs": lambda plain: heard(plain, LOGS, f"700 logs, keccak 0x{'ab' * 32}"),
    "two logs": lambda plain: heard(plain, LOGS, f"0x{'ab' * 20},{MINTER},{MINTER},0x;0x{'ab' * 20},,0x1234"),
    "somebody with a role": lambda plain: of_contract(plain, "roles", "hints", grants=[GRANT]),
}


@pytest.mark.parametrize("what", JUNK)
def test_what_no_node_tells_is_refused(what: str) -> None:
    with pytest.raises(CorruptRecord, match="contradicts itself"):
        _changed(JUNK[what])


@pytest.mark.parametrize("what", RIGHT)
def test_what_nodes_tell_is_read(what: str) -> None:
    _changed(RIGHT[what])


def _changed(change: Callable[[Any], None]) -> EngineState:
    one = sample()
    plain = orjson.loads(one.body)
    change(plain)
    return decode_state(stamped(one, orjson.dumps(plain)))
