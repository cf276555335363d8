"""`tocsin feed show`, and the rows of the status that it and the status page read."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support.feedpool import ETH, PAIRED, SEQUENCER, SPOT, FeedPool, gateway, pricing

from tocsin.cli._chains import chain_lines
from tocsin.cli._named import find
from tocsin.cli.feed import lines
from tocsin.engine.status import status
from tocsin.errors import ControlError
from tocsin.mqtt.models_feed import Feed, Gateway

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/reference/cli-status.schema.json").read_text())


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """The status of an aggregator, two pools, an exchange that is off and a sequencer."""
    pool = FeedPool(pricing((ETH, SPOT, PAIRED, SEQUENCER), (gateway(), gateway("silent"))))
    pool.quotes["exchange"] = "2100"
    pool.rounds(14)
    return status(pool.state, pool.now)


def test_a_feed_is_shown_beside_the_market_with_how_both_are_known(seen: dict[str, Any]) -> None:
    page = "\n".join(lines(*find(seen, "feed", "eth-usd", "")))
    assert page.startswith("eth-usd  chainlink 0xfe0000")
    assert "it calls itself ETH / USD" in page
    assert "the feed says   2000 for eth/usd (quorum, 3 of 3 groups, block 201)" in page
    assert "round 7 of phase 1, " in page
    assert "the market says 2000 (3 independent sources, 5.00 % apart)" in page
    assert "between them    0.00 %" in page
    assert [line.split()[0] for line in page.splitlines()[-4:]] == ["eth-usd", "spot", "pair", "exchange"]


def test_the_sequencer_is_up_or_down_and_no_number(seen: dict[str, Any]) -> None:
    page = "\n".join(lines(*find(seen, "feed", "uptime", "sim")))
    assert "the feed says   up (quorum" in page
    assert "the market" not in page


def test_a_feed_that_is_not_there_is_told_with_those_that_are(seen: dict[str, Any]) -> None:
    with pytest.raises(ControlError, match="no feed is called 'x'; there are eth-usd, pair, spot, uptime"):
        find(seen, "feed", "x", "")
    with pytest.raises(ControlError, match="none is watched"):
        find({}, "feed", "x", "")
    twice = {"chains": [{**seen["chains"][0], "name": name} for name in ("a", "b")]}
    with pytest.raises(ControlError, match="a, b each have a feed spot; say which with --chain"):
        find(twice, "feed", "spot", "")
    assert find(twice, "feed", "spot", "b")[0] == "b"


def test_the_status_page_has_a_line_for_each_feed_and_each_gateway(seen: dict[str, Any]) -> None:
    page = "\n".join(chain_lines(seen, 0, colour=False))
    rows = {line.split()[0]: line.split() for line in page.splitlines() if line.split()}
    assert rows["eth-usd"][1:6] == ["eth/usd", "2000", "2000", "0.00", "%"]
    assert rows["uptime"][1:4] == ["-", "up", "-"]
    assert rows["exchange"][1:4] == ["disagreeing", "eth/usd", "2100"]
    assert rows["silent"][1:3] == ["new", "eth/usd"]


def test_with_too_few_sources_it_is_said_how_many_there_are() -> None:
    pool = FeedPool(pricing((ETH, SPOT)))
    pool.rounds(8)
    page = "\n".join(lines(*find(status(pool.state, pool.now), "feed", "eth-usd", "")))
    assert "the market says nothing: there is 1 independent source, and it takes 3" in page


def test_the_rows_are_as_their_schema_and_the_models_of_the_topics_say(seen: dict[str, Any]) -> None:
    for row in seen["chains"][0]["feeds"]:
        jsonschema.validate(row, {**SCHEMA["$defs"]["feed"], "$defs": SCHEMA["$defs"]})
        told = {key: value for key, value in row.items() if key not in ("name", "read_s")}
        Feed.model_validate_json(json.dumps(told))
    for row in seen["gateways"]:
        jsonschema.validate(row, {**SCHEMA["$defs"]["gateway"], "$defs": SCHEMA["$defs"]})
        Gateway.model_validate_json(json.dumps({key: value for key, value in row.items() if key != "name"}))
