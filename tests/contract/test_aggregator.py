"""The code that is put in place makes the calls that it is given, each as if by itself, on a real EVM."""

import pytest
from tests.support.anvil import Anvil

from tocsin.chain.keccak import keccak256
from tocsin.wire import aggregator
from tocsin.wire.multicall import Call

ECHO, PART, REVERT, WRITE, BOMB, NOBODY = (bytes([0xE0 + at]) * 20 for at in range(6))
CODES = {
    # They return their input; as much of it as its first word says; revert with it; write slot 0; take all gas.
    ECHO: "365f5f37365ff3",
    PART: "365f5f375f355ff3",
    REVERT: "365f5f37365ffd",
    WRITE: "60015f555f5f52 60205ff3".replace(" ", ""),
    BOMB: "5b5f56",
}


async def aggregated(anvil: Anvil, calls: list[Call], gas: int | None = None) -> list[tuple[bool, bytes]]:
    place = f"0x{aggregator.PLACE.hex()}"
    asked = {"to": place, "data": f"0x{aggregator.encode(calls).hex()}", **({"gas": hex(gas)} if gas else {})}
    answer = await anvil.call("eth_call", asked, "latest", {place: {"code": f"0x{aggregator.CODE.hex()}"}})
    found = aggregator.decode(bytes.fromhex(answer[2:]), len(calls))
    return [(bool(found.succeeded[at]), found.result(at)) for at in range(len(calls))]


@pytest.fixture
async def chain(anvil: Anvil) -> Anvil:
    for address, code in CODES.items():
        await anvil.call("anvil_setCode", f"0x{address.hex()}", f"0x{code}")
    return anvil


async def test_results_of_every_length_come_back_as_they_are(chain: Anvil) -> None:
    sizes = [0, 1, 31, 32, 33, 63, 64, 65, 200, 1000]
    inputs = [bytes(range(256))[:size] if size <= 256 else b"\xa5" * size for size in sizes]
    calls = [Call(target=ECHO, data=data) for data in inputs]
    assert await aggregated(chain, calls) == [(True, data) for data in inputs]
    # Input that is longer than what comes back leaves nothing behind it.
    parts = [Call(target=PART, data=size.to_bytes(32) + b"\xff" * 100) for size in (0, 1, 31, 32, 33, 70)]
    found = await aggregated(chain, parts)
    assert found == [(True, call.data[: int.from_bytes(call.data[:32])]) for call in parts]


async def test_calls_that_revert_write_or_meet_no_code_do_not_touch_the_others(chain: Anvil) -> None:
    calls = [
        Call(target=ECHO, data=b"one"),
        Call(target=REVERT, data=b"why not"),
        Call(target=WRITE, data=b""),
        Call(target=NOBODY, data=b"anybody?"),
        Call(target=REVERT, data=b""),
        Call(target=ECHO, data=b"two"),
    ]
    assert await aggregated(chain, calls) == [
        (True, b"one"),
        (False, b"why not"),
        (False, b""),
        (True, b""),
        (False, b""),
        (True, b"two"),
    ]


async def test_no_calls_and_many_calls_are_answered(chain: Anvil) -> None:
    assert await aggregated(chain, []) == []
    calls = [Call(target=ECHO, data=at.to_bytes(32)) for at in range(1000)]
    assert await aggregated(chain, calls) == [(True, call.data) for call in calls]


async def test_what_takes_all_the_gas_fails_and_is_seen_as_failed(chain: Anvil) -> None:
    found = await aggregated(chain, [Call(target=ECHO, data=b"a"), Call(target=BOMB, data=b"")], gas=10_000_000)
    assert found == [(True, b"a"), (False, b"")]


def test_no_instruction_is_younger_than_2019() -> None:
    at = 0
    while at < len(aggregator.CODE):
        op = aggregator.CODE[at]
        assert op not in {0x5F, 0x48, 0x46, 0x47, 0x5C, 0x5D, 0x5E}
        at += 1 + (op - 0x5F if 0x60 <= op <= 0x7F else 0)
    assert len(aggregator.PLACE) == len(aggregator.DEPLOYED) == 20
    assert len(aggregator.DEPLOYED_HASH) == len(keccak256(b""))
