"""What is kept of a market on disk: all of it or nothing, of this market or of none."""

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.handmarket import ACCOUNTS, BLOCK, PARTS, SETTINGS, TIME_S, market, situation

from tocsin.protocols.aave_v3.market import Account
from tocsin.state.indexlayout import Origin
from tocsin.state.marketbook import Layered, Version, Versions, lasting_hash
from tocsin.state.marketfile import Identity, path_of, read, write
from tocsin.valuation.packing import Packed

IDENTITY = Identity(market=SETTINGS.identity, origin=Origin(chain=1, genesis="0x" + "11" * 32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("book")


def version(number: int = BLOCK.number) -> Version:
    of = situation()
    assert isinstance(of.accounts, Packed)
    return Version(
        block=type(BLOCK)(number=number, hash=f"0x{number:064x}"),
        time_s=TIME_S,
        rules=of.rules,
        parts=PARTS,
        market=market(),
        parameters=of.rules.parameters(PARTS, of.market),
        accounts=of.accounts,
        unread={(9).to_bytes(20): "its balances could not be read"},
        book=of.book,
    )


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = path_of(tmp_path, "ethereum", "aave")
    assert read(path, IDENTITY) == (None, "")
    write(path, IDENTITY, version())
    saved, why = read(path, IDENTITY)
    assert saved is not None
    assert (why, saved.block.number, saved.accounts.kind) == ("", BLOCK.number, Account)
    assert {account: saved.accounts[account] for account in saved.accounts} == {one.address: one for one in ACCOUNTS}
    assert saved.unread == {(9).to_bytes(20)}
    assert saved.book == lasting_hash(situation().book)
    assert [entry.name for entry in path.parent.iterdir()] == ["aave.book"]


@pytest.mark.parametrize(
    "other",
    [
        Identity(market="aave-v3 0x00", origin=IDENTITY.origin),
        Identity(market=SETTINGS.identity, origin=Origin(chain=2, genesis=IDENTITY.origin.genesis)),
        Identity(market=SETTINGS.identity, origin=Origin(chain=1, genesis="0x" + "22" * 32)),
    ],
)
def test_what_is_of_another_market_is_set_aside(tmp_path: Path, other: Identity) -> None:
    path = tmp_path / "aave.book"
    write(path, other, version())
    saved, why = read(path, IDENTITY)
    assert saved is None
    assert "of another market" in why
    assert [entry.name for entry in tmp_path.iterdir()] == ["aave.book.damaged"]


@given(at=st.integers(0, 10_000), byte=st.none() | st.integers(0, 255))
def test_a_byte_that_is_another_or_gone_is_never_believed(folder: Path, at: int, byte: int | None) -> None:
    path = folder / "aave.book"
    write(path, IDENTITY, version())
    data = path.read_bytes()
    at %= len(data)
    changed = data[:at] if byte is None else data[:at] + bytes([byte]) + data[at + 1 :]
    path.write_bytes(changed)
    saved, why = read(path, IDENTITY)
    assert (saved is not None) == (changed == data)
    assert changed == data or "are read anew; what was there is aave.book.damaged" in why


def test_another_layout_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "aave.book"
    write(path, IDENTITY, version())
    head, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(orjson.dumps({**orjson.loads(head), "format": 2}) + b"\n" + body)
    assert "it has the layout 2, this version reads 1" in read(path, IDENTITY)[1]


@given(
    base=st.dictionaries(st.binary(max_size=2), st.binary(max_size=2)),
    steps=st.lists(st.dictionaries(st.binary(max_size=2), st.binary(max_size=2)), max_size=5),
)
def test_a_layered_mapping_is_the_mapping_of_all_changes(
    base: dict[bytes, bytes], steps: list[dict[bytes, bytes]]
) -> None:
    found, expected = Layered(base), dict(base)
    for changes in steps:
        older, before = found, dict(expected)
        found, expected = found.with_(changes), {**expected, **changes}
        assert dict(older) == before
    assert (dict(found), len(found)) == (expected, len(expected))


def test_many_changes_are_folded_into_the_base_and_leave_older_versions_alone() -> None:
    base = Layered({at.to_bytes(4): b"0" for at in range(1_000)})
    found = base.with_({at.to_bytes(4): b"1" for at in range(2_000)})
    assert (len(base), len(found), base[(5).to_bytes(4)], found[(5).to_bytes(4)]) == (1_000, 2_000, b"0", b"1")


def test_as_many_versions_are_kept_as_are_wanted_and_the_oldest_go_first() -> None:
    versions = Versions(most=3)
    for number in range(5):
        versions.keep(version(number))
    assert [versions.at(f"0x{number:064x}") is not None for number in range(5)] == [False, False, True, True, True]
    assert (versions.lowest, versions.newest.block.number) == (2, 4)
    versions.keep(version(2))
    versions.keep(version(5))
    assert versions.at(f"0x{2:064x}") is not None
    assert versions.at(f"0x{3:064x}") is None
