"""One group that shows hashes of the others with contents of its own, which no header hash can disprove."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking

from tocsin.testing import SimNode

Block = dict[str, Any]


def showing(change: Callable[[str, Block], Block]) -> Answer:
    """A node that changes each block before it shows it; the tag or hash that was asked for goes with it."""

    def answer(node: SimNode, request: bytes) -> bytes:
        asked = {call["id"]: call for call in _listed(orjson.loads(request))}
        answers = orjson.loads(node.answer(request))
        for each in _listed(answers):
            if isinstance(each.get("result"), dict) and "parentHash" in each["result"]:
                each["result"] = change(asked[each["id"]]["params"][0], each["result"])
        return orjson.dumps(answers)

    return answer


def _listed(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]


def unverifiable(block: Block, **changes: str) -> Block:
    """The block with fields changed, and one more that no known header has: its hash accuses nobody."""
    return {**block, "l1Field": "0x1", **changes}


def moved(block: Block, by: int) -> Block:
    return unverifiable(block, number=hex(int(block["number"], 16) + by))


@pytest.mark.parametrize("liar", ["n0", "n1", "n2"])
@pytest.mark.parametrize("by", [20, 2**62, -7])
def test_a_true_finalized_hash_at_a_made_up_height_moves_nothing(liar: str, by: int) -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(6)
    pool.answers[liar] = showing(lambda tag, block: moved(block, by) if tag == "finalized" else block)
    pool.rounds(40)
    shown = pool.state.chains["sim"].finalized.block
    assert shown is not None
    true = next(block for block in pool.chain.branch().blocks if block.hash == shown.hash)
    assert shown.number == true.number
    assert shown.number >= pool.chain.finalized_number(pool.chain.head()) - 3
    assert not {who for _, who, _ in pool.fired()} - {liar}
