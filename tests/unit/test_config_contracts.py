"""`[[chain.contract]]`: what becomes of it, and how mistakes in it are told, with their place and what to do."""

from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, REGISTRY, loaded, problems

from tocsin.chain.abi import checksummed
from tocsin.config.load import Loaded, load
from tocsin.config.reload import changes
from tocsin.config.show import as_toml
from tocsin.model.contract import ContractSettings, Layout, Watch

ADDRESS = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"
POOL = f'[[chain.contract]]\nname = "pool"\naddress = "{ADDRESS}"\nwatch = ["owner", "code"]\nowner = {{ slot = 3 }}\n'


def with_contract(folder: Path, contract: str = POOL) -> Loaded:
    return loaded(folder, MINIMAL + contract)


def test_a_contract_reaches_the_settings_with_its_address_in_lower_case(tmp_path: Path) -> None:
    [one] = with_contract(tmp_path).settings.chains[0].contracts
    assert one == ContractSettings(
        name="pool",
        address=ADDRESS.lower(),
        watches=(Watch.CODE, Watch.OWNER),
        layouts={"owner": Layout(slot="0x" + "0" * 63 + "3")},
    )


def test_a_contract_is_shown_as_it_is_read_back(tmp_path: Path) -> None:
    first = with_contract(tmp_path)
    shown = tmp_path / "shown.toml"
    shown.write_text(as_toml(first.document))
    again = load(shown, registry=REGISTRY, environ={})
    assert again.settings.chains[0].contracts == first.settings.chains[0].contracts


def test_another_contract_is_a_change_of_its_chain(tmp_path: Path) -> None:
    before, after = with_contract(tmp_path), with_contract(tmp_path, POOL.replace("slot = 3", "slot = 4"))
    assert changes(before, after).chains_changed == {"ethereum": ("contract",)}
    assert before.settings.config_hash != after.settings.config_hash


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_a_checksum_is_that_of_eip_55(address: str) -> None:
    assert checksummed(address.lower()) == address


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            ADDRESS,
            ADDRESS.replace("Bca", "bca"),
            f"has a wrong checksum (EIP-55), so a digit may be wrong: if none is, write {ADDRESS}",
        ),
        (ADDRESS, ADDRESS[:-1], "is not an address; write 0x and 40 hex digits"),
        (ADDRESS, "0x" + "0" * 40, "is the zero address"),
        (
            '"owner", "code"',
            '"owner", "cdoe"',
            "owner, paused, pauser, roles, safe, supply (did you mean code?)",
        ),
        ('"owner", "code"', '"owner", "owner"', "watch names owner twice"),
        ('"owner", "code"', '"code"', "says where owner lies and does not watch it; add it to watch"),
        ('watch = ["owner", "code"]\nowner = { slot = 3 }', "watch = []", "says nothing to be watched"),
        ("slot = 3", 'slot = "0x3"', "is no slot; write its number, or a string of 0x and 64 hex digits"),
        ("slot = 3", "slot = -1", "is no slot"),
        ("slot = 3", "slot = 3, offset = 13", "owner has 20 bytes: its offset is at most 12"),
        ("slot = 3", "slto = 3", "unknown key"),
        ('name = "pool"\n', "", "name: missing"),
        ("watch =", "wach =", "unknown key (did you mean watch?)"),
        ('name = "pool"', 'name = "a/b"', "a name has 1 to 64"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in POOL
    found = problems(tmp_path, MINIMAL + POOL.replace(old, new))
    assert any("chain.0.contract.0" in line and said in line and "tocsin.toml:" in line for line in found), found


@pytest.mark.parametrize(
    ("key", "second"),
    [
        ("name", POOL.replace(ADDRESS, "0x" + "11" * 20)),
        ("address", POOL.replace('"pool"', '"p2"').replace(ADDRESS, ADDRESS.lower())),
    ],
)
def test_a_contract_given_twice_is_told_with_both_places(tmp_path: Path, key: str, second: str) -> None:
    [line] = problems(tmp_path, MINIMAL + POOL + second)
    assert f"chain.0.contract.1.{key}: the same {key} is given at" in line
