"""A stream is one life of a state directory: what is said of another one is neither taken for ours nor lost."""

import dataclasses

import pytest
from tests.support.messages import ALERT, BOOT, LIFE, ORIGIN, changed

from tocsin.client.cursor import Cursor
from tocsin.client.entries import Beat, Entry, Saved, Step
from tocsin.client.frail import Piece
from tocsin.client.message import Notice, NoticeKind
from tocsin.client.stream import Stream
from tocsin.mqtt import presence
from tocsin.wire import acks, envelope
from tocsin.wire.envelope import Message

OLD, NEW = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
KEY = b"sixteen bytes or more"


class Rig:
    """A stream that hears, and what it told and handed over."""

    def __init__(self, saved: Saved) -> None:
        self.notices: list[Notice] = []
        self.cursor = Cursor(saved)
        self.stream = Stream("ams/host-a", "pager", KEY, self.cursor, self.notices.append)
        self.beats = 0
        self.now = 0.0
        self.got: list[tuple[str, int]] = []

    def hear(self, message: Message, *, kept: bool = False) -> None:
        self.stream.hear(message.topic, message.payload, kept=kept, now=self.now, wall_ms=1)

    def alert(self, seq: int, stream: str, *, kept: bool = False, boot: str = BOOT) -> None:
        said = dataclasses.replace(ALERT, fingerprint=f"{seq:032x}", activation=1, count=1)
        effect = dataclasses.replace(changed(said, seq), stream=stream, boot=boot)
        on_stream, own = envelope.alert_messages(effect, ORIGIN)
        self.hear(own if kept else on_stream, kept=kept)

    def beat(
        self, stream: str, last_seq: int, *, boot: str = "b1", after_s: float = 20.0, since_seq: int | None = None
    ) -> None:
        self.beats += 1
        self.now += after_s
        life = dataclasses.replace(LIFE, boot=boot)
        data = {"last_seq": last_seq, "outbox": 0, "stream": stream, "since_seq": since_seq}
        self.hear(presence.heartbeat(life, self.beats, data, 10, 1))

    def handle(self) -> list[int]:
        while (found := self.cursor.next(self.now)) is not None:
            self.got.append((found.stream, found.seq))
            self.cursor.done(self.now)
        return [seq for _, seq in self.got]

    @property
    def told(self) -> list[NoticeKind]:
        return [notice.kind for notice in self.notices]


def followed() -> Rig:
    """Give one that has 50 messages of a stream."""
    return Rig(Saved(begun=True, stream=OLD, done=((1, 50),)))


def test_a_stream_whose_numbers_are_higher_than_ours_is_followed_from_its_first_message() -> None:
    rig = followed()
    rig.alert(81, NEW)
    rig.beat(NEW, 81)
    assert rig.handle() == []
    assert rig.told == []
    rig.beat(NEW, 82)
    assert rig.told == [NoticeKind.STATE_LOST]
    ack = rig.cursor.ack(1)
    assert (ack.max, ack.missing, ack.stream) == (0, (), NEW)
    for seq in range(1, 83):
        rig.alert(seq, NEW)
    assert rig.handle() == list(range(1, 83))
    assert len(set(rig.got)) == len(rig.got)
    plan = rig.cursor.unwritten()
    assert (plan.is_new, plan.stream) == (True, NEW)


def test_messages_of_another_stream_are_left_where_they_are_and_counted() -> None:
    rig = followed()
    rig.alert(51, NEW)
    rig.alert(51, OLD)
    assert rig.handle() == [51]
    assert rig.stream.counts["foreign"] == 1
    rig.beat(OLD, 52)
    for stream, is_lacking in ((NEW, True), (OLD, False)):
        gone = envelope.dropped_message(ORIGIN, "b", first=52, last=52, count=1, reason="x", wall_ns=1, stream=stream)
        rig.hear(gone)
        assert rig.cursor.is_lacking is is_lacking


def test_a_second_daemon_of_the_same_name_does_not_take_us_along() -> None:
    rig = followed()
    for at in range(20):
        rig.beat(NEW, 90, boot="rival")
        rig.beat(OLD, 50 + at)
    assert rig.told == []
    assert rig.cursor.stream == OLD


def test_a_second_daemon_does_not_take_us_along_however_often_it_speaks_while_the_first_one_does() -> None:
    rig = followed()
    for at in range(20):
        rig.beat(OLD, 50 + at, after_s=6)
        for _ in range(4):
            rig.beat(NEW, 90, boot="rival", after_s=1)
    assert rig.told == []
    for _ in range(6):
        rig.beat(NEW, 90, boot="rival", after_s=1)
    assert rig.told == [], "silent for 9 s"
    rig.beat(NEW, 90, boot="rival", after_s=10)
    assert rig.told == [NoticeKind.STATE_LOST]


def test_what_waits_in_memory_is_handed_over_before_the_numbers_change_their_meaning() -> None:
    rig = followed()
    rig.alert(51, OLD)
    for _ in range(5):
        rig.beat(NEW, 3)
    assert rig.told == []
    assert rig.handle() == [51]
    rig.beat(NEW, 3)
    assert rig.told == [NoticeKind.STATE_LOST]


def test_what_nobody_handles_holds_up_the_new_stream_for_a_while_only_and_is_told_of() -> None:
    rig = followed()
    rig.alert(51, OLD)
    for _ in range(12):
        rig.beat(NEW, 3)
    assert rig.told == [NoticeKind.STATE_LOST]
    assert "1 messages from before waited too long to be handled" in rig.notices[0].text


