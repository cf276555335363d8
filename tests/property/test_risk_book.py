"""A book holds what it was given, exactly, however it came to be; its versions stay what they are."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.books import IDS, NAMES, accounts, after, books, deltas

from tocsin.risk.amounts import MOST, ROUNDINGS, floats, ints, narrowed, words
from tocsin.risk.book import Book, Change, Deltas, SideName, apply, folded
from tocsin.risk.digest import book_hash
from tocsin.risk.table import Legs

AMOUNTS = st.lists(st.integers(0, MOST), max_size=20)


def held(book: Book) -> dict[bytes, Legs]:
    found = {book.account(row): book.legs(row) for row in range(len(book))}
    assert len(found) == len(book)
    return {account: legs for account, legs in found.items() if legs.collateral or legs.debt}


def with_legs(all_: dict[bytes, Legs]) -> dict[bytes, Legs]:
    return {account: legs for account, legs in all_.items() if legs.collateral or legs.debt}


@given(AMOUNTS)
def test_amounts_come_back_exact_from_as_few_limbs_as_hold_them(amounts: list[int]) -> None:
    limbs = narrowed(words(amounts))
    assert ints(limbs) == amounts
    assert limbs.shape[1] == max(1, -(-max(amounts, default=0).bit_length() // 64))


@given(AMOUNTS)
def test_floats_of_amounts_are_within_their_roundings(amounts: list[int]) -> None:
    for amount, found in zip(amounts, floats(words(amounts)), strict=True):
        assert abs(int(found) - amount) * 2**53 <= ROUNDINGS * amount
        assert amount > 2**53 or int(found) == amount


@given(AMOUNTS)
def test_an_amount_is_the_same_float_in_any_number_of_limbs(amounts: list[int]) -> None:
    assert np.array_equal(floats(words(amounts)), floats(narrowed(words(amounts))))


@given(accounts())
def test_a_book_gives_back_what_it_was_made_of(all_: dict[bytes, Legs]) -> None:
    assert held(Book.of(NAMES, all_)) == with_legs(all_)


@given(accounts(), IDS)
def test_an_account_is_found_in_its_row_or_not_at_all(all_: dict[bytes, Legs], other: bytes) -> None:
    book = Book.of(NAMES, all_)
    assert {account: book.row(account) for account in all_} == {book.account(row): row for row in range(len(book))}
    assert (book.row(other) is None) == (other not in all_)


@given(books())
def test_rows_lie_by_the_number_of_their_legs(book: Book) -> None:
    shape = list(zip(book.base.collateral.counts, book.base.debt.counts, strict=True))
    assert shape == sorted(shape)


@given(accounts(), st.lists(deltas(), max_size=4))
def test_applied_changes_give_what_they_say(all_: dict[bytes, Legs], many: list[Deltas]) -> None:
    book = Book.of(NAMES, all_)
    for what in many:
        book, all_ = apply(book, what), after(all_, what)
    assert held(book) == with_legs(all_)
    assert book_hash(book) == book_hash(Book.of(NAMES, all_))
    whole = book.table()
    assert [whole.legs(row) for row in range(len(book))] == [book.legs(row) for row in range(len(book))]


@given(accounts(), deltas())
def test_the_version_before_a_change_stays_what_it_was(all_: dict[bytes, Legs], what: Deltas) -> None:
    book = Book.of(NAMES, all_)
    before = book_hash(book)
    apply(book, what)
    assert book_hash(book) == before
    assert held(book) == with_legs(all_)


@given(accounts(), deltas())
def test_a_folded_book_is_the_same_book(all_: dict[bytes, Legs], what: Deltas) -> None:
    book = apply(Book.of(NAMES, all_), what)
    assert book_hash(folded(book)) == book_hash(book)
    assert held(folded(book)) == held(book)
    assert not len(folded(book).overlay_rows)


@given(accounts(), st.randoms(use_true_random=False))
def test_the_hash_depends_on_no_order(all_: dict[bytes, Legs], random: "st.random.Random") -> None:
    shuffled = list(all_.items())
    random.shuffle(shuffled)
    assert book_hash(Book.of(NAMES, dict(shuffled))) == book_hash(Book.of(NAMES, all_))


@given(accounts(), deltas())
def test_books_that_differ_hash_differently(all_: dict[bytes, Legs], what: Deltas) -> None:
    changed = after(all_, what)
    same = with_legs(all_) == with_legs(changed)
    assert (book_hash(Book.of(NAMES, all_)) == book_hash(Book.of(NAMES, changed))) == same


def test_columns_are_in_the_hash() -> None:
    assert book_hash(Book.of(("a", "bc"), {})) != book_hash(Book.of(("ab", "c"), {}))


def test_many_changes_fold_the_overlay_and_few_do_not() -> None:
    all_ = {at.to_bytes(20): Legs(collateral={0: at + 1}, debt={1: 1}) for at in range(10_000)}
    book = Book.of(NAMES, all_)
    few = Deltas(accounts={at.to_bytes(20): Legs(collateral={0: 5}, debt={}) for at in range(90)})
    one = apply(book, few)
    assert len(one.overlay_rows) == 90
    assert one.base is book.base
    more = Deltas(accounts={at.to_bytes(20): Legs(collateral={2: 5}, debt={}) for at in range(50, 150)})
    assert not len(apply(one, more).overlay_rows)


def test_new_columns_come_behind_the_others() -> None:
    book = apply(Book.of(("a",), {}), Deltas(columns=("b",), accounts={b"\1" * 20: Legs(collateral={1: 3}, debt={})}))
    assert book.columns == ("a", "b")
    assert held(book) == {b"\1" * 20: Legs(collateral={1: 3}, debt={})}


@pytest.mark.parametrize("wrong", [{0: -1}, {0: MOST + 1}, {-1: 1}, {2**16: 1}])
def test_legs_that_no_chain_can_hold_are_refused(wrong: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="column"):
        Legs(collateral=wrong, debt={})


def test_what_does_not_fit_the_book_is_refused() -> None:
    book = Book.of(NAMES, {})
    with pytest.raises(ValueError, match="there are 5"):
        apply(book, Deltas(accounts={b"\1" * 20: Legs(collateral={5: 1}, debt={})}))
    with pytest.raises(ValueError, match="there are 0"):
        Book.of((), {b"\1" * 20: Legs(collateral={0: 1}, debt={})})
    with pytest.raises(ValueError, match="has 3 bytes"):
        apply(book, Deltas(changes=(Change(account=b"abc", side=SideName.DEBT, column=0, amount=1),)))
    table = Book.of(NAMES, {b"\1" * 20: Legs(collateral={0: 1}, debt={})}).base
    twice = table.take(np.array([0, 0]))
    with pytest.raises(ValueError, match="twice"):
        Book.of_table(NAMES, np.ones((2, 20), dtype=np.uint8), twice)


@given(books())
def test_arrays_of_a_book_cannot_be_written(book: Book) -> None:
    for side in (book.base.collateral, book.base.debt):
        for array in (side.ptr, side.col, side.amount, side.exact):
            assert not array.flags.writeable
    assert not book.account_ids.flags.writeable


_PROGRAM = """
from tocsin.risk.book import Book
from tocsin.risk.digest import book_hash
from tocsin.risk.table import Legs
names = {f"asset{at}" for at in range(20)}
legs = {(at * 104729 % 65521).to_bytes(20): Legs(collateral={at % 7: 3 ** at}, debt={at % 5: at}) for at in range(99)}
print(book_hash(Book.of(sorted(names), {account: legs[account] for account in set(legs)})))
"""


def test_the_hash_is_the_same_in_every_process() -> None:
    found = set()
    for seed in ("0", "1", "77"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run([sys.executable, "-c", _PROGRAM], env=env, capture_output=True, text=True, check=True)
        found.add(ran.stdout.strip())
    assert len(found) == 1
    assert found != {""}
