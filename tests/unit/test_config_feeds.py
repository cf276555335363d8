"""`[[chain.feed]]` and `[[price_gateway]]`: what becomes of them, and how mistakes in them are told."""

from pathlib import Path

import pytest
from tests.support.configs import CANARY, MINIMAL, REGISTRY, loaded, problems

from tocsin.config.load import Loaded, load
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.model.feed import FeedKind, FeedSettings, GatewaySettings, Role

PROXY = "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"
POOL = "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640"
WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
FEED = f"""\
[[chain.feed]]
name = "eth-usd"
address = "{PROXY}"
prices = "eth/usd"
heartbeat = "1h"
deviation = "0.5%"
decimals = 8
min = "10.50"
peg = 2000
"""
TWAP = f"""\
[[chain.feed]]
name = "twap"
kind = "uniswap-v3-twap"
address = "{POOL}"
prices = "eth/usd"
base = "{WETH}"
"""
GATEWAY = f"""\
[[price_gateway]]
name = "exchange"
url = "https://api.exchange.example/v1/{CANARY}?pair=ETHUSD"
prices = "eth/usd"
price = "data.0.last"
time = "data.0.ts"
"""


def with_feeds(folder: Path, more: str = FEED + TWAP) -> Loaded:
    return loaded(folder, MINIMAL + more)


def test_a_feed_reaches_the_settings_exactly(tmp_path: Path) -> None:
    assert with_feeds(tmp_path).settings.chains[0].feeds == (
        FeedSettings(
            name="eth-usd",
            address=PROXY.lower(),
            role=Role.ORACLE,
            prices="eth/usd",
            provider="chainlink",
            heartbeat_ns=3600 * 10**9,
            grace_ns=120 * 10**9,
            deviation_bps=50,
            decimals=8,
            low="10.5",
            peg="2000",
        ),
        FeedSettings(
            name="twap",
            address=POOL.lower(),
            kind=FeedKind.TWAP,
            role=Role.MARKET,
            prices="eth/usd",
            provider=POOL.lower(),
            grace_ns=0,
            base=WETH.lower(),
            window_s=1800,
        ),
    )


@pytest.mark.parametrize(("heartbeat", "grace_s"), [("1h", 120), ("24h", 432), ("20m", 120)])
def test_the_grace_is_two_minutes_or_a_200th_of_a_long_heartbeat(tmp_path: Path, heartbeat: str, grace_s: int) -> None:
    feed = FEED.replace('"1h"', f'"{heartbeat}"')
    assert with_feeds(tmp_path, feed).settings.chains[0].feeds[0].grace_ns == grace_s * 10**9


def test_rates_and_the_sequencer_are_told_by_their_function_and_their_grace(tmp_path: Path) -> None:
    rate = f'[[chain.feed]]\nname = "r"\nkind = "rate"\naddress = "{POOL}"\nfunction = "getExchangeRate()"\n'
    up = f'[[chain.feed]]\nname = "s"\nkind = "sequencer"\naddress = "{PROXY}"\n'
    one, other = with_feeds(tmp_path, rate + up).settings.chains[0].feeds
    assert (one.function, one.kind, one.role) == ("0xe6aa216c", FeedKind.RATE, Role.ORACLE)
    assert (other.grace_ns, other.kind) == (3600 * 10**9, FeedKind.SEQUENCER)


def test_a_gateway_goes_to_the_chains_that_have_its_pair_and_is_judged_on_the_first(tmp_path: Path) -> None:
    [one] = with_feeds(tmp_path, FEED + GATEWAY).settings.chains[0].gateways
    assert one == GatewaySettings(
        name="exchange",
        endpoint="https://api.exchange.example",
        prices="eth/usd",
        provider="api.exchange.example",
        poll_ns=10 * 10**9,
        max_age_ns=60 * 10**9,
    )
    node = '[[chain.node]]\nname = "n"\nurl = "http://127.0.0.1:9545"\n'
    second = f'[[chain]]\nname = "second"\nid = 10\nblock_time = "2s"\n{node}{FEED}'
    third = second.replace("second", "third").replace("id = 10", "id = 11").replace("eth/usd", "btc/usd")
    chains = with_feeds(tmp_path, FEED + second + third + GATEWAY).settings.chains
    assert [[one.judged for one in chain.gateways] for chain in chains] == [[True], [False], []]


def test_what_is_shown_is_read_back_and_shows_no_secret(tmp_path: Path) -> None:
    first = with_feeds(tmp_path, FEED + TWAP + GATEWAY.replace(CANARY, "x"))
    text = as_toml(first.document)
    assert "pair=ETHUSD" not in text
    shown = tmp_path / "shown.toml"
    shown.write_text(text.replace("https://api.exchange.example/***", "https://api.exchange.example/v1"))
    again = load(shown, registry=REGISTRY, environ={})
    assert again.settings.chains[0].feeds == first.settings.chains[0].feeds
    assert again.settings.chains[0].gateways == first.settings.chains[0].gateways