def test_at_a_first_start_what_comes_waits_for_the_heartbeat_that_names_the_stream() -> None:
    rig = Rig(Saved())
    rig.alert(7, NEW, kept=True)
    rig.alert(3000, OLD, kept=True)
    rig.alert(9, NEW)
    assert rig.handle() == []
    rig.beat(NEW, 9)
    assert sorted(rig.handle()) == [7, 9]
    assert rig.told == [NoticeKind.BEGUN]
    assert rig.stream.counts["foreign"] == 1
    assert rig.cursor.ack(1).max == 9


def test_an_answer_to_an_ack_names_the_stream_before_any_heartbeat_does() -> None:
    rig = Rig(Saved(begun=True))
    rig.alert(1, NEW)
    assert rig.handle() == []
    standing = acks.Standing(at=1, max=0, last_seq=1, stream=NEW)
    rig.hear(acks.reply(ORIGIN, "b", "reply/pager/ack", reason=None, standing=standing, wall_ns=1))
    assert rig.handle() == [1]


def answer(rig: Rig, stream: str, reason: acks.Refusal | None) -> None:
    standing = acks.Standing(at=1, max=0, last_seq=50, stream=stream)
    rig.hear(acks.reply(ORIGIN, "b", "reply/pager/ack", reason=reason, standing=standing, wall_ns=1))


def test_two_daemons_of_one_name_that_answer_each_ack_are_told_of_once_and_each_change_again() -> None:
    rig = followed()
    for _ in range(20):
        answer(rig, OLD, None)
        answer(rig, NEW, acks.Refusal.OTHER_STREAM)
        rig.stream.refused("not authorized")
    assert rig.told == [NoticeKind.REFUSED] * 2
    assert "another daemon of its name" in rig.notices[0].text
    answer(rig, OLD, acks.Refusal.FORGED)
    answer(rig, OLD, acks.Refusal.FORGED)
    answer(rig, OLD, None)
    answer(rig, OLD, acks.Refusal.FORGED)
    assert ["forged" in notice.text for notice in rig.notices[2:]] == [True, True]


def test_answers_in_the_name_of_ever_new_streams_do_not_fill_the_memory() -> None:
    rig = followed()
    for number in range(1000):
        answer(rig, f"{number:012x}", acks.Refusal.OTHER_STREAM)
    assert len(rig.stream._refused) < 10


def test_a_cursor_from_before_streams_had_ids_goes_on() -> None:
    rig = Rig(Saved(begun=True, done=((1, 50),)))
    rig.alert(51, OLD)
    rig.beat(OLD, 51)
    assert rig.handle() == [51]
    assert rig.told == []
    assert rig.cursor.unwritten().stream == OLD


@pytest.mark.parametrize("stream", ["", OLD])
def test_a_daemon_that_names_no_stream_is_followed_as_before(stream: str) -> None:
    rig = Rig(Saved(begun=True, stream=stream, done=((1, 50),)))
    rig.alert(51, "")
    rig.beat("", 51)
    assert rig.handle() == [51]
    for _ in range(2):
        rig.beat("", 2)
    assert rig.told == [NoticeKind.STATE_LOST]


def test_an_ack_says_of_which_stream_it_speaks_and_nobody_else_can_say_so() -> None:
    rig = followed()
    payload = rig.stream.ack(1_790_000_000_000, 0.0)
    assert acks.verify(payload, ORIGIN.source, "pager", KEY).stream == OLD
    for forged in (payload.replace(OLD.encode(), NEW.encode()), payload.replace(b'"stream":"%b",' % OLD.encode(), b"")):
        assert forged != payload
        with pytest.raises(acks.AckRefused) as refused:
            acks.verify(forged, ORIGIN.source, "pager", KEY)
        assert refused.value.reason is acks.Refusal.FORGED


def test_numbers_of_the_old_stream_are_no_duplicates_in_the_new_one() -> None:
    cursor = Cursor(Saved(begun=True, stream=OLD, done=((1, 50),), steps={"a": Step(activation=1, count=1)}))
    assert [cursor.heartbeat("b1", beat, 60, 0, 20.0 * beat, NEW) for beat in (1, 2)] == [Beat.KNOWN, Beat.LOST]
    entry = Entry(seq=1, id="w:b1:1", fingerprint="a", step=Step(activation=1, count=1), urgent=False, stream=NEW)
    cursor.take(entry, 0.0)
    assert cursor.next(0.0) is entry


def test_two_daemons_with_copies_of_one_state_are_both_heard_and_not_asked_for_everything_at_each_word() -> None:
    rig = Rig(Saved(begun=True, stream=OLD, done=((1, 50),), ids=(Piece(1, 50, "host-a:b0:"),)))
    heard, asked = [], 0
    for last in range(51, 81):
        for boot in ("b1", "b2"):
            rig.alert(last, OLD, boot=boot)
            rig.beat(OLD, last, boot=boot, since_seq=50)
        while (found := rig.cursor.next(rig.now)) is not None:
            heard.append(found.id)
            rig.cursor.done(rig.now)
        ack = rig.cursor.ack(1)
        for seq in (*ack.missing, *range(ack.max + 1, last + 1)):
            asked += 1
            for boot in ("b1", "b2") if seq > 50 else ("b0",):
                rig.alert(seq, OLD, boot=boot)
        rig.cursor.written(rig.cursor.unwritten())
    while (found := rig.cursor.next(rig.now)) is not None:
        heard.append(found.id)
        rig.cursor.done(rig.now)
    assert sorted(heard) == sorted(f"host-a:{boot}:{seq}" for boot in ("b1", "b2") for seq in range(51, 81))
    assert asked < 200, "thirty words of each, and fifty from before"
