"""The cursor of a subscriber against a stream that arrives in any order, twice, late, or not until it is asked for."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tocsin.client.cursor import Cursor
from tocsin.client.entries import Beat, Entry, Plan, Saved, Step, Taken
from tocsin.client.frail import Piece
from tocsin.client.ranges import Ranges
from tocsin.client.waiting import MOST_HOLDS
from tocsin.wire.acks import MOST_MISSING, OPEN_END

HOLD_S = 30.0
NAMES = "abc"
BOOT = "b0"


def entry(seq: int, name: str, step: Step, *, urgent: bool = False, durable: bool = True, boot: str = BOOT) -> Entry:
    return Entry(seq=seq, id=f"x:{boot}:{seq}", fingerprint=name, step=step, urgent=urgent, durable=durable)


def stream(words: Sequence[tuple[str, bool, bool]]) -> list[Entry]:
    """Return a stream of alerts: which one speaks, whether that is its end, whether it is critical."""
    last: dict[str, Step] = {}
    found = []
    for seq, (name, over, urgent) in enumerate(words, start=1):
        before = last.get(name, Step(activation=0, count=0, over=True))
        fresh = before.over
        last[name] = Step(
            activation=before.activation + fresh, count=1 if fresh else before.count + 1, over=over and not fresh
        )
        found.append(entry(seq, name, last[name], urgent=urgent))
    return found


WORDS = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.booleans()), min_size=1, max_size=40)
SPANS = st.lists(st.integers(1, 60).flatmap(lambda low: st.tuples(st.just(low), st.integers(low, 65))), max_size=12)


def drain(cursor: Cursor, now: float) -> list[Entry]:
    found = []
    while (one := cursor.next(now)) is not None:
        cursor.done(now)
        found.append(one)
    return found


@given(spans=SPANS)
def test_ranges_hold_the_numbers_of_their_stretches_and_no_others(spans: list[tuple[int, int]]) -> None:
    ranges, held = Ranges(), set[int]()
    for first, last in spans:
        merge = ranges.merge(first, last)
        before = {low for low, _ in ranges}
        ranges.add(first, last)
        held |= set(range(first, last + 1))
        assert {low for low, _ in ranges} == before - set(merge.gone) | {merge.span[0]}
    assert {seq for low, high in ranges for seq in range(low, high + 1)} == held
    assert all(high + 1 < low for (_, high), (low, _) in zip(list(ranges), list(ranges)[1:], strict=False))
    assert ranges.highest == max(held, default=0)
    assert list(ranges.missing()) == [seq for seq in range(1, ranges.highest) if seq not in held]
    assert ranges.frontier == next(seq for seq in range(66) if seq + 1 not in held)
    assert all((seq in ranges) == (seq in held) for seq in range(70))


@given(words=WORDS, data=st.data())
def test_every_message_is_handed_over_once_and_in_the_order_of_its_alert_whatever_the_order_of_arrival(
    words: list[tuple[str, bool, bool]], data: st.DataObject
) -> None:
    sent = stream(words)
    arrivals = data.draw(st.permutations(sent + data.draw(st.lists(st.sampled_from(sent), max_size=10))))
    cursor, handed = Cursor(Saved(begun=True)), list[Entry]()
    for one in arrivals:
        cursor.take(one, 0.0)
        handed += drain(cursor, 0.0) if data.draw(st.booleans()) else []
    handed += drain(cursor, 0.0)
    assert sorted(one.seq for one in handed) == [one.seq for one in sent]
    for name in NAMES:
        assert [one.seq for one in handed if one.fingerprint == name] == [
            one.seq for one in sent if one.fingerprint == name
        ]
    assert cursor.waiting == 0
    assert cursor.ack(1).max == len(sent)
    assert cursor.ack(1).missing == ()


@given(words=WORDS, data=st.data())
def test_what_is_missing_is_exactly_what_was_not_had_and_once_it_comes_all_is_had(
    words: list[tuple[str, bool, bool]], data: st.DataObject
) -> None:
    sent = stream(words)
    lost = data.draw(st.sets(st.sampled_from([one.seq for one in sent])))
    cursor = Cursor(Saved(begun=True))
    for one in sent:
        if one.seq not in lost:
            cursor.take(one, 0.0)
    had = {one.seq for one in drain(cursor, 0.0)}
    cursor.heartbeat(BOOT, 1, len(sent), 0, 0.0)
    ack = cursor.ack(1)
    assert set(ack.missing) == {seq for seq in range(1, ack.max) if seq not in had}
    assert ack.max == max(had, default=0)
    assert cursor.is_lacking == bool(lost)
    for one in sent:
        cursor.take(one, 1.0)
    handed = had | {one.seq for one in drain(cursor, 1.0)}
    assert handed == {one.seq for one in sent}


@given(words=WORDS, data=st.data())
def test_after_the_time_limit_what_is_here_is_handed_over_and_what_comes_later_is_called_late(
    words: list[tuple[str, bool, bool]], data: st.DataObject
) -> None:
    sent = stream(words)
    lost = data.draw(st.sets(st.sampled_from([one.seq for one in sent])))
    cursor = Cursor(Saved(begun=True), hold_s=HOLD_S)
    for one in sent:
        if one.seq not in lost:
            cursor.take(one, 0.0)
    handed = drain(cursor, 0.0)
    if cursor.waiting:
        assert cursor.wait_s(0.0) == HOLD_S
        assert drain(cursor, HOLD_S - 0.1) == []
    handed += drain(cursor, HOLD_S)
    assert {one.seq for one in handed} == {one.seq for one in sent} - lost
    newest = {one.fingerprint: one.step for one in handed}
    for one in [one for one in sent if one.seq in lost]:
        cursor.take(one, HOLD_S + 1)
        while (got := cursor.next(2 * HOLD_S + 1)) is not None:
            before = newest.get(got.fingerprint)
            assert cursor.is_late(got) == (before is not None and got.step < before)
            newest[got.fingerprint] = max(got.step, before or got.step)
            cursor.done(0.0)
            handed.append(got)
    assert sorted(one.seq for one in handed) == [one.seq for one in sent]


class Consumer(RuleBasedStateMachine):
    """A daemon, a broker that loses, doubles and reorders, and a consumer that fails, dies and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Entry] = []
        self.last: dict[str, Step] = {}
        self.on_the_way: list[Entry] = []
        self.gone: set[int] = set()
        self.dropped: set[int] = set()
        self.handed: list[int] = []
        self.now = 0.0
        self.beats = 0
        self.out: Entry | None = None
        self.disk_done = Ranges()
        self.disk_steps: dict[str, Step] = {}

    @initialize()
    def start(self) -> None:
        self.cursor = Cursor(Saved(begun=True), most_ready=20, most_held=5)

    @rule(name=st.sampled_from(NAMES), over=st.booleans(), urgent=st.booleans())
    def say(self, name: str, *, over: bool, urgent: bool) -> None:
        before = self.last.get(name, Step(activation=0, count=0, over=True))
        fresh = before.over
        step = Step(
            activation=before.activation + fresh, count=1 if fresh else before.count + 1, over=over and not fresh
        )
        self.last[name] = step
        self.sent.append(entry(len(self.sent) + 1, name, step, urgent=urgent))
        self.on_the_way.append(self.sent[-1])

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), doubled=st.booleans())
    def arrive(self, data: st.DataObject, *, doubled: bool) -> None:
        at = data.draw(st.integers(0, len(self.on_the_way) - 1))
        one = self.on_the_way[at] if doubled else self.on_the_way.pop(at)
        taken = self.cursor.take(one, self.now)
        assert taken is not Taken.IMPLAUSIBLE
        if one.seq in self.handed:
            assert taken is Taken.DUPLICATE

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.on_the_way.pop(data.draw(st.integers(0, len(self.on_the_way) - 1)))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """The daemon forgets a message for want of room, and says so after a heartbeat."""
        one = data.draw(st.sampled_from(self.sent))
        if one.seq in self.handed or one.urgent or one is self.out:
            return
        self.beat()
        before = self.cursor._waiting.get(one.seq) is not None
        assert self.cursor.drop([(one.seq, one.seq)], self.now) <= 1
        if not before:
            self.gone.add(one.seq)
            self.on_the_way = [other for other in self.on_the_way if other.seq != one.seq]
            self.write(self.cursor.unwritten())

    def write(self, plan: Plan) -> None:
        for first, last in plan.spans:
            self.disk_done.add(first, last)
        self.cursor.written(plan)

    @rule()
    def beat(self) -> None:
        self.beats += 1
        assert self.cursor.heartbeat(BOOT, self.beats, len(self.sent), 0, self.now) is Beat.KNOWN

    @precondition(lambda self: self.out is None)
    @rule()
    def hand_over(self) -> None:
        self.out = self.cursor.next(self.now)

    @precondition(lambda self: self.out is not None)
    @rule()
    def handle(self) -> None:
        assert self.out is not None
        late = self.cursor.is_late(self.out)
        assert late == (self.out.step <= self.disk_steps.get(self.out.fingerprint, Step(activation=0, count=0)))
        self.write(self.cursor.unwritten())
        self.disk_done.add(self.out.seq)
        if not late:
            self.disk_steps[self.out.fingerprint] = self.out.step
        self.cursor.done(self.now)
        assert self.out.seq not in self.handed
        self.handed.append(self.out.seq)
        self.out = None

    @precondition(lambda self: self.out is not None)
    @rule()
    def fail(self) -> None:
        self.cursor.failed(self.now)
        self.out = None

    @rule()
    def die_and_come_back(self) -> None:
        saved = Saved(begun=True, done=tuple(self.disk_done), steps=dict(self.disk_steps))
        self.cursor = Cursor(saved, most_ready=20, most_held=5)
        self.out = None

    @rule(seconds=st.sampled_from([0.1, 5.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask_again(self) -> None:
        """The daemon sends what an ack lacks."""
        ack = self.cursor.ack(1)
        wanted = ack.wanted or ()
        lacking = [self.sent[seq - 1] for seq in ack.missing] + self.sent[ack.max :]
        again = [one for one in lacking if any(low <= one.seq <= high for low, high in wanted)]
        self.on_the_way += [one for one in again if one.seq not in self.gone and one not in self.on_the_way]

    @invariant()
    def an_ack_claims_what_was_handled_and_names_what_was_not(self) -> None:
        ack = self.cursor.ack(1)
        had = set(self.handed) | {seq for low, high in self.disk_done for seq in range(low, high + 1)}
        assert ack.max == max(had, default=0)
        assert set(ack.missing) == {seq for seq in range(1, ack.max) if seq not in had}

    @invariant()
    def memory_is_bounded(self) -> None:
        waiting = self.cursor._waiting
        assert waiting._held_entries == sum(len(waiting._chains[name]) for name in waiting._held) <= 5
        assert self.cursor.waiting == sum(map(len, waiting._chains.values()))

    def teardown(self) -> None:
        """Once nothing fails any more, everything is had, each once."""
        if self.out is not None:
            self.handle()
        for _ in range(3 * len(self.sent) + 3):
            self.ask_again()
            for one in list(self.on_the_way):
                self.cursor.take(one, self.now)
            self.on_the_way.clear()
            self.now += 61.0
            while (out := self.cursor.next(self.now)) is not None:
                self.out = out
                self.handle()
        assert sorted(self.handed) == sorted({one.seq for one in self.sent} - self.gone)
        assert self.cursor.waiting == 0


Consumer.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestConsumer = Consumer.TestCase


def test_critical_messages_overtake_but_not_those_of_their_own_alert() -> None:
    cursor = Cursor(Saved(begun=True))
    one = Step(activation=1, count=1)
    for message in (entry(1, "a", one), entry(2, "b", one), entry(3, "c", one, urgent=True)):
        cursor.take(message, 0.0)
    cursor.take(entry(4, "b", Step(activation=1, count=2), urgent=True), 0.0)
    assert [message.seq for message in drain(cursor, 0.0)] == [3, 2, 4, 1]


def test_an_alert_that_is_held_holds_up_no_other() -> None:
    cursor = Cursor(Saved(begun=True))
    assert cursor.take(entry(7, "a", Step(activation=1, count=2)), 0.0) is Taken.TAKEN
    cursor.take(entry(9, "b", Step(activation=1, count=1)), 0.0)
    assert [message.seq for message in drain(cursor, 0.0)] == [9]
    cursor.take(entry(5, "a", Step(activation=1, count=1)), 0.0)
    assert [message.seq for message in drain(cursor, 0.0)] == [5, 7]


def test_a_handler_that_fails_gets_its_message_again_after_ever_longer_pauses_and_others_go_on() -> None:
    cursor = Cursor(Saved(begun=True))
    cursor.take(entry(1, "a", Step(activation=1, count=1)), 0.0)
    cursor.take(entry(2, "b", Step(activation=1, count=1)), 0.0)
    assert (first := cursor.next(0.0)) is not None
    cursor.failed(0.0)
    assert [message.seq for message in drain(cursor, 0.0)] == [2]
    assert cursor.wait_s(0.0) == 1.0
    assert cursor.next(0.9) is None
    assert cursor.next(1.0) is first
    assert cursor.tries(first) == 1
    cursor.failed(1.0)
    assert cursor.wait_s(1.0) == 2.0
    assert cursor.ack(1).max == 2
    assert cursor.ack(1).missing == (1,)


def test_what_is_told_to_be_gone_is_waited_for_no_longer_and_not_asked_for() -> None:
    cursor = Cursor(Saved(begun=True))
    cursor.take(entry(3, "a", Step(activation=1, count=2)), 0.0)
    assert cursor.next(0.0) is None
    assert cursor.drop([(1, 2)], 0.0) == 2
    assert [message.seq for message in drain(cursor, 0.0)] == [3]
    plan = cursor.unwritten()
    assert plan
    assert plan.spans == ((1, 2),)
    cursor.written(plan)
    assert not cursor.unwritten()
    assert (cursor.ack(1).max, cursor.ack(1).missing) == (3, ())


def test_nothing_is_believed_to_be_gone_that_was_never_told_of() -> None:
    cursor = Cursor(Saved(begun=True))
    assert cursor.drop([(1, 2**52)], 0.0) == 0
    cursor.heartbeat(BOOT, 1, 3, 0, 0.0)
    assert cursor.drop([(2, 2**52)], 0.0) == 2
    assert cursor.take(entry(4, "a", Step(activation=1, count=1)), 0.0) is Taken.TAKEN


def test_a_number_far_above_all_that_was_told_is_nobodys() -> None:
    cursor = Cursor(Saved(begun=True))
    cursor.heartbeat(BOOT, 1, 3, 0, 0.0)
    assert cursor.take(entry(2**52, "a", Step(activation=1, count=1)), 0.0) is Taken.IMPLAUSIBLE
    assert cursor.next(0.0) is None


def test_a_first_start_hands_over_what_is_open_and_what_comes_and_asks_for_nothing_before() -> None:
    cursor = Cursor()
    assert cursor.take(entry(40, "a", Step(activation=3, count=2)), 0.0, kept=True) is Taken.TAKEN
    over = entry(41, "b", Step(activation=7, count=2, over=True))
    assert cursor.take(over, 0.0, kept=True) is Taken.DUPLICATE
    assert cursor.take(over, 0.0) is Taken.DUPLICATE
    assert [message.seq for message in drain(cursor, 0.0)] == [40]
    assert cursor.take(entry(44, "b", Step(activation=8, count=1)), 0.0) is Taken.TAKEN
    assert [message.seq for message in drain(cursor, 0.0)] == [44]
    assert cursor.take(entry(45, "c", Step(activation=5, count=2)), 0.0) is Taken.TAKEN
    assert cursor.next(0.0) is None, "its predecessor may be on its way"
    assert cursor.heartbeat(BOOT, 1, 46, 2, 0.0) is Beat.BEGUN
    assert [message.seq for message in drain(cursor, 0.0)] == [45]
    cursor.written(cursor.unwritten())
    assert (cursor.ack(1).max, cursor.ack(1).missing) == (45, ())
    assert cursor.is_lacking


def test_a_daemon_that_counts_anew_is_followed_from_its_first_message_once_two_heartbeats_say_so() -> None:
    cursor = Cursor(Saved(begun=True, done=((1, 50),), steps={"a": Step(activation=9, count=1)}))
    assert cursor.heartbeat("b1", 1, 2, 0, 0.0) is Beat.KNOWN
    assert cursor.heartbeat("b1", 1, 2, 0, 0.0) is Beat.KNOWN, "one that is repeated proves nothing"
    assert cursor.take(entry(2, "a", Step(activation=1, count=1)), 0.0) is Taken.DUPLICATE
    assert cursor.heartbeat("b1", 2, 2, 0, 20.0) is Beat.LOST
    plan = cursor.unwritten()
    assert plan.is_new
    assert cursor.ack(1).max == 0
    assert cursor.take(entry(2, "a", Step(activation=1, count=1), boot="b1"), 0.0) is Taken.TAKEN
    assert [message.seq for message in drain(cursor, 0.0)] == [2]
    assert cursor.ack(1).missing == (1,)


def test_numbers_do_not_change_their_meaning_while_a_message_is_out() -> None:
    cursor = Cursor(Saved(begun=True, done=((1, 50),)))
    cursor.take(entry(51, "a", Step(activation=1, count=1)), 0.0)
    assert cursor.next(0.0) is not None
    assert [cursor.heartbeat("b1", beat, 2, 0, 0.0) for beat in (1, 2, 3)] == [Beat.KNOWN] * 3
    assert cursor.heartbeat("b1", 4, 2, 0, 20.0) is Beat.KNOWN
    cursor.done(20.0)
    assert cursor.heartbeat("b1", 5, 2, 0, 30.0) is Beat.LOST


def test_a_message_that_was_not_durable_and_is_told_to_be_gone_is_asked_for_no_more() -> None:
    cursor = Cursor(Saved(begun=True))
    for seq, name in ((1, "a"), (2, "b"), (3, "c")):
        cursor.take(entry(seq, name, Step(activation=1, count=1), durable=seq == 3), 0.0)
        cursor.next(0.0)
        cursor.done(0.0)
    assert cursor.ack(1).missing == (1, 2)
    assert cursor.drop([(1, 1)], 1.0) == 0, "it was had"
    cursor.written(cursor.unwritten())
    assert (cursor.ack(2).missing, list(cursor.frail)) == ((2,), [Piece(2, 2, "x:b0:")])


def test_a_message_that_was_not_durable_is_handed_over_once_and_its_number_may_be_given_again() -> None:
    cursor = Cursor(Saved(begun=True))
    step = Step(activation=1, count=1)
    cursor.take(entry(1, "a", step, durable=False), 0.0)
    assert [message.seq for message in drain(cursor, 0.0)] == [1]
    assert cursor.ack(1).max == 0, "the daemon may not have it after a crash"
    assert cursor.take(entry(1, "a", step, durable=False), 0.0) is Taken.DUPLICATE
    other = Cursor(Saved(begun=True, frail=tuple(cursor.frail)))
    assert other.take(entry(1, "b", step, boot="b1"), 0.0) is Taken.TAKEN
    assert [message.fingerprint for message in drain(other, 0.0)] == ["b"]
    assert cursor.take(entry(1, "a", step), 0.0) is Taken.DUPLICATE
    cursor.written(cursor.unwritten())
    assert cursor.ack(1).max == 1


def test_an_ack_names_as_many_holes_as_it_may_and_claims_nothing_above_the_others() -> None:
    cursor = Cursor(Saved(begun=True, done=tuple((seq, seq) for seq in range(2, 2000, 2))))
    ack = cursor.ack(1)
    assert ack.missing == tuple(range(1, 2 * MOST_MISSING, 2))
    assert ack.max == 2 * MOST_MISSING


def test_what_is_in_memory_is_lacking_but_not_wanted_again() -> None:
    cursor = Cursor(Saved(begun=True), most_ready=3)
    for seq, name in ((2, "a"), (4, "b")):
        cursor.take(entry(seq, name, Step(activation=1, count=1)), 0.0)
    ack = cursor.ack(1)
    assert (ack.max, ack.missing) == (0, ())
    assert ack.wanted == ((1, 1), (3, 3), (5, OPEN_END))
    cursor.take(entry(7, "c", Step(activation=1, count=1)), 0.0)
    assert cursor.ack(1).wanted == (), "there is no room for more"
    other = Cursor(Saved(begun=True))
    assert other.ack(1).wanted == ((1, OPEN_END),), "who dies has nothing in memory"


def test_what_was_handled_before_it_was_on_the_daemons_disk_is_wanted_again() -> None:
    cursor = Cursor(Saved(begun=True, done=((1, 1),)))
    cursor.take(entry(2, "a", Step(activation=1, count=1), durable=False), 0.0)
    drain(cursor, 0.0)
    assert cursor.ack(1).wanted == ((2, OPEN_END),)


def test_whoever_asks_for_the_next_message_has_to_say_first_what_became_of_the_last() -> None:
    cursor = Cursor(Saved(begun=True))
    cursor.take(entry(1, "a", Step(activation=1, count=1)), 0.0)
    assert cursor.next(0.0) is not None
    with pytest.raises(ValueError, match="still out"):
        cursor.next(0.0)
    cursor.done(0.0)
    with pytest.raises(ValueError, match="no message is out"):
        cursor.done(0.0)


def _filled(cursor: Cursor, until_s: int) -> list[int]:
    """Take what was missing, from the bottom on, one message every 20 s; return what was handed over of another one."""
    handed = []
    for seq, at in enumerate(range(0, until_s, 20), start=1):
        cursor.take(entry(seq, f"f{seq}", Step(activation=1, count=1)), float(at))
        handed += [one.seq for one in drain(cursor, float(at)) if one.fingerprint == "a"]
    return handed


def test_while_what_was_missing_still_comes_a_message_waits_for_its_predecessor_however_long_that_takes() -> None:
    cursor = Cursor(Saved(begun=True), hold_s=HOLD_S)
    cursor.take(entry(50, "a", Step(activation=1, count=2)), 0.0)
    assert _filled(cursor, 200) == []
    cursor.take(entry(20, "a", Step(activation=1, count=1)), 200.0)
    assert [one.seq for one in drain(cursor, 200.0)] == [20, 50]


def test_a_message_waits_no_longer_than_ten_times_the_limit_whatever_else_comes() -> None:
    cursor = Cursor(Saved(begun=True), hold_s=HOLD_S)
    cursor.take(entry(50, "a", Step(activation=1, count=2)), 0.0)
    assert _filled(cursor, int(MOST_HOLDS * HOLD_S)) == []
    assert [one.seq for one in drain(cursor, MOST_HOLDS * HOLD_S)] == [50]


def test_a_hole_that_stays_costs_no_memory_however_many_are_held_and_let_go_behind_it() -> None:
    cursor, again = Cursor(Saved(begun=True), hold_s=HOLD_S), Step(activation=2, count=1)
    handed = []
    for at in range(400):
        cursor.take(entry(at + 2, f"alert{at}", again), float(at))
        handed += [one.seq for one in drain(cursor, float(at))]
    assert handed == [*range(2, 402 - int(HOLD_S))], "each is let go when its own time is over"
    assert len(cursor._waiting._held_by_seq) < 400


def had(*spans: tuple[int, int], boot: str = BOOT) -> Saved:
    """Return what is saved of one that handled these under the ids of one life."""
    return Saved(begun=True, stream="s", done=spans, ids=tuple(Piece(*span, f"x:{boot}:") for span in spans))


def test_a_number_that_is_given_again_hides_nothing_and_brings_nothing_twice() -> None:
    cursor = Cursor(had((1, 50)))
    assert cursor.take(entry(49, "new", Step(activation=1, count=1), boot="b1"), 0.0) is Taken.TAKEN
    assert cursor.ack(1).missing == tuple(range(1, 50))[-MOST_MISSING:] or cursor.ack(1).max == 0
    assert [message.id for message in drain(cursor, 0.0)] == ["x:b1:49"]
    for seq in range(1, 49):
        assert cursor.take(entry(seq, "old", Step(activation=1, count=1)), 0.0) is Taken.DUPLICATE
    assert cursor.take(entry(50, "newer", Step(activation=1, count=1), boot="b1"), 0.0) is Taken.TAKEN
    drain(cursor, 0.0)
    cursor.written(cursor.unwritten())
    assert (cursor.ack(1).max, cursor.ack(1).missing) == (50, ())
    for boot in (BOOT, "b1"):
        assert cursor.take(entry(49, "x", Step(activation=1, count=1), boot=boot), 0.0) is Taken.DUPLICATE


def test_what_is_said_under_the_number_of_a_message_in_memory_is_asked_for_again() -> None:
    cursor = Cursor(Saved(begun=True))
    cursor.take(entry(1, "forged", Step(activation=1, count=1), boot="b9"), 0.0)
    assert cursor.take(entry(1, "a", Step(activation=1, count=1)), 0.0) is Taken.DUPLICATE
    assert [message.fingerprint for message in drain(cursor, 0.0)] == ["forged"]
    assert cursor.ack(1).max == 0
    assert cursor.ack(1).wanted == ((1, OPEN_END),)
    cursor.take(entry(1, "a", Step(activation=1, count=1)), 0.0)
    assert [message.fingerprint for message in drain(cursor, 0.0)] == ["a"]
    assert cursor.ack(1).max == 1


def test_a_daemon_that_was_set_back_is_followed_from_where_it_is() -> None:
    cursor = Cursor(had((1, 50)))
    assert cursor.heartbeat("b1", 1, 40, 0, 0.0, "s") is Beat.KNOWN
    assert cursor.heartbeat("b1", 2, 41, 0, 60.0, "s") is Beat.SET_BACK
    assert cursor.ack(1).max == 0, "what may be another's is asked for again"
    for seq in range(1, 41):
        assert cursor.take(entry(seq, "old", Step(activation=9, count=1)), 0.0) is Taken.DUPLICATE
    assert cursor.take(entry(41, "new", Step(activation=1, count=1), boot="b1"), 0.0) is Taken.TAKEN
    assert [message.seq for message in drain(cursor, 0.0)] == [41]
    plan = cursor.unwritten()
    assert (plan.is_new, bool(plan.void)) == (False, True)
    cursor.written(plan)
    assert (cursor.ack(1).max, cursor.ack(1).missing) == (41, ())


def test_what_another_life_said_above_where_this_one_began_is_had_again() -> None:
    cursor = Cursor(had((1, 50)))
    assert not cursor.is_said_since(50, "x:b1:")
    assert not cursor.is_said_since(40, f"x:{BOOT}:")
    assert cursor.is_said_since(40, "x:b1:")
    assert not cursor.ack(1).max
    assert cursor.take(entry(41, "new", Step(activation=1, count=1), boot="b1"), 0.0) is Taken.TAKEN
    assert cursor.take(entry(40, "old", Step(activation=1, count=1)), 0.0) is Taken.DUPLICATE


def restored_after_a_drop() -> Cursor:
    """Return one that heard of 50, was told that 45 and then 51 are gone, and has not yet written down the latter."""
    cursor = Cursor(Saved(begun=True, stream="s", done=((1, 50),), ids=(Piece(1, 44, "x:b0:"), Piece(46, 50, "x:b0:"))))
    cursor.heartbeat(BOOT, 1, 51, 0, 0.0, "s")
    assert cursor.drop([(51, 51)], 0.0) == 1
    return cursor


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_what_was_told_to_be_gone_is_had_again_once_its_number_is_given_again(when: str) -> None:
    """Whether the word that it is gone is written down before, while, or after the daemon's state is put back."""
    cursor = restored_after_a_drop()
    plan = cursor.unwritten()
    if when == "before":
        cursor.written(plan)
    assert cursor.is_said_since(40, "x:b1:")
    if when == "between":
        cursor.written(plan)
    cursor.written(cursor.unwritten())
    for seq in (45, 51):
        assert seq not in cursor.done_ranges
        assert cursor.take(entry(seq, f"new{seq}", Step(activation=1, count=1), boot="b1"), 0.0) is Taken.TAKEN
    assert cursor.is_lacking
    for seq in range(1, 52):
        cursor.take(entry(seq, "x", Step(activation=1, count=1), boot="b0" if seq <= 40 else "b1"), 1.0)
    assert len(drain(cursor, 100.0)) == 11
    cursor.written(cursor.unwritten())
    assert not cursor.is_lacking, "else whatever comes is held for a predecessor that never does"
    assert (cursor.ack(1).max, cursor.ack(1).missing) == (51, ())


def test_a_message_that_is_being_handled_while_its_number_is_given_again_is_not_taken_for_the_other_one() -> None:
    cursor = Cursor(had((1, 50)))
    cursor.take(entry(51, "a", Step(activation=1, count=1)), 0.0)
    assert cursor.next(0.0) is not None
    assert cursor.is_said_since(40, "x:b1:")
    cursor.done(0.0)
    cursor.written(cursor.unwritten())
    assert 51 not in cursor.done_ranges
    assert cursor.take(entry(51, "b", Step(activation=1, count=1), boot="b1"), 0.0) is Taken.TAKEN
    assert [one.fingerprint for one in drain(cursor, 0.0)] == ["b"]
