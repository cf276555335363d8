"""What is told of a market: its retained topic, when it is said again, how long it may be; its row in the status."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from tests.support.samples import ALICE, BOB, CALM, CURVE, E8, WETH, MarketPool, account, lending

from tocsin.cli._chains import chain_lines
from tocsin.engine import marketdocs
from tocsin.engine.status import status
from tocsin.model.alert import Exactness
from tocsin.model.effect import StateChanged
from tocsin.model.market import (
    MOST_NAMED,
    AccountSettings,
    AtRisk,
    MarketSample,
    MarketSeen,
    MarketSettings,
    Mismatch,
)
from tocsin.mqtt.models import Risk

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/reference/cli-status.schema.json").read_text())
OWN = replace(WETH, watched=(AccountSettings(name="treasury", address=ALICE),))


@pytest.fixture(scope="module")
def watched() -> MarketPool:
    return MarketPool(lending(OWN))


def told(pool: MarketPool) -> list[StateChanged]:
    return [one for one in pool.effects if isinstance(one, StateChanged) and one.topic == "risk/sim/aave"]


def said(pool: MarketPool, **change: Any) -> int:
    """How many messages a valuation makes."""
    before = len(told(pool))
    pool.value(**change)
    pool.round()
    return len(told(pool)) - before


def row(pool: MarketPool) -> dict[str, Any]:
    [found] = json.loads(orjson.dumps(status(pool.state, pool.now)))["chains"][0]["markets"]
    return dict(found)


def page(pool: MarketPool) -> str:
    document = json.loads(orjson.dumps(status(pool.state, pool.now)))
    return "\n".join(chain_lines(document, 0, colour=False))


def test_a_valuation_is_published_with_its_block_and_how_it_is_known(watched: MarketPool) -> None:
    near = (account(BOB, "0.99"), account(ALICE, None, unknown="no price of X", exactness=Exactness.UNVERIFIED))
    assert said(watched, liquidatable=1, near=near, near_count=2, watched=(account(ALICE, "1.2345678"),)) == 1
    document = told(watched)[-1].document
    assert document is not None
    Risk.model_validate_json(orjson.dumps(document), strict=True)
    block = watched.seen.sample.block
    assert block is not None
    assert document["block"] == {"number": block.number, "hash": block.hash}
    assert document["time"] == "2023-11-14T22:13:20.000000Z"
    assert document["totals"]["collateral"] == str(1_000 * E8)  # type: ignore[index]
    assert (document["grade"], document["exactness"], document["book_hash"]) == ("quorum", "exact", "b" * 64)
    assert document["base"] == {"name": "USD", "decimals": 8}
    [own] = document["watched"]  # type: ignore[misc]
    assert (own["name"], own["health"]) == ("treasury", "1.234568"), "the sample is rounded by who made it"
    [below, unknown] = document["near"]  # type: ignore[misc]
    assert (below["liquidatable"], below["health"]) == (True, "0.990000")
    assert (unknown["liquidatable"], unknown["health"], unknown["unknown"]) == (None, None, "no price of X")


def test_it_is_said_again_for_what_lasts_and_for_interest_once_a_minute() -> None:
    pool = MarketPool(lending(OWN))
    assert said(pool) == 1
    at = CALM.time_s
    assert at is not None
    assert said(pool, checked=9, lag_blocks=1) == 0
    assert said(pool, time_s=at + 12, debt=str(500 * E8 + 1), near=(), backend="numba") == 0
    assert said(pool, time_s=at + 60) == 1
    assert said(pool, time_s=at + 60, liquidatable=1) == 1
    assert said(pool, time_s=at + 60, liquidatable=1, near=(account(BOB, "1.02"),)) == 1
    assert said(pool, time_s=at + 60, liquidatable=1, near=(account(BOB, "1.0201"),)) == 0
    assert said(pool, time_s=at + 60, liquidatable=1, near=(account(BOB, "1.03"),)) == 1
    assert said(pool, time_s=at + 60, liquidatable=1, near=(account(BOB, "1.03"),), debt=str(600 * E8)) == 1
    assert said(pool, time_s=at + 60, parameters=(("WETH.paused", "yes"),)) == 1
    assert said(pool, time_s=at + 60, parameters=(("WETH.paused", "maybe"),)) == 1
    assert said(pool, time_s=at + 60, parameters=(("WETH.paused", "maybe"),), problem="one price is missing") == 1


def test_one_that_was_never_valued_says_why() -> None:
    pool = MarketPool(lending(OWN))
    assert row(pool)["problem"] == "it was not valued yet"
    assert not told(pool)
    pool.take_problem("its accounts are being looked for")
    assert row(pool)["problem"] == "its accounts are being looked for"
    document = told(pool)[-1].document
    Risk.model_validate_json(orjson.dumps(document), strict=True)
    assert document is not None
    assert (document["block"], document["totals"]) == (None, None)
    assert "its accounts are being looked for" in page(pool)


def huge() -> tuple[MarketSettings, MarketSample]:
    """A market of which everything is as long as it can be."""
    most, word = str(2**256 - 1), "0x" + "f" * 64
    long = {"collateral": most, "debt": most, "price": most, "asset": "é" * 300, "blocked": "x" * 300}
    names = [f"0x{at:064x}" for at in range(256)]
    own = tuple(AccountSettings(name=f"a{at}", address=name) for at, name in enumerate(names))
    accounts = tuple(account(name, "0.5", **long, distance_ppm=2**200, unknown="y" * 300) for name in names)
    point = AtRisk(shock_bps=-1, accounts=10**9, unsure=10**9, collateral=most, debt=most, bad_debt=most)
    wrong = Mismatch(account=word, what="w" * 300, ours=most, chain=most * 9)
    return replace(WETH, watched=own), replace(
        CALM,
        curve=(point,) * 16,
        near=accounts[:MOST_NAMED],
        near_count=10_000,
        watched=accounts,
        shares_ppm=tuple((f"{at}" * 60, 1) for at in range(300)),
        mismatched=(wrong,) * 100,
        mismatches=10_000,
        problem="é" * 3_000,
        base="é" * 300,
        revision="é" * 300,
        backend="z" * 3_000,
        largest=word,
        collateral=most,
        debt=most,
        bad_debt=most,
    )


def test_it_is_never_longer_than_sixteen_kilobytes_and_counts_what_it_leaves_out() -> None:
    one, sample = huge()
    document = marketdocs.document(one, MarketSeen(sample=sample, at_ns=0), 1)
    raw = orjson.dumps(document)
    assert 10_000 < len(raw) <= marketdocs.LIMIT
    assert 0 < len(document["near"]) < MOST_NAMED  # type: ignore[arg-type]
    assert (document["near_count"], document["mismatches"]) == (10_000, 10_000)
    Risk.model_validate_json(raw, strict=True)


def test_a_usual_market_is_told_whole() -> None:
    near = tuple(account(f"0x{at:040x}", "1.01") for at in range(15))
    document = marketdocs.document(WETH, MarketSeen(sample=replace(CALM, near=near, near_count=15), at_ns=0), 1)
    assert (len(document["near"]), len(document["curve"])) == (15, len(CURVE))  # type: ignore[arg-type]


def test_a_market_that_is_removed_or_another_one_clears_its_topic() -> None:
    pool = MarketPool(lending(OWN))
    pool.value()
    pool.round()
    pool.reload(lending(replace(OWN, near_ppm=1)))
    assert told(pool)[-1].document is not None
    before = pool.settings
    pool.reload(replace(before, chains=(replace(before.chains[0], markets=()),)))
    assert told(pool)[-1].document is None


def test_the_row_of_the_status_is_as_its_schema_says(watched: MarketPool) -> None:
    own = account(ALICE, "1.25", distance_ppm=-200_000, seconds_left=86_400)
    watched.value(
        liquidatable=12, blocked=2, unknown=1, watched=(own,), near=(own,), mismatches=3, lag_blocks=4,
        mismatched=(Mismatch(account=ALICE, what="healthFactor", ours="1", chain="2"),),
    )  # fmt: skip
    validator = jsonschema.Draft202012Validator({"$ref": "#/$defs/market", "$defs": SCHEMA["$defs"]})
    found = row(watched)
    validator.validate(found)
    assert set(found) == set(SCHEMA["$defs"]["market"]["properties"])
    text = page(watched)
    for words in (
        "aave    NUMBER    400  500 USD  1,000 USD   12 (2 blocked), 1 unknown",
        "3 differ from the chain; 4 blocks behind",
        "in aave: health 1.250000, owes 80 USD on 100 USD, can be liquidated with WETH -20.00 %",
        "WETH -20.00 %, by interest alone in 1 d 00 h",
    ):
        assert " ".join(words.replace("aave    NUMBER", str(found["block"]["number"])).split()) in " ".join(
            text.split()
        ), text
