"""What a person reads of a contract counts those only who say nothing that is proven wrong, and names the others."""

import asyncio
from typing import Any, cast

import pytest
from tests.support.pool import healthy
from tests.support.statepool import (
    ALICE,
    MALLORY,
    OWNER_SLOT,
    VAULT,
    Lie,
    StatePool,
    about,
    lying,
    swapped,
    watching,
)

from tocsin.engine.sitting import Way
from tocsin.model.contract import FUNCTIONS, Watch
from tocsin.model.effect import Fetch
from tocsin.model.event import Fetched
from tocsin.model.evolve import evolve
from tocsin.model.settings import Settings
from tocsin.rpc.session import Session
from tocsin.runtime.reads import Question, Reads

OWNER = bytes.fromhex(FUNCTIONS[Watch.OWNER][2:])
SLOT = OWNER_SLOT.to_bytes(32)
RIGHT, WRONG = f"0x{ALICE:064x}", f"0x{MALLORY:064x}"
POOL = ("self", "b", "c")


class _Session:
    """Of a node of the pool: asks it in process."""

    def __init__(self, pool: StatePool) -> None:
        self._pool = pool

    async def fetch(self, effect: Fetch) -> Fetched:
        return self._pool._fetch(effect)


def read(pool: StatePool, *, data: bytes | None = OWNER, slots: tuple[bytes, ...] = (SLOT,)) -> Any:
    sessions = {name: cast("Session", _Session(pool)) for name in pool.nodes}
    reads = Reads(state=lambda: pool.state, sessions=lambda _: sessions, now_ns=lambda: pool.now)
    question = Question(chain="sim", address=VAULT, data=data, slots=slots, block="head")
    return asyncio.run(reads.read(question))


def ready(settings: Settings | None = None) -> StatePool:
    """A pool that has agreed, and watches nothing unless it is told to."""
    pool = StatePool(settings or watching(POOL, contracts=()))
    pool.rounds(8)
    return pool


def changed(**fields: object) -> Lie:
    return lambda result: {**result, **fields}


def without_keys(result: Any) -> Any:
    return {**result, "storageProof": "none"}


def cut(result: Any) -> Any:
    return {**result, "accountProof": result["accountProof"][:-1]}


PROOFS = [
    pytest.param(swapped(MALLORY), "its proof is wrong: slot 0x", WRONG, id="another value"),
    pytest.param(cut, "its proof is wrong: account: node", RIGHT, id="a node is missing"),
    pytest.param(changed(balance="0x77"), "its proof is wrong: account: the proof is of balance", RIGHT, id="balance"),
    pytest.param(without_keys, "its proof is malformed: storageProof: not the list", None, id="no list"),
    pytest.param(lambda _: "0x", "its proof is malformed: no object", None, id="no object"),
    pytest.param(changed(accountProof=["0xzz"]), "its proof is malformed: accountProof.0", None, id="no hex"),
]


@pytest.mark.parametrize(("lie", "why", "said"), PROOFS)
def test_whose_proof_is_wrong_is_named_and_votes_on_nothing(lie: Lie, why: str, said: str | None) -> None:
    pool = ready()
    pool.answers["n1"] = lying("eth_getProof", lie)
    told = read(pool)
    [out] = told["uncounted"]
    assert (out["node"], out["group"]) == ("n1", "n1")
    assert out["why"].startswith(why)
    # It says the truth of the call, and all the same it is no voter.
    assert (told["call"]["value"], told["call"]["grade"], told["call"]["votes"]) == (RIGHT, "quorum", 2)
    assert {row["node"]: row["counted"] for row in told["call"]["said"]} == {"n0": True, "n1": False, "n2": True}
    [slot] = told["slots"]
    assert (slot["value"], slot["grade"], slot["proven_by"]) == (RIGHT, "proven", ["n0", "n2"])
    assert {row["node"]: row["value"] for row in slot["said"]}.get("n1") == said
    assert told["silent"] == []


