"""What each node can answer, in the status: from what was tried, what was refused, and what came over its socket."""

import pytest
from tests.support.daemon import status_document

from tocsin.cli import _report
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.question import Ability
from tocsin.model.traits import Capabilities, Reach
from tocsin.rpc.batching import START, BatchLimit
from tocsin.rpc.heads import HeadStats
from tocsin.runtime.abilities import abilities

NOTHING = {
    "batch": "unknown",
    "batch_limit": None,
    "eip1898": "unknown",
    "proofs": "unknown",
    "depth": "unknown",
    "depth_blocks": None,
    "websocket": "unknown",
}
LOST = Fault(kind=FaultKind.REFUSED, detail="refused")


def reaching(ability: Ability, reach: Reach) -> Capabilities:
    return Capabilities(reach={ability.value: reach})


def refused(*sizes: int) -> BatchLimit:
    limit = BatchLimit()
    for size in sizes:
        limit.refused(size)
    return limit


def answered(size: int) -> BatchLimit:
    limit = BatchLimit()
    limit.answered(size)
    return limit


def test_what_was_not_tried_is_unknown() -> None:
    assert abilities(Capabilities(), None, None) == NOTHING
    assert abilities(Capabilities(), BatchLimit(), HeadStats()) == NOTHING


@pytest.mark.parametrize(
    ("known", "batch", "socket", "told"),
    [
        (Capabilities(), answered(6), None, {"batch": "yes"}),
        (Capabilities(), answered(1), None, {}),
        (Capabilities(), refused(6), None, {"batch_limit": 3}),
        (Capabilities(), refused(6, 3), None, {"batch": "no", "batch_limit": 1}),
        (Capabilities(pins={"pin-object": True}), None, None, {"eip1898": "yes"}),
        (Capabilities(pins={"pin-object": False, "pin-hash": True}), None, None, {"eip1898": "no"}),
        (reaching(Ability.PROOFS, Reach(depth=0)), None, None, {"proofs": "yes"}),
        (reaching(Ability.PROOFS, Reach(missing=True)), None, None, {"proofs": "no"}),
        (reaching(Ability.STATE, Reach(depth=127)), None, None, {"depth": "yes", "depth_blocks": 127}),
        (reaching(Ability.STATE, Reach(depth=9, whole=True)), None, None, {"depth": "yes"}),
        (reaching(Ability.STATE, Reach(depth=0)), None, None, {"depth": "no", "depth_blocks": 0}),
        (reaching(Ability.STATE, Reach(missing=True)), None, None, {"depth": "no"}),
        (Capabilities(), None, HeadStats(heads=1), {"websocket": "yes"}),
        (Capabilities(), None, HeadStats(heads=1, fault=LOST), {"websocket": "yes"}),
        (Capabilities(), None, HeadStats(fault=LOST), {"websocket": "no"}),
    ],
)
def test_what_was_learned_is_told_in_a_word(
    known: Capabilities, batch: BatchLimit | None, socket: HeadStats | None, told: dict[str, object]
) -> None:
    assert abilities(known, batch, socket) == NOTHING | told


def test_a_limit_that_is_no_limit_any_more_is_told_no_more() -> None:
    limit = refused(START)
    assert limit.learned == START // 2
    for _ in range(1_000):
        limit.answered(1)
    assert limit.learned is None


def test_the_page_has_a_table_of_it_once_anything_is_known() -> None:
    document = status_document(now_wall_ns=0)
    nodes = document["chains"][0]["nodes"]
    page = _report.text(_report.judge(document, source="socket", now_wall_ns=0), now_wall_ns=0)
    assert "can answer" not in page
    nodes[0]["abilities"] = NOTHING | {"batch": "yes", "batch_limit": 8, "proofs": "no", "websocket": "yes"}
    nodes[1]["abilities"] = NOTHING | {"depth": "yes", "depth_blocks": 128, "eip1898": "yes", "batch": "yes"}
    page = _report.text(_report.judge(document, source="socket", now_wall_ns=0), now_wall_ns=0)
    lines = [line.split() for line in page.splitlines()]
    at = next(place for place, words in enumerate(lines) if words[:2] == ["can", "answer"])
    assert lines[at] == ["can", "answer", "batch", "eip1898", "proofs", "depth", "websocket"]
    assert lines[at + 1] == [nodes[0]["name"], "8", "?", "no", "?", "yes"]
    assert lines[at + 2] == [nodes[1]["name"], "yes", "yes", "?", "128", "?"]
