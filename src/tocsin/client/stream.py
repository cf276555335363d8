"""One watchdog's stream as a subscriber follows it: its topics, its cursor, its acks. No I/O of its own."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from tocsin.client.cursor import Cursor
from tocsin.client.entries import Beat, Entry, Saved, Taken
from tocsin.client.lives import Lives
from tocsin.client.message import Notice, NoticeKind
from tocsin.client.reading import Answer, Gone, Heartbeat, read
from tocsin.model.selftest import ID as SELF_TEST
from tocsin.wire import topics
from tocsin.wire.acks import Refusal, encode
from tocsin.wire.envelope import Origin

ACK_S: Final = 1.0
"""Between two acks while something changes or is lacking."""
IDLE_ACK_S: Final = 5.0
"""Between two acks while nothing does, or while more is in memory than was handled: it need not be sent again."""

_MOST_COMPLAINTS = 100
_MOST_EARLY = 10_000
_MOST_ANSWERERS = 8
_BROKER = "#"  # no id of a stream has that
_FARTHEST_MS = 366 * 24 * 3600 * 1000


class Stream:
    """Takes what comes on the topics of one watchdog, `<site>/<name>`. `tell` gets the news.

    Words of its self-test are had as they come, unless they are wanted (`self_test`).
    """

    def __init__(
        self,
        watchdog: str,
        consumer: str,
        key: bytes,
        cursor: Cursor,
        tell: Callable[[Notice], None],
        *,
        self_test: bool = False,
    ) -> None:
        site, _, name = watchdog.partition("/")
        self.watchdog = watchdog
        self.origin = Origin(site=site, watchdog=name)
        self.cursor = cursor
        self.counts: Counter[str] = Counter()
        """Messages by what became of them; `unreadable` ones were none."""
        self._consumer, self._key, self._tell = consumer, key, tell
        self._self_test = self_test
        self._complained: set[str] = set()
        self._is_renumbered = False
        self._held_against = Lives()
        """Lives of the daemon whose numbers were compared with those that are had."""
        self._early: list[tuple[Entry, bool]] = []
        """What came before it was known which stream is the present one; with whether the broker had kept it."""
        self._refused: OrderedDict[str, str] = OrderedDict()
        """Why acks are not believed, by who says so: two daemons of one name answer each of them, and differ."""
        self._claimed: tuple[int, tuple[int, ...]] | None = None
        self._acked_at = float("-inf")
        self.ack_now = False
        """Whether the next ack need not wait: a hole is closed, or one was told of."""

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to, in this order: what is open must be asked for before what changes."""
        root = self.origin.root
        opening = () if self.cursor.begun else (self.opening,)
        return (*opening, f"{root}event/#", root + topics.HEARTBEAT)

    @property
    def opening(self) -> str:
        """The topic on which a first start finds what is open."""
        return f"{self.origin.root}alert/+"

    @property
    def replies(self) -> str:
        """The topic on which acks are answered."""
        return f"{self.origin.root}reply/{self._consumer}/ack"

    def takes(self, topic: str) -> bool:
        """Tell whether an absolute topic is one of this watchdog."""
        return topic.startswith(self.origin.root)

    def hear(self, topic: str, payload: bytes, *, kept: bool, now: float, wall_ms: int) -> int | None:
        """Take a message; return the time that acks must be later than, where the daemon says so."""
        if not payload:
            return None  # a retained topic that was cleared
        try:
            said = read(self.origin, topic.removeprefix(self.origin.root), payload)
        except ValueError as error:
            self._complain(topic, str(error))
            return None
        match said:
            case Entry():
                self._receive(said, kept=kept, now=now)
            case Heartbeat(last_seq=int(last_seq)):
                self._follow(said, last_seq, now)
            case Gone(spans=spans, reason=reason):
                count = 0 if self.cursor.is_foreign(said.stream) else self.cursor.drop(spans, now)
                if count:
                    self.ack_now = True
                    self._note(NoticeKind.DROPPED, f"{count} messages will not come: {reason}")
            case Answer():
                if said.stream:
                    self._take_early(said.stream, now)
                return self._answered(said, wall_ms)
        return None

    def _receive(self, entry: Entry, *, kept: bool, now: float) -> None:
        """Take a message of the present stream; until that is known, it waits for the next heartbeat or answer.

        One of another stream is left where it is: under its number something else was said, or will be.
        """
        if self.cursor.is_foreign(entry.stream):
            self.counts["foreign"] += 1
        elif not entry.stream or self.cursor.stream:
            self._take(entry, kept=kept, now=now)
        elif len(self._early) < _MOST_EARLY:
            self._early.append((entry, kept))

    def _take(self, entry: Entry, *, kept: bool, now: float) -> None:
        was_lacking, renumbered = self.cursor.is_lacking, self.cursor.counts["renumbered"]
        if entry.event["data"]["detector"] == SELF_TEST and not self._self_test:
            if kept:
                return  # it is no news
            taken = self.cursor.skip(entry, now)
            self.counts["self_test" if taken is Taken.TAKEN else taken.value] += 1
        else:
            taken = self.cursor.take(entry, now, kept=kept)
            self.counts[taken.value] += 1
        if taken is Taken.TAKEN and was_lacking and not self.cursor.is_lacking:
            self.ack_now = True
        if self.cursor.counts["renumbered"] > renumbered:
            self._note_renumbered(entry)

    def _note_renumbered(self, entry: Entry) -> None:
        self.ack_now = True
        if not self._is_renumbered:
            self._is_renumbered = True
            text = f"number {entry.seq} was given again, to {entry.id}; it is followed, and others are asked for again"
            self._note(NoticeKind.STATE_LOST, f"{text}: its state was set back, or somebody else speaks in its name")

    def _follow(self, heard: Heartbeat, last_seq: int, now: float) -> None:
        self._take_early(heard.stream, now)
        lost = self.cursor.counts["forgotten"]
        match self.cursor.heartbeat(heard.boot, heard.beat, last_seq, heard.waiting, now, heard.stream):
            case Beat.BEGUN:
                self.ack_now = True
                self._note(NoticeKind.BEGUN, f"followed from message {last_seq} on")
            case Beat.LOST:
                self.ack_now = True
                text = f"it has lost its state and counts anew; it is at {last_seq} now"
                if (count := self.cursor.counts["forgotten"] - lost) > 0:
                    text += f"; {count} messages from before waited too long to be handled, and are gone"
                self._note(NoticeKind.STATE_LOST, text)
            case Beat.SET_BACK:
                self.ack_now = True
                text = (
                    f"it goes on from message {last_seq}, as from a backup of its state; what it says now is followed"
                )
                self._note(NoticeKind.STATE_LOST, text)
            case Beat.KNOWN:
                self._hold_against(heard)

    def _hold_against(self, heard: Heartbeat) -> None:
        """Have again what another life said under numbers that this one has given since."""
        if heard.since_seq is None or heard.stream != self.cursor.stream or not self._held_against.is_new(heard.boot):
            return
        if self.cursor.is_said_since(heard.since_seq, f"{self.origin.watchdog}:{heard.boot}:"):
            self.ack_now = True

    def _take_early(self, stream: str, now: float) -> None:
        """Learn which stream is the present one, and take what came of it before."""
        if self.cursor.stream:
            return
        self.cursor.stream = stream
        early, self._early = self._early, []
        for entry, kept in early:
            if self.cursor.is_foreign(entry.stream):
                self.counts["foreign"] += 1
            else:
                self._take(entry, kept=kept, now=now)

    def _answered(self, answer: Answer, wall_ms: int) -> int | None:
        reason = answer.reason or ""
        if self._is_news(answer.stream, reason):
            self._note(NoticeKind.REFUSED, f"acks are not believed: {reason}; {_HINTS.get(reason, 'see its log')}")
        believable = answer.at < wall_ms + _FARTHEST_MS
        return answer.at if reason == Refusal.REPLAYED and believable else None

    def is_ack_due(self, now: float) -> bool:
        """Tell whether it is time for an ack."""
        cursor = self.cursor
        if not cursor.begun:
            return False
        ack = cursor.ack(1)
        news = cursor.is_lacking or (cursor.waiting == 0 and (ack.max, ack.missing) != self._claimed)
        return self.ack_now or now - self._acked_at >= (ACK_S if news else IDLE_ACK_S)

    def ack(self, at: int, now: float) -> bytes:
        """Return the ack to be sent now, signed."""
        ack = self.cursor.ack(at)
        self._claimed, self._acked_at, self.ack_now = (ack.max, ack.missing), now, False
        return encode(ack, self.origin.source, self._consumer, self._key)

    def refused(self, why: str) -> None:
        """Note that the broker does not take our acks."""
        if self._is_news(_BROKER, why):
            self._note(NoticeKind.REFUSED, why)

    def _is_news(self, who: str, why: str) -> bool:
        """Note what somebody says of our acks, nothing where they are believed; tell whether it is a new refusal."""
        before = self._refused.get(who, "")
        self._refused[who] = why
        self._refused.move_to_end(who)
        while len(self._refused) > _MOST_ANSWERERS:
            self._refused.popitem(last=False)
        return bool(why) and why != before

    def connected(self) -> None:
        """Note a new connection: what the broker had for us may be lost."""
        self.ack_now = True

    def _complain(self, topic: str, why: str) -> None:
        self.counts["unreadable"] += 1
        if topic not in self._complained and len(self._complained) < _MOST_COMPLAINTS:
            self._complained.add(topic)
            self._note(NoticeKind.UNREADABLE, f"{topic[:300]}: not understood ({why}); skipped, told once")

    def _note(self, kind: NoticeKind, text: str) -> None:
        self._tell(Notice(kind=kind, watchdog=self.watchdog, text=text))


_HINTS: Final[dict[str, str]] = {
    Refusal.UNREGISTERED: "name this consumer in a [[consumer]] of its configuration",
    Refusal.FORGED: "give both the same key",
    Refusal.REPLAYED: "the time of the last ack was later than ours; it is taken over",
    Refusal.NO_STREAM: "its answer says which stream is the present one; the next ack names that",
    Refusal.OTHER_STREAM: (
        "it has lost its state, and is followed anew after its next heartbeats;"
        " or another daemon of its name is there: stop one, or rename it"
    ),
    Refusal.FUTURE: "it knows of fewer messages than we had: has it lost its state?",
}


def restored(saved: Saved | None, *, from_beginning: bool, hold_s: float) -> Cursor:
    """Return the cursor of a stream as it was saved, or a first one."""
    return Cursor(saved or Saved(begun=from_beginning), is_first=saved is None, hold_s=hold_s)