def test_another_feed_or_gateway_is_a_change(tmp_path: Path) -> None:
    before = with_feeds(tmp_path, FEED + GATEWAY)
    after = with_feeds(tmp_path, FEED.replace('"1h"', '"2h"') + GATEWAY)
    assert changes(before, after).chains_changed == {"ethereum": ("feed",)}
    other = with_feeds(tmp_path, FEED + GATEWAY.replace("data.0.last", "data.1.last"))
    assert list(changes(before, other).lines()) == ["~ gateways"]
    assert len({one.settings.config_hash for one in (before, after, other)}) == 3


def test_a_secret_of_a_gateway_stands_in_no_message(tmp_path: Path) -> None:
    found = "\n".join(problems(tmp_path, MINIMAL + FEED + GATEWAY.replace("https://", "ftp://")))
    assert "price_gateway.0.url: is not a URL of a known scheme" in found
    assert CANARY not in found
    with_feeds(tmp_path, FEED + GATEWAY)
    file = tmp_path / "tocsin.toml"
    file.chmod(0o644)
    warned = load(file, registry=REGISTRY, environ={}).warnings
    assert any("price_gateway.0.url: every user can read this secret" in one for one in warned)
    assert CANARY not in "".join(warned)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('heartbeat = "1h"\n', "", "chain.0.feed.0: a feed of kind chainlink needs heartbeat"),
        ('"0.5%"', '"0.5"', "chain.0.feed.0.deviation: is no share; write per cent"),
        ('"0.5%"', "0.5", "chain.0.feed.0.deviation: is no share"),
        ('"0.5%"', '"0%"', "must be more than 0%"),
        ('"10.50"', "10.5", "chain.0.feed.0.min: is no exact number; write it as a string"),
        ('"10.50"', '"0"', "chain.0.feed.0.min: is no price"),
        ("decimals = 8", "decimals = 78", "chain.0.feed.0.decimals"),
        ('min = "10.50"', 'min = "10.50"\nmax = "2"', "min 10.5 is not below max 2"),
        ('prices = "eth/usd"\nheartbeat', 'prices = "ETH-USD"\nheartbeat', "chain.0.feed.0.prices: is no pair"),
        (
            'name = "eth-usd"',
            'name = "eth-usd"\nbase = "' + WETH + '"',
            "base means nothing for a feed of kind chainlink",
        ),
        (
            'name = "eth-usd"',
            'name = "eth-usd"\nkind = "chainlnk"',
            "chain.0.feed.0.kind: is no kind of feed; write chainlink,",
        ),
        (f'base = "{WETH}"\n', "", "chain.0.feed.1: a feed of kind uniswap-v3-twap needs base"),
        (f'base = "{WETH}"\n', f'base = "{WETH}"\nheartbeat = "1h"\n', "heartbeat means nothing"),
        ('name = "twap"', 'name = "eth-usd"', "the same name is given at"),
        (PROXY, PROXY.replace("5f4e", "5F4e"), "has a wrong checksum"),
        ('time = "data.0.ts"', 'time = "data..ts"', "price_gateway.0.time: is no place in a document"),
        ('time = "data.0.ts"', 'time = "$.data[0].ts"', "price_gateway.0.time: is of another language than this"),
        ('time = "data.0.ts"', 'time = "$.data[0].ts"', "joined by dots; write 'data.0.ts'"),
        ('time = "data.0.ts"', """time = "$['data'][0]['ts']\"""", "joined by dots; write 'data.0.ts'"),
        ('time = "data.0.ts"', 'time = ".data[0].ts"', "joined by dots; write 'data.0.ts'"),
        ('time = "data.0.ts"', 'time = "/data/0/ts"', "joined by dots; write 'data.0.ts'"),
        ('time = "data.0.ts"', 'time = "data[0].ts"', "joined by dots; write 'data.0.ts'"),
        ('time = "data.0.ts"', 'max_age = "5s"', "max_age is shorter than poll"),
        ('time = "data.0.ts"', 'tim = "x"', "unknown key (did you mean time?)"),
        ('name = "exchange"', 'name = "Exchange"', "price_gateway.0.name: a name has"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = MINIMAL + FEED + TWAP + GATEWAY
    assert old in text
    found = "\n".join(problems(tmp_path, text.replace(old, new, 1)))
    assert said in found
    assert "tocsin.toml:" in found


def test_sources_that_are_too_few_to_tell_who_is_wrong_are_warned_of(tmp_path: Path) -> None:
    said = "eth/usd has 2 independent sources, a market takes 3: prices are shown"
    assert any(said in one for one in with_feeds(tmp_path).warnings)
    three = with_feeds(tmp_path, FEED + TWAP + GATEWAY.replace(CANARY, "x")).warnings
    assert not any("independent sources" in one for one in three)


def test_a_gateway_that_no_feed_has_use_for_is_warned_of(tmp_path: Path) -> None:
    found = with_feeds(tmp_path, FEED + GATEWAY.replace("eth/usd", "eth/usdt"))
    assert found.settings.chains[0].gateways == ()
    assert any("no feed prices eth/usdt (did you mean eth/usd?): it is not asked" in one for one in found.warnings)
