"""Roles, amounts and places of contracts in the configuration: what becomes of them, and how mistakes are told."""

from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, REGISTRY, loaded, problems

from tocsin.chain.keccak import keccak256
from tocsin.config.load import load
from tocsin.config.show import as_toml
from tocsin.model.contract import Amount, Bounds, ContractSettings, Layout, Role, Watch

TOKEN, SPENDER = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "0xE592427A0AEce92De3Edee1F18E0157C05861564"
HEAD = f'[[chain.contract]]\nname = "it"\naddress = "{SPENDER}"\n'
ROLES = (
    HEAD
    + f"""watch = ["roles", "pauser", "implementation", "supply", "safe", "beacon_implementation"]
implementation = {{ slot = "eip1822" }}
pauser = {{ function = "guardian()" }}
roles = {{ slot = "erc7201" }}
supply = {{ max = "1000.5", decimals = 6, slot = 11 }}
beacon_implementation = {{ slot = 1 }}
[[chain.contract.role]]
name = "minter"
role = "MINTER_ROLE"
members = ["{TOKEN}"]
[[chain.contract.role]]
name = "admin"
role = "DEFAULT_ADMIN_ROLE"
enumerable = true
"""
)
WALLET = (
    HEAD
    + f"""[[chain.contract.balance]]
name = "eth"
min = "0.5"
max = 10
[[chain.contract.balance]]
name = "usdc"
token = "{TOKEN}"
decimals = 6
max = "250000.5"
slot = 9
[[chain.contract.allowance]]
name = "router"
token = "{TOKEN}"
spender = "{SPENDER}"
decimals = 6
max = "0"
"""
)


def settings(folder: Path, text: str) -> ContractSettings:
    [one] = loaded(folder, MINIMAL + text).settings.chains[0].contracts
    return one


def test_what_is_watched_of_roles_reaches_the_settings(tmp_path: Path) -> None:
    one = settings(tmp_path, ROLES)
    assert one.watches == (
        *(Watch.IMPLEMENTATION, Watch.BEACON_IMPLEMENTATION, Watch.PAUSER, Watch.ROLES, Watch.SAFE, Watch.SUPPLY),
    )
    assert one.layouts == {
        "implementation": Layout(slot="0xc5f16f0fcc639fa48a6947836d9850f504798523bf8c9a3a87d5876cf622bcf7"),
        "roles": Layout(slot="0x02dd7bc7dec4dceedda775e58dd541e08a116c6c53815c0bd028192f7b626800"),
        "beacon_implementation": Layout(slot=f"0x{1:064x}"),
        "supply": Layout(slot=f"0x{11:064x}"),
    }
    assert one.functions == {"pauser": "0x452a9320"}
    assert one.roles == (
        Role(name="minter", id=f"0x{keccak256(b'MINTER_ROLE').hex()}", members=(TOKEN.lower(),)),
        Role(name="admin", id=f"0x{0:064x}", enumerable=True),
    )
    assert one.supply == Bounds(most="1000500000", decimals=6)


def test_an_account_with_limits_needs_no_code(tmp_path: Path) -> None:
    one = settings(tmp_path, WALLET)
    assert (one.watches, one.is_contract) == ((Watch.BALANCE, Watch.ALLOWANCE), False)
    assert one.balances == (
        Amount(name="eth", bounds=Bounds(least=str(5 * 10**17), most=str(10**19), decimals=18)),
        Amount(
            name="usdc",
            token=TOKEN.lower(),
            slot=f"0x{9:064x}",
            bounds=Bounds(most="250000500000", decimals=6),
        ),
    )
    assert one.allowances == (
        Amount(
            name="router",
            token=TOKEN.lower(),
            spender=SPENDER.lower(),
            bounds=Bounds(most="0", decimals=6),
        ),
    )


@pytest.mark.parametrize("text", [ROLES, WALLET])
def test_it_is_shown_as_it_is_read_back(tmp_path: Path, text: str) -> None:
    first = loaded(tmp_path, MINIMAL + text)
    shown = tmp_path / "shown.toml"
    shown.write_text(as_toml(first.document))
    again = load(shown, registry=REGISTRY, environ={})
    assert again.settings.chains[0].contracts == first.settings.chains[0].contracts


@pytest.mark.parametrize(
    ("watch", "name", "slot"),
    [
        ("implementation", "zeppelinos", "0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3"),
        ("admin", "zeppelinos", "0x10d6a54a4754c8869d6886b5f5d7fbfa5b4522237ea5c60d11bc4e7a1ff9390b"),
        ("beacon", "eip1967", "0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"),
        ("owner", "erc7201", "0x9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300"),
        ("paused", "erc7201", "0xcd5ed15c6e187e77e9aee88184c21f4f2182ab5827cb3b7e07fbedcd63f03300"),
    ],
)
def test_a_slot_may_be_named_by_its_standard(tmp_path: Path, watch: str, name: str, slot: str) -> None:
    text = HEAD + f'watch = ["{watch}"]\n{watch} = {{ slot = "{name}" }}\n'
    assert settings(tmp_path, text).layouts[watch].slot == slot


def test_the_slot_of_a_supply_by_its_standard_is_the_third_of_its_namespace(tmp_path: Path) -> None:
    text = HEAD + 'watch = ["supply"]\nsupply = { decimals = 18, slot = "erc7201" }\n'
    at = settings(tmp_path, text).layouts["supply"].slot
    assert at == "0x52c63247e1f47db19d5ce0460030c497f067ca4cebf71ba98eeadabe20bace02"


