"""What the shipped profiles say of their chains, and what the core makes of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.views import view

from tocsin.engine.fold import fold
from tocsin.model.block import Verification
from tocsin.model.event import Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, Part
from tocsin.model.settings import ChainSettings
from tocsin.model.view import NodeRecord

HEADERS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("test_chain_headers.json").read_text())


def polled(block: dict[str, Any], chain: ChainSettings) -> NodeRecord:
    """Fold one poll of a node whose latest and finalized block is `block`."""
    body = orjson.dumps(block)
    parts = (
        Part(call=CHAIN_ID, result=orjson.dumps(hex(chain.id))),
        Part(call=LATEST, result=body),
        Part(call=FINALIZED, result=body),
    )
    event = Polled(t_ns=2, started_ns=1, chain=chain.name, node="a", poll=1, parts=parts)
    return fold(NodeRecord(), event, chain)


@pytest.mark.parametrize(("hashes_as_ethereum", "is_accused"), [(True, True), (False, False)])
def test_a_header_that_may_hash_otherwise_is_taken_unverified(*, hashes_as_ethereum: bool, is_accused: bool) -> None:
    block = {**HEADERS["prague"], "hash": "0x" + "ab" * 32}
    record = polled(block, replace(view().settings, hashes_as_ethereum=hashes_as_ethereum))
    assert (record.corrupt is not None) is is_accused
    assert (record.head is None) is is_accused
    assert (record.finalized is None) is is_accused
    if record.head is not None:
        assert record.head.verification is Verification.CANNOT_VERIFY
