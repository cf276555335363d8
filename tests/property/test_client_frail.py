"""What was handled before the daemon had it on disk, or under a number that was given again: not lost, not twice."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.lengths import at_length

from tocsin.client import cursor as module
from tocsin.client.cursor import Cursor
from tocsin.client.entries import Entry, Noting, Plan, Saved, Step, Taken
from tocsin.client.frail import Frail, Piece
from tocsin.client.ledger import Ledger
from tocsin.client.ranges import joined

SOURCE = "/tocsin/ams/host-a"
ONE = Step(activation=1, count=1)
FEW = 3
SELF_TEST = "self"


def entry(seq: int, name: str, *, boot: int = 0, durable: bool = True, step: Step = ONE) -> Entry:
    return Entry(seq=seq, id=f"x:b{boot}:{seq}", fingerprint=name, step=step, urgent=False, durable=durable)


def handle(cursor: Cursor, one: Entry) -> None:
    assert cursor.take(one, 0.0) is Taken.TAKEN
    assert cursor.next(0.0) == one
    cursor.done(0.0)


@given(said=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2), st.sampled_from(["add", "add", "cut"]))))
def test_pieces_hold_the_ids_that_were_added_and_no_others(said: list[tuple[int, int, str]]) -> None:
    frail, held = Frail(), dict[int, str]()
    for seq, boot, what in said:
        if what == "add":
            held[seq] = f"x:b{boot}:{seq}"
            frail.add(seq, held[seq])
        else:
            for gone in range(seq, seq + 4):
                held.pop(gone, None)
            frail.cut(seq, seq + 3)
    assert {seq: f"{stem}{seq}" for first, last, stem in frail for seq in range(first, last + 1)} == held
    pieces = list(frail)
    assert all(low.last < high.first for low, high in pairwise(pieces))
    assert not any(low.last + 1 == high.first and low.stem == high.stem for low, high in pairwise(pieces))
    for seq in range(1, 31):
        assert (seq in frail) == (seq in held)
        assert all(frail.has(seq, f"x:b{boot}:{seq}") == (held.get(seq) == f"x:b{boot}:{seq}") for boot in range(3))


@given(numbers=st.sets(st.integers(1, 40)))
def test_joining_leaves_stretches_that_do_not_adjoin(numbers: set[int]) -> None:
    spans = list(joined((seq, seq) for seq in sorted(numbers)))
    assert {seq for first, last in spans for seq in range(first, last + 1)} == numbers
    assert all(low[1] + 1 < high[0] for low, high in pairwise(spans))


def test_however_much_is_said_while_the_disk_is_full_all_of_it_is_confirmed_once_it_is_not() -> None:
    cursor, most = Cursor(Saved(begun=True)), 3 * module.MOST_FRAIL
    for seq in range(1, most + 1):
        if seq % 60:
            handle(cursor, entry(seq, f"n{seq}", durable=False))
        else:
            assert cursor.skip(entry(seq, SELF_TEST, durable=False), 0.0) is Taken.TAKEN
    assert len(cursor.frail) == 1, "one life of the daemon without a gap is one piece"
    assert cursor.ack(1).wanted == ((1, 2**53 - 1),), "all of it is asked for again"
    for seq in range(1, most + 1):
        if seq % 60:
            assert cursor.take(entry(seq, f"n{seq}"), 1.0) is Taken.DUPLICATE, "it was handled"
        else:
            assert cursor.skip(entry(seq, SELF_TEST), 1.0) is Taken.DUPLICATE
        if seq % 100 == 0:
            cursor.written(cursor.unwritten())
    assert (cursor.ack(2).max, cursor.ack(2).missing, len(cursor.frail)) == (most, (), 0)


def test_a_piece_for_which_there_is_no_room_is_not_taken_before_the_daemon_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_FRAIL", 2)
    cursor = Cursor(Saved(begun=True))
    for seq in (1, 3):
        handle(cursor, entry(seq, f"n{seq}", durable=False))
    assert cursor.take(entry(5, "c", durable=False), 0.0) is Taken.REFUSED
    assert (6, 2**53 - 1) not in (cursor.ack(1).wanted or ()), "it is asked for again"
    assert cursor.skip(entry(7, SELF_TEST, durable=False), 0.0) is Taken.REFUSED
    handle(cursor, entry(4, "d", durable=False))
    handle(cursor, entry(5, "c"))
    assert (cursor.ack(1).max, list(cursor.frail)) == (5, [Piece(1, 1, "x:b0:"), Piece(3, 4, "x:b0:")])


def test_another_message_of_a_number_for_which_there_was_no_room_is_taken_the_next_time() -> None:
    cursor = Cursor(Saved(begun=True), most_held=0)
    handle(cursor, entry(2, "a", durable=False))
    waits = entry(2, "b", boot=1, step=Step(activation=1, count=2))
    assert cursor.take(waits, 0.0) is Taken.REFUSED
    handle(cursor, entry(1, "b", boot=1))
    assert cursor.take(waits, 0.0) is Taken.TAKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What was read of a cursor when one began: of a message that is handled, or of what needs no handing over."""

    plan: Plan
    one: Entry | None = None
    noting: Noting | None = None
    late: bool = False