@pytest.mark.parametrize(
    ("text", "old", "new", "place", "said"),
    [
        (WALLET, TOKEN, TOKEN.replace("b86991", "B86991"), "balance.1.token", f"if none is, write {TOKEN}"),
        (WALLET, 'decimals = 6\nmax = "250000.5"', 'max = "1"', "balance.1", "say how many decimals the token has"),
        (WALLET, 'decimals = 6\nmax = "0"', 'max = "0"', "allowance.0.decimals", "missing"),
        (WALLET, "decimals = 6", "decimals = 78", "balance.1.decimals", "77"),
        (WALLET, "decimals = 6", "decimals = -1", "balance.1.decimals", "0"),
        (WALLET, "decimals = 6", "decimals = 6.0", "balance.1.decimals", "write a whole number"),
        (WALLET, '"250000.5"', '"0.1234567"', "balance.1", "0.1234567 has 7 digits behind the point, and there are 6"),
        (WALLET, '"250000.5"', "250000.5", "balance.1.max", "is not exact as a number; write it as a string"),
        (WALLET, '"250000.5"', '"1e6"', "balance.1.max", "is no amount"),
        (WALLET, '"250000.5"', "-1", "balance.1.max", "is no amount"),
        (WALLET, '"250000.5"', "true", "balance.1.max", "is no amount"),
        (WALLET, '"250000.5"', f'"{2**256}"', "balance.1", "is more than a contract can hold"),
        (WALLET, "max = 10\n", 'max = "0.4"\n', "balance.0", "min is more than max"),
        (WALLET, "max = 10\n", "slot = 3\n", "balance.0", "the native coin has none"),
        (WALLET, 'name = "usdc"', 'name = "eth"', "contract.0", "two balance tables have the name eth"),
        (WALLET, 'max = "0"\n', "", "allowance.0.max", "missing"),
        (WALLET, f'spender = "{SPENDER}"\n', "", "allowance.0.spender", "missing"),
        (WALLET, f'spender = "{SPENDER}"', 'spender = "vitalik.eth"', "allowance.0.spender", "is not an address"),
        (ROLES, '"eip1822"', '"eip1976"', "implementation.slot", "eip1967, eip1822, zeppelinos, erc7201 (did you mean"),
        (
            ROLES,
            '"eip1822"',
            '"erc7201"',
            "contract.0",
            "erc7201 sets no slot for implementation; write its number, or one",
        ),
        (ROLES, '"guardian()"', '"guardian"', "pauser.function", "write its name and (), such as guardian()"),
        (ROLES, '"guardian()"', '"guardian(uint256)"', "pauser.function", "takes nothing"),
        (
            ROLES,
            'function = "guardian()"',
            "offset = 1",
            "contract.0",
            "pauser is neither where it lies nor what tells it",
        ),
        (ROLES, 'slot = "erc7201"', 'function = "x()"', "contract.0", "roles is told by no other function"),
        (
            ROLES,
            'slot = "erc7201"',
            'slot = "erc7201", offset = 1',
            "contract.0",
            "roles has 32 bytes: its offset is at most 0",
        ),
        (ROLES, '"MINTER_ROLE"', '"0x1234"', "role.0.role", "is no role; write 0x and 64 hex digits, or its name"),
        (ROLES, '"DEFAULT_ADMIN_ROLE"', '"MINTER_ROLE"', "contract.0", "two role tables have the id"),
        (ROLES, 'name = "admin"', 'name = "minter"', "contract.0", "two role tables have the name minter"),
        (ROLES, '"roles", ', "", "contract.0", "says where roles lies and does not watch it"),
        (ROLES, ', "supply"', "", "contract.0", "add supply to watch"),
        (ROLES, "decimals = 6, ", "", "supply.decimals", "missing"),
        (ROLES, '"safe"', '"balance"', "watch.4", "is nothing that can be watched"),
        (ROLES, f'"{TOKEN}"', f'"{TOKEN[:-1]}"', "role.0.members.0", "is not an address"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, old: str, new: str, place: str, said: str) -> None:
    assert old in text
    found = problems(tmp_path, MINIMAL + text.replace(old, new, 1))
    assert any(place in line and said in line and "tocsin.toml:" in line for line in found), found


def test_a_role_table_without_its_watch_is_told(tmp_path: Path) -> None:
    text = HEAD + 'watch = ["code"]\n[[chain.contract.role]]\nname = "minter"\nrole = "MINTER_ROLE"\n'
    [line] = problems(tmp_path, MINIMAL + text)
    assert "says what of its roles, and does not watch that; add roles to watch" in line


def test_a_balance_in_single_brackets_is_told_how_to_write_it(tmp_path: Path) -> None:
    found = problems(tmp_path, MINIMAL + HEAD + '[chain.contract.balance]\nname = "eth"\nmin = "1"\n')
    [said] = [one for one in found if ".balance:" in one]
    assert "tocsin.toml:18: chain.0.contract.0.balance: write [[chain.contract.balance]]: its brackets are" in said


def test_a_balance_without_limits_is_warned_of_with_its_place(tmp_path: Path) -> None:
    bare = HEAD + '[[chain.contract.balance]]\nname = "eth"\n'
    [warning] = [one for one in loaded(tmp_path, MINIMAL + bare).warnings if "min nor max" in one]
    assert "chain.0.contract.0.balance.0: has neither min nor max: it is shown" in warning
    assert "tocsin.toml:18: " in warning
    assert not any("min nor max" in one for one in loaded(tmp_path, MINIMAL + bare + 'min = "1"\n').warnings)
