"""What slots, calls and logs of watched contracts mean, whatever stands in them."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from tocsin.config.amount import LARGEST, amount, scaled
from tocsin.engine import watch_roles, watch_safe, words
from tocsin.engine.facts import Fact
from tocsin.engine.readback import subject_of
from tocsin.engine.told import Page
from tocsin.model.alert import Grade
from tocsin.model.contract import (
    UNREADABLE,
    ContractSettings,
    SafePart,
    Watch,
    is_other,
    list_text,
    listed,
)
from tocsin.model.reading import CallOf, ProofOf, SlotOf
from tocsin.units import amount_text

SAFE = "0x" + "5a" * 20
ADDRESSES = st.integers(2, 2**160 - 1).map(lambda number: f"0x{number:040x}")
WORDS = st.binary(min_size=32, max_size=32)
ONE = ContractSettings(name="safe", address=SAFE, watches=(Watch.SAFE,))
BAD_WORDS = st.one_of(st.integers(0, 3), st.integers(0, 2**256 - 1), st.integers(2**160, 2**161))


def linked(part: SafePart, members: list[str]) -> dict[bytes, int]:
    """The slots of a list, as a Safe writes them."""
    ring = [1, *(int(member, 16) for member in members), 1]
    at = watch_safe.LISTS[part]
    return {words.mapped(at, here): following for here, following in pairwise(ring)}


def laid_out(owners: list[str], modules: list[str], threshold: int = 1, nonce: int = 0) -> dict[bytes, int]:
    fixed = {
        watch_safe.PLACES[SafePart.SINGLETON]: 0x51,
        watch_safe.PLACES[SafePart.THRESHOLD]: threshold,
        watch_safe.PLACES[SafePart.NONCE]: nonce,
        watch_safe.COUNT: len(owners),
    }
    return {**fixed, **linked(SafePart.OWNERS, owners), **linked(SafePart.MODULES, modules)}


def texts(slots: Mapping[bytes, int]) -> dict[str, str]:
    return {f"{SAFE}:0x{slot.hex()}": f"0x{value:064x}" for slot, value in slots.items()}


def page(values: Mapping[str, str], grade: Grade = Grade.PROVEN) -> Page:
    return Page(facts={name: Fact(value=value, grade=grade) for name, value in values.items()}, groups=3)


def names(members: list[str]) -> str:
    return f"0x{encode(('address[]',), (members,)).hex()}"


def pages(members: list[str]) -> str:
    return f"0x{encode(('address[]', 'address'), (members, '0x' + '0' * 39 + '1')).hex()}"


# -- words


@given(st.lists(ADDRESSES, max_size=64))
def test_a_list_of_addresses_is_read_as_the_reference_writes_it(members: list[str]) -> None:
    assert words.addresses(names(members)) == words.addresses(pages(members)) == tuple(members)


@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=5).map(lambda all_: f"0x{b''.join(all_).hex()}")))
def test_what_is_no_list_is_none(text: str) -> None:
    found = words.addresses(text)
    assert found is None or all(words.address(f"0x{int(member, 16):064x}") == member for member in found)
    assert words.addresses(text[:-1]) is None


@pytest.mark.parametrize(
    "text",
    [
        "0x",
        f"0x{2**256 - 32:064x}",
        f"0x{33:064x}{0:064x}",
        f"0x{32:064x}",
        f"0x{32:064x}{2:064x}{5:064x}",
        f"0x{32:064x}{2**255:064x}{5:064x}",
        f"0x{32:064x}{1:064x}{2**160:064x}",
    ],
)
def test_hostile_offsets_and_lengths_are_no_list(text: str) -> None:
    assert words.addresses(text) is None


@given(WORDS, st.integers(0, 31), st.data())
def test_what_is_packed_in_a_slot_is_cut_out_of_it(word: bytes, offset: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 32 - offset))
    assert words.packed(f"0x{word.hex()}", offset, size) == int.from_bytes(word[32 - offset - size : 32 - offset])


# -- a Safe


@given(st.lists(ADDRESSES, max_size=64, unique=True))
def test_a_list_is_followed_to_its_end(members: list[str]) -> None:
    found = watch_safe.walk(SAFE, SafePart.OWNERS, texts(linked(SafePart.OWNERS, members)))
    assert (found.members, found.missing, found.flaw) == (tuple(members), None, "")


@given(st.lists(ADDRESSES, min_size=1, max_size=70, unique=True), st.data())
def test_a_list_with_anything_else_in_it_closes_otherwise_or_is_none(members: list[str], data: st.DataObject) -> None:
    slots = linked(SafePart.OWNERS, members)
    at = data.draw(st.sampled_from(sorted(slots)))
    slots[at] = data.draw(st.one_of(BAD_WORDS, st.sampled_from([int(member, 16) for member in members])))
    found = watch_safe.walk(SAFE, SafePart.OWNERS, texts(slots))
    assert len(found.members) <= watch_safe.MOST
    assert len(set(found.members)) == len(found.members)
    if found.missing is None and not found.flaw:
        assert linked(SafePart.OWNERS, list(found.members)).items() <= slots.items()


@pytest.mark.parametrize(
    ("count", "flaw"), [(64, ""), (65, "has more than 64 members"), (500, "has more than 64 members")]
)
def test_a_list_is_followed_through_64_members_and_no_further(count: int, flaw: str) -> None:
    members = [f"0x{at:040x}" for at in range(2, count + 2)]
    found = watch_safe.walk(SAFE, SafePart.OWNERS, texts(linked(SafePart.OWNERS, members)))
    assert (found.members, found.flaw) == (tuple(members[:64]), flaw)
    assert len(found.slots) <= 65


@given(st.lists(ADDRESSES, min_size=1, max_size=64, unique=True), st.lists(ADDRESSES, max_size=20, unique=True))
def test_a_safe_is_read_in_two_phases_whoever_its_members_are(owners: list[str], modules: list[str]) -> None:
    truth = laid_out(owners, modules)
    calls = {
        subject_of(watch_safe.call_of(SAFE, SafePart.OWNERS)): names(owners),
        subject_of(watch_safe.call_of(SAFE, SafePart.MODULES)): pages(modules),
    }
    values: dict[str, str] = {}
    for _ in range(2):
        for item in watch_safe.items(ONE, values):
            if isinstance(item, SlotOf):
                values |= texts({item.key: truth.get(item.key, 0)})
            elif isinstance(item, CallOf):
                values[subject_of(item)] = calls[subject_of(item)]
    told = {one.name: one for one in watch_safe.told(ONE, page(values), was_one=False)}
    assert {one.why for one in told.values()} == {""}
    found = {name: one.fact.value for name, one in told.items() if one.fact is not None}
    assert found["safe.owners"] == ",".join(sorted(owners))
    assert found["safe.modules"] == (",".join(sorted(modules)) or "none")
    again = list(watch_safe.items(ONE, values))
    [proof] = [item for item in again if isinstance(item, ProofOf)]
    assert set(proof.keys) == {item.key for item in again if isinstance(item, SlotOf)}
    assert {f"{SAFE}:0x{key.hex()}" for key in proof.keys} <= values.keys()


@given(st.lists(ADDRESSES, min_size=2, max_size=9, unique=True), st.lists(ADDRESSES, max_size=3))
def test_what_a_safe_says_of_itself_changes_nothing_and_is_told(owners: list[str], said: list[str]) -> None:
    values = texts(laid_out(owners, []))
    values[subject_of(watch_safe.call_of(SAFE, SafePart.OWNERS))] = names(said)
    told = {one.name: one for one in watch_safe.told(ONE, page(values), was_one=False)}
    owned = told["safe.owners"]
    assert owned.fact is not None
    assert owned.fact.value == ",".join(sorted(owners))
    assert (owned.why == "") == (set(said) == set(owners))


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({watch_safe.PLACES[SafePart.THRESHOLD]: 0}, "its threshold (slot 4) is 0"),
        ({watch_safe.PLACES[SafePart.THRESHOLD]: 3}, "its threshold (slot 4) is 3, and it counts 2 owners (slot 3)"),
        (
            {watch_safe.PLACES[SafePart.THRESHOLD]: 2**200},
            "its threshold (slot 4) is a huge number, and it counts 2 owners (slot 3)",
        ),
        ({watch_safe.COUNT: 0}, "its number of owners (slot 3) is 0"),
        ({watch_safe.COUNT: 5}, "its list of owners (slot 2) has 2 members, and slot 3 counts 5"),
        ({words.mapped(watch_safe.LISTS[SafePart.OWNERS], 1): 0}, "its list of owners (slot 2) was never begun"),
        ({words.mapped(watch_safe.LISTS[SafePart.OWNERS], 7): 7}, "its list of owners (slot 2) runs in a circle"),
        ({words.mapped(watch_safe.LISTS[SafePart.OWNERS], 7): 0}, "its list of owners (slot 2) has no end"),
        (
            {words.mapped(watch_safe.LISTS[SafePart.OWNERS], 7): 2**160},
            "its list of owners (slot 2) holds what is no address",
        ),
    ],
)
def test_what_is_no_safe_is_told_with_the_reason_and_what_was_one_becomes_unreadable(
    change: dict[bytes, int], flaw: str
) -> None:
    slots = {**laid_out([f"0x{7:040x}", f"0x{8:040x}"], []), **change}
    [told] = watch_safe.told(ONE, page(texts(slots)), was_one=False)
    assert (told.fact, told.why) == (None, f"{SAFE} is no Safe: {flaw}")
    after = {one.name: one.fact for one in watch_safe.told(ONE, page(texts(slots)), was_one=True)}
    owners, threshold = after["safe.owners"], after["safe.threshold"]
    assert owners is not None
    assert threshold is not None
    is_of_list = "list" in flaw and "counts" not in flaw
    assert (owners.value == UNREADABLE) == is_of_list
    assert threshold.value == str(slots[watch_safe.PLACES[SafePart.THRESHOLD]])


def test_a_list_is_known_as_well_as_its_least_known_member() -> None:
    values = texts(laid_out([f"0x{7:040x}", f"0x{8:040x}"], []))
    facts = dict(page(values).facts)
    weak = f"{SAFE}:0x{words.mapped(watch_safe.LISTS[SafePart.OWNERS], 8).hex()}"
    facts[weak] = Fact(value=values[weak], grade=Grade.MAJORITY, votes=2, groups=3)
    told = {one.name: one.fact for one in watch_safe.told(ONE, Page(facts=facts, groups=3), was_one=False)}
    assert [fact.grade for fact in told.values() if fact is not None].count(Grade.MAJORITY) == 1
    owners = told["safe.owners"]
    assert owners is not None
    assert (owners.grade, owners.votes) == (Grade.MAJORITY, 2)
    # One group alone says so: then the list is not known at all.
    facts[weak] = Fact(value=values[weak], grade=Grade.UNCORROBORATED, votes=1, groups=3, why="1 of 3 groups")
    told_of = {one.name: one for one in watch_safe.told(ONE, Page(facts=facts, groups=3), was_one=False)}
    assert told_of["safe.owners"].fact is None
    assert "1 of 3 groups" in told_of["safe.owners"].why


# -- roles


@given(st.lists(st.tuples(WORDS, ADDRESSES), max_size=5), ADDRESSES)
def test_who_was_given_a_role_is_read_from_the_logs_of_that_contract_alone(
    grants: list[tuple[bytes, str]], other: str
) -> None:
    topic = f"0x{watch_roles.GRANTED.hex()}"

    def entry(address: str, role: bytes, account: str) -> str:
        return f"{address},{topic},0x{role.hex()},0x{int(account, 16):064x},0x{0:064x},0x"

    logs = ";".join(entry(address, *grant) for grant in grants for address in (SAFE, other))
    found = watch_roles.granted(SAFE, {"logs:1": logs or "no logs", "logs:2": "3 logs, keccak 0x00", SAFE: logs})
    assert found == tuple(dict.fromkeys((f"0x{role.hex()}", account) for role, account in grants))


@given(st.text("0x,;abz ", max_size=60))
def test_whatever_a_log_says_nothing_breaks(text: str) -> None:
    assert watch_roles.granted(SAFE, {"logs:1": text}) == ()


# -- amounts, lists, and what is news


@given(st.integers(0, LARGEST), st.integers(0, 77))
def test_an_amount_is_read_back_as_it_is_written(units: int, decimals: int) -> None:
    assert scaled(amount(amount_text(units, decimals)), decimals) == str(units)


@given(st.integers(0, LARGEST), st.integers(0, 77))
def test_an_amount_has_as_many_digits_behind_the_point_as_it_needs(units: int, decimals: int) -> None:
    whole, _, behind = amount_text(units, decimals).partition(".")
    assert int(whole) == units // 10**decimals
    assert len(behind) <= decimals
    assert not behind.endswith("0")


@given(st.lists(ADDRESSES, max_size=5))
def test_a_list_is_the_same_in_any_order(members: list[str]) -> None:
    assert list_text(members) == list_text(reversed([*members, *members]))
    assert set(listed(list_text(members))) == set(members)


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_of_a_nonce_only_a_fall_is_news(before: int, now: int) -> None:
    assert is_other("safe.nonce", str(before), str(now)) == (now < before)
    assert is_other("safe.threshold", str(before), str(now)) == (now != before)
