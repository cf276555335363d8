"""What contracts were pinned to outlives the state: a value that became another one while it was lost is told of."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.statepool import ALICE, MALLORY, OWNER_SLOT, PROXY, VAULT, StatePool
from tests.unit.test_runtime_recovery import lived, lose_state, past_of

from tocsin.engine.state import EngineState
from tocsin.model.alert import AlertState
from tocsin.model.event import Booted, ConfigRevised, LostPins
from tocsin.model.settings import Settings
from tocsin.runtime.orphans import orphans, pins
from tocsin.runtime.recovery import Past

OWNER, OTHER = f"0x{ALICE:040x}", f"0x{MALLORY:040x}"


def begun_anew(pool: StatePool, past: Past, settings: Settings | None = None) -> None:
    """Let the pool go on from what is left of its past."""
    pool.pending.clear()
    pool.alerts.clear()
    pool.polls = 0
    pool.state = past.state
    known = {"orphans": tuple(orphans(past.orphans)), "pins": tuple(pins(past.contracts))}
    pool.take(Booted(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), boot="b9", version="t", seq=past.seq, **known))  # type: ignore[arg-type]  # two fields
    pool.take(ConfigRevised(t_ns=pool.now, settings=settings or pool.settings))


async def lost(folder: Path) -> tuple[StatePool, Past]:
    """Return a pool, and what a store is left with of it after its state was lost."""
    pool = StatePool(keep_events=True)
    pool.rounds(12)
    assert pool.seen().baseline["owner"].value == OWNER
    await lived(folder, pool.events)
    await lose_state(folder)
    past = await past_of(folder)
    assert past.state == EngineState()
    return pool, past


async def test_what_was_changed_while_the_state_was_lost_is_told_of(tmp_path: Path) -> None:
    pool, past = await lost(tmp_path)
    pool.write(VAULT, OWNER_SLOT, MALLORY)
    pool.rounds(12)
    begun_anew(pool, past)
    pool.until(lambda: bool(pool.about("contract.owner_changed")), 20)
    [alert] = pool.about("contract.owner_changed")
    assert (alert.state, alert.summary) == (
        AlertState.FIRING,
        f"vault belongs to somebody else: owner was {OWNER}, is {OTHER}",
    )
    pool.ack("contract.owner_changed")
    assert pool.seen().baseline["owner"].value == OTHER


async def test_what_stayed_as_it_was_is_no_news_and_stays_pinned(tmp_path: Path) -> None:
    pool, past = await lost(tmp_path)
    begun_anew(pool, past)
    before = {name: pin.value for name, pin in pool.seen().baseline.items()}
    pool.rounds(30)
    assert pool.alerts == []
    assert {name: pin.value for name, pin in pool.seen().baseline.items()} == before
    assert set(before) == {"code", "implementation", "owner"}


async def test_a_liar_that_answers_first_pins_nothing(tmp_path: Path) -> None:
    pool, past = await lost(tmp_path)
    begun_anew(pool, past)
    pool.hung = {"n1", "n2"}
    pool.answers["n0"] = lambda node, request: node.answer(request).replace(
        f"{ALICE:064x}".encode(), f"{MALLORY:064x}".encode()
    )
    pool.rounds(12)
    pool.hung.clear()
    pool.rounds(12)
    assert pool.seen().baseline["owner"].value == OWNER
    assert pool.seen("token").baseline["owner"].value == OWNER
    assert not [alert for alert in pool.alerts if alert.detector.startswith("contract.")]


async def test_a_contract_at_another_address_or_on_another_chain_begins_afresh(tmp_path: Path) -> None:
    pool, past = await lost(tmp_path)
    chain = pool.settings.chains[0]
    elsewhere = replace(PROXY, address=f"0x{'77' * 20}")
    moved = replace(pool.settings, chains=(replace(chain, contracts=(elsewhere, chain.contracts[1])),))
    begun_anew(pool, past, moved)
    assert set(pool.state.chains["sim"].contracts.watched) == {"token"}
    begun_anew(pool, past, replace(pool.settings, chains=(replace(chain, id=chain.id + 1),)))
    assert pool.state.chains["sim"].contracts.watched == {}
    less = replace(pool.settings, chains=(replace(chain, contracts=(replace(PROXY, watches=PROXY.watches[:1]),)),))
    begun_anew(pool, past, less)
    assert set(pool.seen().baseline) == {"code"}


async def test_a_state_that_remembers_its_contracts_needs_no_publication(tmp_path: Path) -> None:
    pool = StatePool(keep_events=True)
    pool.rounds(12)
    await lived(tmp_path, pool.events)
    past = await past_of(tmp_path)
    assert past.contracts == ()
    assert past.state.chains["sim"].contracts.watched["vault"].baseline == pool.seen().baseline
    found = LostPins(chain=pool.settings.chains[0].id, contract="vault", address=PROXY.address, baseline={})
    pool.take(Booted(t_ns=pool.now, wall_ns=1, boot="b", version="t", pins=(found,)))
    pool.take(ConfigRevised(t_ns=pool.now, settings=pool.settings))
    assert pool.seen().baseline["owner"].value == OWNER
    assert pool.state.pins == ()


def document(**changes: Any) -> bytes:
    value = {
        "baseline": OWNER,
        "baseline_block": {"number": 7, "hash": f"0x{7:064x}"},
        "accepted_by": "alice",
        "accepted_why": "planned",
        "grade": "proven",
    }
    data = {"chain": "eip155:1337", "address": PROXY.address, "values": {"owner": value, "code": {"baseline": None}}}
    return orjson.dumps({"subject": "contract/sim/vault", "data": {**data, **changes}})


def test_what_was_accepted_by_a_person_says_so_still() -> None:
    [found] = pins([document()])
    assert (found.chain, found.contract, found.address, set(found.baseline)) == (
        1337,
        "vault",
        PROXY.address,
        {"owner"},
    )
    pin = found.baseline["owner"]
    assert (pin.value, pin.by, pin.why, pin.block.number) == (OWNER, "alice", "planned", 7)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{",
        b'{"subject": "contract/sim/vault"}',
        orjson.dumps({"subject": "contract", "data": {}}),
        document(chain="cosmos:1"),
        document(chain="eip155:x"),
        document(values=[]),
        document(values={"owner": {}}),
        document(values={"owner": {"baseline": "x", "baseline_block": None, "grade": None}}),
        document(values={"owner": {"baseline": "x", "baseline_block": {"number": "y", "hash": ""}, "grade": "z"}}),
    ],
)
def test_what_cannot_be_read_pins_nothing(payload: bytes) -> None:
    assert [found.contract for found in pins([payload, document()])] == ["vault"]