def test_without_whose_proof_is_wrong_too_few_may_be_left_to_know_a_value() -> None:
    pool = ready()
    for name in ("n1", "n2"):
        pool.answers[name] = lying("eth_getProof", swapped(MALLORY))
    told = read(pool)
    assert [out["node"] for out in told["uncounted"]] == ["n1", "n2"]
    assert (told["call"]["value"], told["call"]["grade"], told["call"]["votes"]) == (None, "uncorroborated", 1)
    assert told["slots"][0]["value"] == RIGHT


def test_who_gives_no_proof_and_another_slot_than_is_proven_is_named() -> None:
    pool = ready()
    _refuses_proofs(pool, "n1")
    pool.answers["n1"] = lying("eth_getStorageAt", lambda _: WRONG, lambda params: params[1].endswith("05"))
    told = read(pool)
    [out] = told["uncounted"]
    assert out["node"] == "n1"
    assert out["why"] == f"it says {WRONG} of slot 0x{SLOT.hex()}, and {RIGHT} is proven"
    assert told["call"]["votes"] == 2
    pool.answers["n1"] = lying("eth_getCode", lambda _: "0x60")
    [out] = read(pool)["uncounted"]
    assert out["why"].startswith("it says 0x")
    assert " of the code, and 0x" in out["why"]


def _refuses_proofs(pool: StatePool, name: str) -> None:
    """Let the pool find out that a node gives no proofs."""
    way = {name: Way(no_proofs_ns=1 << 62)}
    chain = pool.state.chains["sim"]
    chain = evolve(chain, contracts=evolve(chain.contracts, ways=way))
    pool.state = evolve(pool.state, chains={"sim": chain})


def test_where_nobody_s_proof_is_sound_proofs_speak_against_nobody() -> None:
    pool = ready()
    for name in pool.nodes:
        pool.answers[name] = lying("eth_getProof", swapped(MALLORY))
    told = read(pool)
    assert told["uncounted"] == []
    assert (told["call"]["value"], told["call"]["votes"]) == (RIGHT, 3)
    assert told["slots"][0]["value"] is None
    for name in pool.nodes:
        pool.answers[name] = lying("eth_getProof", lambda _: [])
    told = read(pool)
    assert told["uncounted"] == []
    assert told["call"]["votes"] == 3
    assert {row["node"]: row["why"] for row in told["silent"]} == dict.fromkeys(
        pool.nodes, "its proof is malformed: no object"
    )


def test_where_proofs_are_sound_as_a_rule_wrong_ones_of_all_speak_against_all() -> None:
    pool = ready(watching(POOL))
    assert pool.state.chains["sim"].contracts.proves
    for name in pool.nodes:
        pool.answers[name] = lying("eth_getProof", swapped(MALLORY))
    told = read(pool)
    assert [out["node"] for out in told["uncounted"]] == ["n0", "n1", "n2"]
    assert told["call"]["value"] is None


def test_who_gives_no_proof_at_all_counts_for_what_it_says() -> None:
    pool = ready()
    pool.answers["n1"] = lying("eth_getProof", lambda _: None)
    told = read(pool)
    assert told["uncounted"] == []
    assert told["call"]["votes"] == 3
    assert told["silent"] == [{"node": "n1", "why": "it gives no proof"}]


def test_who_was_caught_before_does_not_count_whatever_it_says() -> None:
    pool = ready(watching(POOL))
    pool.answers["n1"] = lying("eth_getProof", swapped(MALLORY), about(VAULT))
    pool.rounds(14)
    assert ("node.proof_invalid", "n1") in pool.open()
    pool.answers["n1"] = healthy
    told = read(pool)
    assert told["uncounted"] == [{"node": "n1", "group": "n1", "why": "it has no vote: tocsin status says why"}]
    assert told["call"]["votes"] == 2
