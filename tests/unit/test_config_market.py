"""`[[market]]` and `[[account]]`: what becomes of them, and how mistakes in them are told, with their place."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, REGISTRY, loaded, problems

from tocsin.chain.keccak import keccak256
from tocsin.config.load import Loaded, load
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.model.market import AccountSettings, MarketSettings

POOL = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"
OWN = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
MARKET = f"""
[[market]]
name = "aave"
kind = "aave-v3"
chain = "ethereum"
pool = "{POOL}"
from = 16291127
shocks = ["-10%", "-2.5%", "-10%"]
near = "2.5%"
sample_one_in = 0
"""
ACCOUNT = f"""
[[account]]
name = "treasury"
address = "{OWN}"
markets = ["aave"]
health_floor = 1.2
max_leverage = "5"
max_share = {{ WETH = "50%", USDC = "0.25%" }}
max_value = "1000000.5"
"""


def with_market(folder: Path, text: str = MARKET + ACCOUNT) -> Loaded:
    return loaded(folder, MINIMAL + text)


def test_a_market_reaches_the_settings_of_its_chain_with_the_accounts_in_it(tmp_path: Path) -> None:
    [one] = with_market(tmp_path).settings.chains[0].markets
    assert one == MarketSettings(
        name="aave",
        kind="aave-v3",
        pool=POOL.lower(),
        index="market-aave",
        shocks_bps=(-250, -1_000),
        near_ppm=25_000,
        sample_one_in=0,
        watched=(
            AccountSettings(
                name="treasury",
                address=OWN.lower(),
                health_floor_ppm=1_200_000,
                most_leverage_ppm=5_000_000,
                most_asset_ppm=(("USDC", 2_500), ("WETH", 500_000)),
                most_market="1000000.5",
            ),
        ),
    )


def test_a_market_brings_the_log_index_that_names_who_owes(tmp_path: Path) -> None:
    [index] = with_market(tmp_path).settings.chains[0].indexes
    assert (index.name, index.start) == ("market-aave", 16_291_127)
    [event] = index.events
    borrow = keccak256(b"Borrow(address,address,address,uint256,uint8,uint256,uint16)")
    assert (event.topic, event.account, event.addresses) == (f"0x{borrow.hex()}", "topic2", (POOL.lower(),))


OF_OTHERS = '\n[[market]]\nname = "m"\nkind = "{}"\nchain = "ethereum"\npool = "{}"\nfrom = 1\n{}\n'


def test_one_market_of_a_contract_of_many_is_followed_by_its_id(tmp_path: Path) -> None:
    both = [OF_OTHERS.format("morpho-blue", POOL, f'id = "0x{digit * 64}"') for digit in "ab"]
    chain = with_market(tmp_path, both[0] + both[1].replace('"m"', '"n"')).settings.chains[0]
    assert [one.id for one in chain.markets] == ["0x" + "a" * 64, "0x" + "b" * 64]
    assert [event.only for index in chain.indexes for event in index.events] == [
        "topic1=0x" + "a" * 64,
        "topic1=0x" + "b" * 64,
    ]
    [said] = problems(tmp_path, MINIMAL + OF_OTHERS.format("morpho-blue", POOL, ""))
    assert "market.0: a market of morpho-blue is named by its id: write id" in said


def test_borrowers_that_tokens_name_are_looked_for_at_the_tokens(tmp_path: Path) -> None:
    token = "0x" + "70" * 20
    chain = with_market(tmp_path, OF_OTHERS.format("compound-v2", POOL, f'tokens = ["{token}", "{token}"]'))
    [market], [index] = chain.settings.chains[0].markets, chain.settings.chains[0].indexes
    assert market.tokens == (token,)
    assert {address for event in index.events for address in event.addresses} == {token}
    [said] = problems(tmp_path, MINIMAL + OF_OTHERS.format("compound-v2", POOL, ""))
    assert "market.0: compound-v2 needs tokens, the contracts whose events name who owes" in said


def test_an_account_that_names_no_market_is_in_all_of_them(tmp_path: Path) -> None:
    other = MARKET.replace('"aave"', '"spark"').replace(POOL, "0x" + "11" * 20)
    both = with_market(tmp_path, MARKET + other + ACCOUNT.replace('markets = ["aave"]\n', ""))
    assert [len(one.watched) for one in both.settings.chains[0].markets] == [1, 1]
    one = with_market(tmp_path, MARKET + other + ACCOUNT)
    assert [len(each.watched) for each in one.settings.chains[0].markets] == [1, 0]


def test_markets_and_accounts_are_shown_as_they_are_read_back(tmp_path: Path) -> None:
    first = with_market(tmp_path)
    shown = tmp_path / "shown.toml"
    shown.write_text(as_toml(first.document))
    assert load(shown, registry=REGISTRY, environ={}).settings.chains == first.settings.chains


def test_another_limit_is_a_change_and_the_same_market(tmp_path: Path) -> None:
    before, after = with_market(tmp_path), with_market(tmp_path, MARKET.replace("2.5%", "3%") + ACCOUNT)
    assert list(changes(before, after).lines()) == ["~ markets"]
    [one], [other] = before.settings.chains[0].markets, after.settings.chains[0].markets
    assert one.identity == other.identity
    watched = with_market(tmp_path, MARKET + ACCOUNT.replace("1.2", "1.3"))
    assert list(changes(before, watched).lines()) == ["~ accounts"]
    moved = replace(one, pool="0x" + "11" * 20)
    assert one.identity != moved.identity


MISTAKES = [
    ('"aave-v3"', '"aave-v2"', ":18: market.0.kind: is no protocol that is known (did you mean aave-v3?); there are "),
    ('"aave-v3"', "3", ":18: market.0.kind: is no protocol that is known; there are "),
    ('"ethereum"\npool', '"etherum"\npool', ":19: market.0.chain: is no chain of this configuration (did you mean eth"),
    (POOL, POOL.replace("Bca", "bca"), ":20: market.0.pool: has a wrong checksum (EIP-55)"),
    (POOL, POOL[:-1], ":20: market.0.pool: is not an address; write 0x and 40 hex digits"),
    ("from = 16291127", "", ":16: market.0.from: missing"),
    ("from = 16291127", "from = -1", ":21: market.0.from: must be at least 0"),
    ("sample_one_in", "sample_onein", ":24: market.0.sample_onein: unknown key (did you mean sample_one_in?)"),
    ("from =", f'id = "0x{"0" * 64}"\nfrom =', ": market.0: aave-v3 knows no ids: leave id out"),
    ("from =", 'id = "0x00"\nfrom =', ":21: market.0.id: is no id of a market; write 0x and 64 hex digits"),
    ("from =", f'tokens = ["{POOL}"]\nfrom =', ": market.0: aave-v3 finds its tokens by itself: leave tokens out"),
    ('"-2.5%"', '"2.5%"', ":22: market.0.shocks.1: is no fall of prices; write per cent below zero"),
    ('"-2.5%"', '"-0%"', ":22: market.0.shocks.1: is no fall of prices"),
    ('"-2.5%"', '"-100.01%"', ":22: market.0.shocks.1: is no fall of prices"),
    ('["-10%", "-2.5%", "-10%"]', "[]", ":22: market.0.shocks: "),
    ('"2.5%"', "2.5", ":23: market.0.near: is no share; write per cent"),
    ("in = 0", "in = -1", ":24: market.0.sample_one_in: must be at least 0"),
    ('name = "aave"', f'name = "{"a" * 58}"', ": market.0: name has 58 letters, a market's has 57 at most"),
    (OWN, OWN.replace("BF", "bF"), ":28: account.0.address: has a wrong checksum (EIP-55)"),
    ('["aave"]', '["aav"]', ":29: account.0.markets.0: is no market here (did you mean aave?)"),
    ("= 1.2", "= 0", ":30: account.0.health_floor: is no ratio; write a number above 0"),
    ("= 1.2", "= 1.2345678", ":30: account.0.health_floor: is no ratio"),
    ("= 1.2", "= nan", ":30: account.0.health_floor: is no ratio"),
    ("= 1.2", "= true", ":30: account.0.health_floor: is no ratio"),
    ('"5"', '"five"', ":31: account.0.max_leverage: is no ratio"),
    ('"50%"', '"150%"', ":32: account.0.max_share.WETH: must be more than 0% and at most 100%"),
    ('"1000000.5"', "1000000.5", ":33: account.0.max_value: is not exact as a number; write it as a string"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_a_mistake_is_told_with_file_line_and_what_to_do(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = MARKET + ACCOUNT
    assert old in text
    lines = problems(tmp_path, MINIMAL + text.replace(old, new, 1))
    if old == 'name = "aave"':
        lines = [line for line in lines if "account" not in line]
    assert len(lines) == 1, lines
    assert said in lines[0], lines[0]


def test_the_same_market_under_two_names_is_a_mistake(tmp_path: Path) -> None:
    [said] = problems(tmp_path, MINIMAL + MARKET + MARKET.replace('name = "aave"', 'name = "again"'))
    assert said == "tocsin.toml:26: market.1: is the same market as aave"


def test_names_and_addresses_stand_once(tmp_path: Path) -> None:
    text = MINIMAL + MARKET + ACCOUNT
    other = MARKET.replace(POOL, "0x" + "11" * 20)
    [said] = problems(tmp_path, text + other)
    assert "market.1.name: the same name is given at tocsin.toml:17" in said
    [said] = problems(tmp_path, text + ACCOUNT.replace(OWN, "0x" + "11" * 20))
    assert "account.1.name: the same name is given at" in said
    [said] = problems(tmp_path, text + ACCOUNT.replace('"treasury"', '"other"').replace(OWN, OWN.lower()))
    assert "account.1.address: is the address of account treasury too: name it once" in said


def test_an_account_without_a_market_is_in_none(tmp_path: Path) -> None:
    [said] = problems(tmp_path, MINIMAL + ACCOUNT.replace('markets = ["aave"]\n', ""))
    assert said == "tocsin.toml:16: account.0: is in no market: write [[market]] too"


def test_the_index_of_a_market_needs_a_name_and_a_finalized_block(tmp_path: Path) -> None:
    index = f"""
[[chain.index]]
name = "market-aave"
from = 1
addresses = ["{POOL}"]
[[chain.index.event]]
name = "to"
topic = "Transfer(address,address,uint256)"
account = "topic2"
"""
    [said] = problems(tmp_path, MINIMAL + index + MARKET)
    assert "market.0.name: its log index is market-aave, and there is one of that name" in said
    [said] = problems(
        tmp_path, MINIMAL.replace('"ethereum"\n[[chain.node', '"ethereum"\ntags = []\n[[chain.node') + MARKET
    )
    assert "market.0: its log index goes up to the finalized block, and ethereum has none" in said


def test_single_brackets_are_explained(tmp_path: Path) -> None:
    [said] = problems(tmp_path, MINIMAL + MARKET.replace("[[market]]", "[market]"))
    assert said == "tocsin.toml:16: market: write [[market]]: its brackets are double, since there may be several"
