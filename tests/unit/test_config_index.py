"""`[[chain.index]]`: what becomes of it, and how mistakes in it are told, with their place and what to do."""

from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, REGISTRY, loaded, problems

from tocsin.chain.keccak import keccak256
from tocsin.chain.logrules import EventRule, Topic, Word, rules_of
from tocsin.config.index import topic
from tocsin.config.load import Loaded, load
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.model.index import IndexEvent, IndexSettings

POOL = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"
TOKEN = "0x" + "70" * 20
BORROW = "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
INDEX = f"""
[[chain.index]]
name = "debtors"
from = 16291127
addresses = ["{POOL}"]
span = {{ first = 100, most = 2000 }}
audit_one_in = 50

[[chain.index.event]]
name = "borrow"
topic = "Borrow(address,address,address,uint256,uint8,uint256,uint16)"
account = "topic2"

[[chain.index.event]]
name = "sent"
topic = "{TRANSFER}"
account = "data11"
whole = true
addresses = ["{TOKEN}"]
"""


def with_index(folder: Path, index: str = INDEX) -> Loaded:
    return loaded(folder, MINIMAL + index)


def test_an_index_reaches_the_settings_with_topics_and_addresses_resolved(tmp_path: Path) -> None:
    [one] = with_index(tmp_path).settings.chains[0].indexes
    assert one == IndexSettings(
        name="debtors",
        start=16_291_127,
        events=(
            IndexEvent(name="borrow", addresses=(POOL.lower(),), topic=BORROW, account="topic2"),
            IndexEvent(name="sent", addresses=(TOKEN,), topic=TRANSFER, account="data11", whole=True),
        ),
        span=100,
        most_span=2000,
        audit_one_in=50,
        receipts_one_in=1,
    )
    assert one.addresses == (TOKEN, POOL.lower())


def test_the_rules_of_an_index_are_those_that_are_configured(tmp_path: Path) -> None:
    [one] = with_index(tmp_path).settings.chains[0].indexes
    rules = rules_of(one)
    assert rules.start == 16_291_127
    assert rules.rules == (
        EventRule(
            name="borrow", addresses=(bytes.fromhex(POOL[2:]),), topic0=bytes.fromhex(BORROW[2:]), account=Topic(2)
        ),
        EventRule(
            name="sent",
            addresses=(bytes.fromhex(TOKEN[2:]),),
            topic0=bytes.fromhex(TRANSFER[2:]),
            account=Word(11),
            whole=True,
        ),
    )


def test_an_index_is_shown_as_it_is_read_back(tmp_path: Path) -> None:
    first = with_index(tmp_path)
    shown = tmp_path / "shown.toml"
    shown.write_text(as_toml(first.document))
    again = load(shown, registry=REGISTRY, environ={})
    assert again.settings.chains[0].indexes == first.settings.chains[0].indexes


def test_another_index_is_a_change_of_its_chain(tmp_path: Path) -> None:
    before, after = with_index(tmp_path), with_index(tmp_path, INDEX.replace("topic2", "topic1"))
    assert changes(before, after).chains_changed == {"ethereum": ("index",)}
    [one], [other] = before.settings.chains[0].indexes, after.settings.chains[0].indexes
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("span = { first = 100", "span = { first = 200", True),
        ("audit_one_in = 50", "audit_one_in = 60", True),
        ("16291127", "16291128", False),
        (TOKEN, "0x" + "71" * 20, False),
        ("data11", "data10", False),
        ("whole = true", "whole = false", False),
        ('"sent"', '"gone"', False),
    ],
)
def test_an_index_is_another_one_when_it_would_hold_something_else(
    tmp_path: Path, old: str, new: str, *, same: bool
) -> None:
    assert old in INDEX
    [one] = with_index(tmp_path).settings.chains[0].indexes
    [other] = with_index(tmp_path, INDEX.replace(old, new)).settings.chains[0].indexes
    assert (one.identity == other.identity) is same
    assert (rules_of(one).digest == rules_of(other).digest) is same


@pytest.mark.parametrize(
    "event",
    [
        "Transfer(address,address,uint256)",
        "E()",
        "E((address,uint8[2])[],bytes32)",
        "E(string,bytes,bool,function,int24,uint8[][3])",
    ],
)
def test_an_event_may_stand_for_its_topic(event: str) -> None:
    assert topic(event) == f"0x{keccak256(event.encode()).hex()}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (POOL, POOL.replace("Bca", "bca"), "has a wrong checksum (EIP-55)"),
        (POOL, POOL[:-1], "is not an address; write 0x and 40 hex digits"),
        (TRANSFER, TRANSFER[:-2], "has 31 bytes, a topic has 32"),
        (TRANSFER, TRANSFER[:-1], "has 31.5 bytes, a topic has 32"),
        (TRANSFER, "transfers", "is no topic; write 0x and 64 hex digits, or the event"),
        ("Borrow(address,address,", "Borrow(address user, address,", "write the types alone, without names"),
        ("Borrow(address,address,", "Borrow(uint,address,", "'uint' is no type of an event (did you mean uint256?)"),
        ("Borrow(address,address,", "Borrow(uint7,address,", "'uint7' is no type"),
        ("Borrow(address,address,", "Borrow(address[0],address,", "is no type of an event"),
        ("Borrow(address,address,", "Borrow((address,address,", "brackets that do not match"),
        ("Borrow(address,address,", "Borrow(),address,", "brackets that do not match"),
        ("uint16)", "uint16,)", "'' is no type"),
        ('"topic2"', '"topic0"', "is no place in an event; write topic1, topic2 or topic3"),
        ('"topic2"', '"data1024"', "is no place in an event"),
        ('"topic2"', "2", "is no place in an event"),
        (f'addresses = ["{POOL}"]', "", "no contract is named for borrow; write addresses, here or there"),
        ("from = 16291127", "from = -1", "must be at least 0"),
        ("from = 16291127\n", "", "from: missing"),
        ("first = 100", "first = 3000", "begins with 3000 blocks, and 2000 are the most"),
        ("first = 100", "first = 0", "must be at least 1"),
        ("audit_one_in = 50", "audit_one_in = -1", "must be at least 0"),
        ("audit_one_in = 50", "audit_one = 50", "unknown key (did you mean audit_one_in?)"),
        ("account =", "acount =", "unknown key (did you mean account?)"),
        ('name = "debtors"', 'name = "../x"', "a name has 1 to 64"),
        ('name = "sent"', 'name = "borrow"', "the same name is given at"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in INDEX
    found = problems(tmp_path, MINIMAL + INDEX.replace(old, new, 1))
    assert any("chain.0.index.0" in line and said in line and "tocsin.toml:" in line for line in found), found


def test_an_index_without_events_is_told_what_to_write(tmp_path: Path) -> None:
    [line] = problems(tmp_path, MINIMAL + INDEX.partition("[[chain.index.event]]")[0])
    assert "chain.0.index.0.event: missing; write [[chain.index.event]]" in line


def test_an_index_given_twice_is_told_with_both_places(tmp_path: Path) -> None:
    [line] = problems(tmp_path, MINIMAL + INDEX + INDEX)
    assert "chain.0.index.1.name: the same name is given at" in line


def test_an_index_of_a_chain_without_finality_is_refused(tmp_path: Path) -> None:
    text = MINIMAL.replace("[[chain]]", '[[chain]]\ntags = ["safe"]', 1)
    assert text != MINIMAL
    [line] = problems(tmp_path, text + INDEX)
    assert "chain.0.index.0: is built up to the finalized block" in line
