"""Several nodes of one provider that lie alike, and lies about what is asked for in the second phase only."""

from collections.abc import Collection
from typing import Any

import pytest
from tests.sim.test_contract_watches import A_SAFE, ALICE, BOB, CAROL, SAFE, laid_out, value, write
from tests.sim.test_contract_watches import pool_of as safe_pool
from tests.sim.test_contracts import BLOCK_AND_A_POLL, LIE, no_proofs
from tests.support.feedpool import BEHIND, ETH, ORACLE, PAIRED, POOL, SPOT, TWAP, USDC, WETH, FeedPool, pricing
from tests.support.statepool import MALLORY, TOKEN, VAULT, Lie, StatePool, about, lying, swapped, watching

from tocsin.engine import watch_safe, words
from tocsin.engine.recheck import Verdict, rechecked
from tocsin.model.contract import SafePart

PROOF, VALUE = "node.proof_invalid", "node.call_mismatch"
LIES: list[tuple[str, str, Lie, bytes]] = [
    (PROOF, "eth_getProof", swapped(MALLORY), VAULT),
    (VALUE, "eth_getStorageAt", lambda _: LIE, VAULT),
    (VALUE, "eth_getCode", lambda said: said[:-2] + "00", VAULT),
    (VALUE, "eth_call", lambda _: LIE, TOKEN),
]
POOLS = [
    (("self", "b", "b", "c"), {"n1", "n2"}),
    (("b", "b", "self", "c"), {"n0", "n1"}),
    (("self", "b", "b", "b", "b", "b", "c"), {"n1", "n2", "n5"}),
    (("self", "b", "b", "b", "b", "b", "c"), {"n1", "n2", "n3", "n4", "n5"}),
    (("self", "b", "b", "b", "c"), {"n1"}),
]
"""Providers, and who of them lies."""


SLOW = pytest.mark.slow


def few(case: Any) -> Any:
    """Return a case that is tried each time."""
    return pytest.param(*case)


def many(case: Any) -> Any:
    """Return a case that is tried where there is time."""
    return pytest.param(*case, marks=SLOW)


def named(pool: Any) -> set[tuple[str, str]]:
    return {found for found in pool.open() if found[0] in (PROOF, VALUE)}


@pytest.mark.parametrize(("providers", "liars"), [few(POOLS[0]), *map(many, POOLS[1:])])
@pytest.mark.parametrize(("detector", "method", "lie", "of"), [few(LIES[0]), *map(many, LIES[1:3]), few(LIES[3])])
@pytest.mark.parametrize("proofs", ["all", "liars", pytest.param("honest", marks=SLOW), "nobody"])
def test_nodes_of_one_provider_that_lie_alike_are_one_voice_and_all_of_them_are_named(
    providers: tuple[str, ...], liars: set[str], detector: str, method: str, lie: Lie, of: bytes, proofs: str
) -> None:
    pool = StatePool(watching(providers))
    honest = pool.nodes.keys() - liars
    no_proofs(pool, *{"all": (), "liars": honest, "honest": liars, "nobody": pool.nodes}[proofs])
    pool.rounds(30)
    values = (pool.values(), pool.values("token"))
    assert set(values[0]) == {"code", "implementation", "owner"}
    for name in liars:
        pool.answers[name] = lying(method, lie, about(of))
    for _ in range(3 * BLOCK_AND_A_POLL):
        pool.round()
        assert [{watch: text for watch, (text, _) in one.items()} for one in (pool.values(), pool.values("token"))] == [
            {watch: text for watch, (text, _) in one.items()} for one in values
        ]
    is_asked = method != "eth_getProof" or proofs in ("all", "liars")
    assert named(pool) == ({(detector, name) for name in liars} if is_asked else set())


@pytest.mark.parametrize(("detector", "method", "lie", "of"), [few(LIES[0]), *map(many, LIES[1:3]), few(LIES[3])])
@pytest.mark.parametrize("providers", [("b", "b", "self"), pytest.param(("self", "b", "b"), marks=SLOW)])
def test_against_one_other_group_they_accuse_nobody_and_move_nothing(
    providers: tuple[str, ...], detector: str, method: str, lie: Lie, of: bytes
) -> None:
    pool = StatePool(watching(providers))
    pool.rounds(30)
    values = (pool.values(), pool.values("token"))
    liars = [name for name, provider in zip(pool.nodes, providers, strict=True) if provider == "b"]
    for name in liars:
        pool.answers[name] = lying(method, lie, about(of))
    for _ in range(3 * BLOCK_AND_A_POLL):
        pool.round()
        assert (pool.values(), pool.values("token")) == values
    # What is proven needs nobody else.
    assert named(pool) == ({(detector, name) for name in liars} if of == VAULT else set())


