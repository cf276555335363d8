"""Who goes on while most stand still: followed one by one, so that no made-up head hides an honest one."""

from dataclasses import replace

import orjson
from tests.support.pool import settings_for
from tests.support.ticking import Ticking

from tocsin.model.alert import Finding
from tocsin.testing import SimChain, SimNode
from tocsin.testing.headers import header_hash

SLOT = 6
"""Polls."""


def stalled(providers: str = "abcde") -> Ticking:
    """Three of five stand still."""
    pool = Ticking(settings_for(tuple(providers)))
    pool.rounds(20)
    for name in ("n0", "n1", "n2"):
        pool.nodes[name].view.freeze()
    return pool


def told(pool: Ticking) -> Finding:
    """What is said now."""
    tracked = pool.state.chains["sim"].alerts.tracked.values()
    [found] = [one.finding for one in tracked if one.finding.detector == "pool.majority_stalled"]
    return found


def test_a_phantom_is_not_among_those_who_go_on() -> None:
    pool = stalled()
    spec = replace(pool.chain.spec, seed=9, history=5000)
    phantom = SimNode(SimChain(pool.clock, spec), name="x", delay_ns=0)
    pool.answers["n4"] = lambda _node, request: (
        phantom.answer(request) if b"getBlockByHash" not in request else b'{"jsonrpc":"2.0","id":1,"result":null}'
    )
    pool.rounds(6 * SLOT)
    assert ("pool.majority_stalled", "sim", "warning") in pool.fired()
    assert told(pool).evidence["ahead"] == ["n3"]
    assert "n3 alone went on" in told(pool).summary


def test_a_head_that_stands_far_above_does_not_hide_one_that_goes_on_below_it() -> None:
    pool = stalled()
    pool.nodes["n3"].view.later_ns = 8 * 12 * 10**9
    pool.chain.fork("lie")
    pool.nodes["n4"].view.branch = "lie"
    pool.rounds(7 * SLOT)
    pool.nodes["n4"].view.freeze()
    pool.rounds(SLOT * 6)
    head, chain = pool.state.chains["sim"].head.block, pool.state.chains["sim"]
    assert head is not None
    assert chain.lone["n3"].block.number < chain.lone["n4"].block.number
    assert told(pool).evidence["ahead"] == ["n3"]


def test_a_head_from_the_future_leads_nobody() -> None:
    pool = stalled()

    def early(_node: SimNode, request: bytes) -> bytes:
        answers = orjson.loads(pool.nodes["n3"].answer(request))
        for entry in answers if isinstance(answers, list) else []:
            block = entry.get("result")
            if isinstance(block, dict) and entry["id"] == 2:  # `latest` comes second in every poll
                block["timestamp"] = hex(int(block["timestamp"], 16) + 3600)
                block["hash"] = header_hash({name: block[name] for name in pool.chain.branch().head.header})
        return orjson.dumps(answers)

    pool.answers["n4"] = early
    pool.rounds(6 * SLOT)
    assert set(pool.state.chains["sim"].lone) == {"n3"}


def test_where_our_own_clock_is_late_an_honest_head_still_leads() -> None:
    pool = stalled()
    pool.clock.step_wall(s=-3600)
    pool.rounds(6 * SLOT)
    assert {"n3", "n4"} == set(pool.state.chains["sim"].lone)
    assert ("pool.majority_stalled", "sim", "critical") in pool.fired()