class Weak(RuleBasedStateMachine):
    """A daemon whose disk is full at times, which dies then and gives numbers again; a consumer that dies, too."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.open()
        self.said: list[Entry] = []
        self.is_durable: list[bool] = []
        self.boot, self.disk_ok = 0, True
        self.handled: list[str] = []
        self.cursor = Cursor(Saved(begun=True, stream="s"))
        self.since = self.beats = self.heard = 0
        self.limit = module.MOST_FRAIL
        module.MOST_FRAIL = FEW  # type: ignore[misc]
        self.now = 0.0

    def open(self) -> None:
        self.ledger = Ledger(self.folder / "c.db", "pager")
        self.ledger.db.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug here

    @rule(name=st.sampled_from(["a", "b", "c", SELF_TEST]))
    def say(self, name: str) -> None:
        last = max((one.step.activation for one in self.said if one.fingerprint == name), default=0)
        step = Step(activation=last + 1, count=1, over=True)
        self.said.append(entry(len(self.said) + 1, name, boot=self.boot, step=step))
        self.is_durable.append(self.disk_ok)

    @rule(ok=st.booleans())
    def disk(self, *, ok: bool) -> None:
        self.disk_ok = ok
        if ok:
            self.is_durable = [True] * len(self.said)

    @rule()
    def daemon_dies(self) -> None:
        self.beat()
        kept = [one for one, durable in zip(self.said, self.is_durable, strict=True) if durable]
        self.said, self.is_durable, self.boot = kept, [True] * len(kept), self.boot + 1
        self.since = len(kept)

    @rule(kept=st.integers(0, 12))
    def set_back(self, kept: int) -> None:
        """The daemon's state directory is put back to an earlier one: numbers are given again."""
        self.beat()  # a life that nobody heard of, and of which no message came, leaves no trace
        self.said, self.is_durable = self.said[:kept], [True] * len(self.said[:kept])
        self.boot, self.since = self.boot + 1, len(self.said)

    @rule()
    def beat(self) -> None:
        self.beats, self.heard = self.beats + 1, self.boot
        said = len(self.said)
        self.cursor.heartbeat(f"b{self.boot}", self.beats, said, 0, self.now, "s")
        self.cursor.is_said_since(self.since, f"x:b{self.boot}:")
        self.settle()  # as a subscriber does a quarter of a second later

    @rule()
    def consumer_dies(self) -> None:
        self.ledger.close()
        self.open()
        self.cursor = Cursor(self.ledger.load(SOURCE) or Saved(begun=True, stream="s"))

    @rule(data=st.data(), waits=st.booleans())
    def arrive(self, data: st.DataObject, *, waits: bool) -> None:
        for seq in data.draw(st.sets(st.integers(1, max(1, len(self.said))), max_size=4)):
            if seq <= len(self.said):
                self.hear(seq)
        if not waits:
            self.drain()

    @rule()
    def ask_again(self) -> None:
        ack = self.cursor.ack(1)
        lacking = [*ack.missing, *range(ack.max + 1, len(self.said) + 1)]
        for seq in lacking:
            if seq <= len(self.said) and any(first <= seq <= last for first, last in ack.wanted or ()):
                self.hear(seq)
        self.settle()
        self.drain()

    def hear(self, seq: int) -> None:
        one = self.said[seq - 1]
        if not self.is_durable[seq - 1]:
            one = replace(one, durable=False)
        if one.fingerprint == SELF_TEST:
            self.cursor.skip(one, self.now)
        else:
            self.cursor.take(one, self.now)

    def settle(self) -> None:
        self.write(Transaction(plan=self.cursor.unwritten()))

    def drain(self) -> None:
        while (one := self.cursor.next(self.now)) is not None:
            self.write(self.handling(one))

    def handling(self, one: Entry) -> "Transaction":
        late = self.cursor.is_late(one)
        return Transaction(plan=self.cursor.unwritten(), one=one, noting=self.cursor.noting(one), late=late)

    def write(self, what: "Transaction") -> None:
        self.commit(what)
        self.end(what)

    def commit(self, what: "Transaction") -> None:
        self.ledger.begin()
        self.ledger.settle(SOURCE, what.plan)
        if what.one is not None and what.noting is not None:
            self.ledger.done(SOURCE, what.one, what.noting, late=what.late)
            self.handled.append(what.one.id)
        self.ledger.commit()

    def end(self, what: "Transaction") -> None:
        self.cursor.written(what.plan)
        if what.one is not None:
            self.cursor.done(self.now)

    @invariant()
    def nothing_is_handled_twice(self) -> None:
        assert len(self.handled) == len(set(self.handled))

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.cursor.frail) <= FEW + 4 + self.cursor.waiting

    @precondition(lambda self: not self.disk_ok and self.heard == self.boot)
    @invariant()
    def an_ack_claims_nothing_that_the_daemon_has_not_on_disk(self) -> None:
        ack = self.cursor.ack(1)
        had = [one for one in self.said[: ack.max] if one.seq not in ack.missing]
        assert all(self.is_durable[one.seq - 1] for one in had)

    def teardown(self) -> None:
        try:
            self.disk(ok=True)
            for _ in range(15):
                self.now += 61.0
                self.beat()
                self.ask_again()
            self.settle()
            wanted = [one.id for one in self.said if one.fingerprint != SELF_TEST]
            assert set(wanted) <= set(self.handled)
            self.nothing_is_handled_twice()
            assert (self.cursor.ack(1).max, self.cursor.ack(1).missing) == (len(self.said), ())
            self.consumer_dies()
            assert (self.cursor.ack(1).max, self.cursor.ack(1).missing) == (len(self.said), ())
            assert all(piece.first > len(self.said) for piece in self.cursor.frail), "numbers that were not given again"
        finally:
            self.close()

    def close(self) -> None:
        self.ledger.close()
        module.MOST_FRAIL = self.limit  # type: ignore[misc]
        shutil.rmtree(self.folder)