# -- what only the second phase asks for


def told_of(pool: FeedPool) -> dict[str, dict[str, str]]:
    return {name: dict(seen.fixed) for name, seen in pool.state.chains["sim"].feeds.items()}


@pytest.mark.parametrize("of", [BEHIND, WETH, *(pytest.param(one, marks=SLOW) for one in (USDC, ORACLE, POOL))])
@pytest.mark.parametrize("liars", [{"n0"}, {"n1", "n2"}])
@pytest.mark.parametrize("word", [18, MALLORY, pytest.param(2**256 - 1, marks=SLOW)])
def test_what_stands_behind_a_feed_is_no_lie_from_the_first_reading_on(
    of: bytes, liars: Collection[str], word: int
) -> None:
    feeds = (ETH, TWAP, SPOT, PAIRED)
    providers = ("self", "b", "b", "c")
    right = FeedPool(pricing(feeds, providers=providers))
    pool = FeedPool(pricing(feeds, providers=providers))
    for name in liars:
        pool.answers[name] = lying("eth_call", lambda _: f"0x{word:064x}", about(of))
    for _ in range(BLOCK_AND_A_POLL * 2):
        right.rounds(1)
        pool.rounds(1)
        assert pool.values() == right.values()
        assert told_of(pool) == told_of(right)
    accused = {dict(alert.labels)["node"].removeprefix("sim.") for alert in pool.alerts if alert.detector == VALUE}
    assert accused <= set(liars)
    if word != 18:
        assert accused == set(liars)


def slot_of(*members: str) -> list[int]:
    return [int.from_bytes(words.mapped(watch_safe.LISTS[SafePart.OWNERS], one)) for one in members]


@pytest.mark.parametrize("proofs", [True, pytest.param(False, marks=SLOW)])
@pytest.mark.parametrize("liars", [{"n0"}, {"n1", "n2"}])
@pytest.mark.parametrize(
    "to", [CAROL, *(pytest.param(one, marks=SLOW) for one in (ALICE, f"0x{1:040x}", f"0x{0:040x}"))]
)
@pytest.mark.parametrize("method", ["eth_getStorageAt", "eth_getProof", "eth_call"])
def test_the_next_owner_of_a_safe_is_no_lie_at_the_block_at_which_he_comes(
    method: str, to: str, liars: Collection[str], *, proofs: bool
) -> None:
    pool = safe_pool(A_SAFE, proofs=proofs, providers=("self", "b", "b", "c"))
    dave = f"0x{0xDA4E:040x}"
    fresh = {f"0x{slot:064x}" for slot in slot_of(dave, CAROL)}

    def about_him(params: list[Any]) -> bool:
        if method == "eth_getProof":
            return any(key in fresh for key in params[1])
        return params[1] in fresh if method == "eth_getStorageAt" else True

    def lie(said: Any) -> Any:
        if method == "eth_getProof":
            slots = [{**one, "value": to} if one["key"] in fresh else one for one in said["storageProof"]]
            return {**said, "storageProof": slots}
        return f"0x{int(to, 16):064x}"

    for name in liars:
        pool.answers[name] = lying(method, lie, about_him)
    write(pool, SAFE, laid_out([ALICE, dave, BOB], [], threshold=2, nonce=8))
    seen = set()
    for _ in range(4 * BLOCK_AND_A_POLL):
        pool.round()
        seen.add(value(pool, "safe", "safe.owners"))
    assert seen == {",".join(sorted([ALICE, BOB])), ",".join(sorted([ALICE, BOB, dave]))}
    assert {node for _, node in named(pool)} <= set(liars)
    is_asked = method == "eth_getStorageAt" or (method == "eth_getProof") is proofs
    if is_asked and method != "eth_call" and int(to, 16) != int(BOB, 16):
        assert {node for _, node in named(pool)} == set(liars)
    for alert in pool.alerts:
        if alert.detector == PROOF:
            assert rechecked(alert.evidence).verdict is Verdict.PROVES


def test_who_answers_of_another_block_with_the_same_words_is_named() -> None:
    pool = safe_pool(A_SAFE, providers=("self", "b", "c"))
    first: list[Any] = []

    def old(said: Any) -> Any:
        first.append(said)
        return first[0]

    pool.answers["n1"] = lying("eth_getProof", old, about(SAFE))
    for balance in range(3 * BLOCK_AND_A_POLL):
        pool.write(bytes([1]) * 20, 1, balance + 1)  # somewhere else: what is said of the Safe stays word for word
        pool.round()
    assert all(said["storageProof"] == first[0]["storageProof"] for said in first)
    assert named(pool) == {(PROOF, "n1")}
