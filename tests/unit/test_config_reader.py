"""`[chain.reader]` and amounts of `[[chain.index]]`: what becomes of them, and how long a lie lasts, as is said."""

import json
from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, REGISTRY, loaded, problems

from tocsin.chain.readaudit import blocks_until_found
from tocsin.cli.main import run
from tocsin.config.calls import index_units_per_day
from tocsin.config.load import load
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.model.index import AmountSettings
from tocsin.model.settings import READ_AUDIT_ONE_IN, ReaderSettings

POOL, TOKEN = "0x" + "a1" * 20, "0x" + "a2" * 20
INDEX = f"""
[[chain.index]]
name = "holders"
from = 5
addresses = ["{POOL}"]
amount = {{ every = "1h" }}

[[chain.index.event]]
name = "got"
topic = "Transfer(address,address,uint256)"
account = "topic2"
"""
READER = f"""
[chain.reader]
audit_one_in = 5
multicall = "{TOKEN}"
"""
ALONE = MINIMAL[: MINIMAL.rindex("[[chain.node]]")]


def test_a_reader_reaches_the_settings_and_has_sensible_terms_without_a_word(tmp_path: Path) -> None:
    [chain] = loaded(tmp_path, MINIMAL).settings.chains
    assert chain.reader == ReaderSettings(audit_one_in=READ_AUDIT_ONE_IN, multicall="")
    [chain] = loaded(tmp_path, MINIMAL + READER).settings.chains
    assert chain.reader == ReaderSettings(audit_one_in=5, multicall=TOKEN)


def test_amounts_are_asked_of_the_only_contract_of_an_index_by_balance_of(tmp_path: Path) -> None:
    [one] = loaded(tmp_path, MINIMAL + INDEX).settings.chains[0].indexes
    assert one.amount == AmountSettings(
        contract=POOL, call="balanceOf(address)", decimals=0, every_ns=3600 * 10**9, most=20_000
    )
    asked = f'amount = {{ contract = "{TOKEN}", call = "debtOf(address)", decimals = 6, every = "30s", most = 7 }}'
    [one] = loaded(tmp_path, MINIMAL + INDEX.replace('amount = { every = "1h" }', asked)).settings.chains[0].indexes
    assert one.amount == AmountSettings(contract=TOKEN, call="debtOf(address)", decimals=6, every_ns=30 * 10**9, most=7)


def test_other_amounts_are_of_the_same_index_and_both_are_shown_as_they_are_read_back(tmp_path: Path) -> None:
    first = loaded(tmp_path, MINIMAL + READER + INDEX)
    bare = loaded(tmp_path, MINIMAL + READER + INDEX.replace('amount = { every = "1h" }', ""))
    assert first.settings.chains[0].indexes[0].identity == bare.settings.chains[0].indexes[0].identity
    assert changes(first, bare).chains_changed == {"ethereum": ("index",)}
    assert changes(bare, loaded(tmp_path, MINIMAL + INDEX.replace('amount = { every = "1h" }', ""))).chains_changed == {
        "ethereum": ("reader",)
    }
    shown = tmp_path / "shown.toml"
    shown.write_text(as_toml(first.document))
    again = load(shown, registry=REGISTRY, environ={}).settings.chains[0]
    assert (again.reader, again.indexes) == (first.settings.chains[0].reader, first.settings.chains[0].indexes)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('every = "1h"', 'call = "balanceOf"', "call: is no call of one account; write its name and (address)"),
        ('every = "1h"', 'call = "balanceOf(address,uint256)"', "is no call of one account"),
        ('every = "1h"', "most = 0", "most: must be at least 1"),
        ('every = "1h"', 'contact = "x"', "contact: unknown key (did you mean contract?)"),
        (f'["{POOL}"]', f'["{POOL}", "{TOKEN}"]', "amount names no contract; say which one is asked"),
        ('account = "topic2"', 'account = "topic2"\nwhole = true', "write balanceOf(bytes32)"),
        ("audit_one_in = 5", "audit_one_in = -1", "audit_one_in: must be at least 0"),
        ("audit_one_in = 5", "audit_one = 5", "audit_one: unknown key (did you mean audit_one_in?)"),
        ("multicall = ", 'multicall = "0x12" # ', "multicall: "),
    ],
)
def test_mistakes_are_told_with_what_to_do(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = MINIMAL + READER + INDEX
    assert old in text
    assert any(said in line for line in problems(tmp_path, text.replace(old, new))), problems(tmp_path, text)


# -- what `config check` says


def checked(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[dict[str, object]]]:
    file = folder / "tocsin.toml"
    file.write_text(text)
    assert run(["config", "check", str(file)]) == 0
    said = capsys.readouterr().out
    assert run(["config", "check", "--json", str(file)]) == 0
    audits: list[dict[str, object]] = json.loads(capsys.readouterr().out)["audits"]
    return said, audits


def test_check_states_after_how_long_a_lie_in_one_value_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, audits = checked(tmp_path, MINIMAL + READER + INDEX, capsys)
    assert (
        "ethereum: one value in 5 is asked of a second group: of 2 groups one that lies in one value of each reading "
        "is found after 10 readings on average (2 min 00 s where each block is read, 10 h 00 min for the amounts of "
        "holders)"
    ) in said
    assert audits == [{"chain": "ethereum", "one_in": 5, "groups": 2, "readings": 10, "seconds": 120.0}]
    assert blocks_until_found(one_in=5, lies=1, groups=2) == pytest.approx(10)


def test_check_says_where_nothing_is_held_against_anybody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, audits = checked(tmp_path, ALONE + INDEX, capsys)
    assert "its nodes make one group: values that are read in bulk are held against nobody" in said
    assert audits[0]["readings"] is None
    nothing = READER.replace("= 5", "= 0")
    said, audits = checked(tmp_path, MINIMAL + nothing, capsys)
    assert "no value is asked of a second group: a group that lies in one is never found" in said
    assert (audits[0]["readings"], audits[0]["seconds"]) == (None, None)


def test_check_says_nothing_of_it_where_nothing_is_read_in_bulk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, audits = checked(tmp_path, MINIMAL, capsys)
    assert said.count("\n") == 1
    assert audits == []


def test_what_amounts_cost_is_counted_in_what_indexes_ask_for(tmp_path: Path) -> None:
    def units(text: str) -> int:
        [chain] = loaded(tmp_path, MINIMAL + text).settings.chains
        return index_units_per_day(chain, chain.nodes[0], {"eth_call": 10})

    hourly, bare = INDEX, INDEX.replace('amount = { every = "1h" }', "")
    # 20,000 accounts are 20 questions, and one more audits them; each of two groups is asked every other time.
    assert units(hourly) - units(bare) == 24 * (20 + 1) * 10 // 2
    assert units(READER.replace("= 5", "= 0") + hourly) - units(bare) == 24 * 20 * 10 // 2