Weak.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestWeak = Weak.TestCase
TestWeakAtLength = at_length(Weak, examples=60, steps=30)


class Torn(Weak):
    """Whatever comes between two steps of a transaction, the consumer's death included: a handler takes its time.

    The cursor is read, the handler runs, the thread commits, the cursor is told: between each two of them messages come
    in, the daemon is restored, drops what the consumer lacks, and dies.
    """

    def __init__(self) -> None:
        super().__init__()
        self.under_way: Transaction | None = None
        self.is_committed = False
        self.gone: set[str] = set()

    def settle(self) -> None:
        """Leave it to the rules."""

    def drain(self) -> None:
        """Leave it to the rules."""

    @precondition(lambda self: self.under_way is None)
    @rule(settles=st.booleans())
    def begin(self, *, settles: bool) -> None:
        if settles:
            self.under_way = Transaction(plan=self.cursor.unwritten())
        elif (one := self.cursor.next(self.now)) is not None:
            self.under_way = self.handling(one)

    @precondition(lambda self: self.under_way is not None and not self.is_committed)
    @rule()
    def thread_commits(self) -> None:
        assert self.under_way is not None
        self.commit(self.under_way)
        self.is_committed = True

    @precondition(lambda self: self.under_way is not None and not self.is_committed)
    @rule()
    def handler_raises(self) -> None:
        assert self.under_way is not None
        if self.under_way.one is not None:
            self.cursor.failed(self.now)
        self.under_way = None

    @precondition(lambda self: self.is_committed)
    @rule()
    def cursor_is_told(self) -> None:
        assert self.under_way is not None
        self.end(self.under_way)
        self.under_way, self.is_committed = None, False

    @rule()
    def consumer_dies(self) -> None:
        self.under_way, self.is_committed = None, False
        super().consumer_dies()

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def daemon_drops(self, data: st.DataObject) -> None:
        """It tells of one that it keeps no more, and nobody has."""
        one = data.draw(st.sampled_from(self.said))
        waits = self.cursor._waiting.get(one.seq)
        if one.id not in self.handled and self.is_durable[one.seq - 1] and (waits is None or waits.id != one.id):
            self.gone.add(one.id)
            self.beat()

    def hear(self, seq: int) -> None:
        if self.said[seq - 1].id in self.gone:
            self.cursor.drop([(seq, seq)], self.now)
        else:
            super().hear(seq)

    def finish(self) -> None:
        """Let nothing come between any more."""
        if self.under_way is not None and not self.is_committed:
            self.commit(self.under_way)
        if self.under_way is not None:
            self.end(self.under_way)
        self.under_way, self.is_committed = None, False
        Weak.settle(self)
        Weak.drain(self)

    def teardown(self) -> None:
        try:
            self.finish()
            self.disk(ok=True)
            for _ in range(15):
                self.now += 61.0
                self.beat()
                self.ask_again()
                self.finish()
            wanted = {one.id for one in self.said if one.fingerprint != SELF_TEST} - self.gone
            assert wanted <= set(self.handled)
            self.nothing_is_handled_twice()
            assert not self.cursor.is_lacking or any(one.last > len(self.said) for one in self.cursor.frail)
            for _ in range(2):
                assert (self.cursor.ack(1).max, self.cursor.ack(1).missing) == (len(self.said), ())
                self.consumer_dies()
        finally:
            self.close()


Torn.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestTorn = Torn.TestCase
TestTornAtLength = at_length(Torn, examples=150, steps=50)


@given(
    pieces=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 6), st.sampled_from(["x:b0:", "x:b1:"])), max_size=12)
)
def test_ids_are_written_down_in_any_order_and_read_back_as_they_were(pieces: list[tuple[int, int, str]]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        ledger = Ledger(folder / "c.db", "pager")
        ledger.db.execute("PRAGMA synchronous = OFF")
        wanted: dict[str, set[int]] = {}
        for first, more, stem in pieces:
            wanted.setdefault(stem, set()).update(range(first, first + more + 1))
            ledger.begin()
            ledger._note_id(SOURCE, Piece(first, first + more, stem))
            ledger.settle(SOURCE, Cursor(Saved(begun=True)).unwritten())
            ledger.commit()
        saved = ledger.load(SOURCE) or Saved()
        found: dict[str, set[int]] = {}
        for piece in saved.ids:
            found.setdefault(piece.stem, set()).update(range(piece.first, piece.last + 1))
        assert found == wanted
        ledger.close()
    finally:
        shutil.rmtree(folder)
