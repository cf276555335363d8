"""What the control socket is asked: garbage is refused with what would be right, and changes nothing."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import orjson
import pytest
from tests.support.store_kit import record

from tocsin.errors import ControlError, StoreError, UsageError
from tocsin.runtime.commands import Wanted
from tocsin.runtime.control import Peer
from tocsin.runtime.reads import Question
from tocsin.runtime.tail import KEPT, Tail
from tocsin.runtime.verbs import Verbs
from tocsin.store import Exported, Gap, Group, Store
from tocsin.testing import ManualClock

PEER = Peer(pid=1, uid=0, gid=0)


class Asked:
    """A daemon that notes what it is asked; it records from a real store."""

    def __init__(self, store: Store | None = None) -> None:
        self.acked: list[tuple[str, str, str]] = []
        self.reloaded: list[str] = []
        self.recorded: list[tuple[Path, int]] = []
        self.maintained: list[tuple[str, str, int, str, str]] = []
        self.silenced: list[tuple[Wanted, str]] = []
        self.unsilenced: list[tuple[str, str, str]] = []
        self.problems: tuple[str, ...] = ()
        self.known = {"f" * 32}
        self.questions: list[Question] = []
        self.tail = Tail()
        self._store = store

    @property
    def commands(self) -> "Asked":
        return self

    @property
    def reads(self) -> "Asked":
        return self

    async def read(self, question: Question) -> dict[str, object]:
        self.questions.append(question)
        return {"call": None}

    async def silence(self, wanted: Wanted, by: str) -> Mapping[str, object]:
        self.silenced.append((wanted, by))
        return {"silence": {"id": "s1"}}

    async def unsilence(self, wanted: str, why: str, by: str) -> Mapping[str, object]:
        self.unsilenced.append((wanted, why, by))
        return {"silence": {"id": wanted}}

    def report(self) -> Mapping[str, object]:
        window = {"by": "root", "reason": "disk", "since_wall_ns": 1, "until_wall_ns": 2}
        nodes = [{"name": "n0", "maintenance": window}, {"name": "n1", "maintenance": None}]
        return {
            "level": "ok",
            "config": {"hash": "abc"},
            "silences": [{"id": "s7"}],
            "chains": [{"name": "sim", "nodes": nodes}],
        }

    async def acknowledge(self, fingerprint: str, why: str, by: str) -> Mapping[str, object] | None:
        self.acked.append((fingerprint, why, by))
        return {"accepted": []} if fingerprint in self.known else None

    async def reload(self, by: str) -> tuple[str, ...]:
        self.reloaded.append(by)
        return self.problems

    async def record(self, path: Path, seconds: int) -> Exported:
        self.recorded.append((path, seconds))
        if self._store is None:
            gap = Gap(first_event=2, last_event=3, reason="full")
            return Exported(first_event=1, last_event=9, events=7, gaps=(gap,))
        return await self._store.export(path, from_wall_ns=0, to_wall_ns=2**62)

    async def maintain(self, chain: str, node: str, for_ns: int, why: str, by: str) -> bool:
        self.maintained.append((chain, node, for_ns, why, by))
        return (chain, node) == ("sim", "n0")

    def events(self, last: int, *, follow: bool) -> AsyncGenerator[bytes, None]:
        return self.tail.read(last, follow=follow)

    async def recent_incidents(self, count: int) -> list[dict[str, object]]:
        return [{"fingerprint": "f" * 32}] * count

    async def incident(self, wanted: str, margin_ns: int) -> AsyncGenerator[dict[str, object], None]:
        yield {"kind": "about", "wanted": wanted, "margin_ns": margin_ns}


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"fingerprint": None},
        {"fingerprint": 7},
        {"fingerprint": ["f" * 32]},
        {"fingerprint": "f" * 32, "why": 3},
        {"fingerprint": "f" * 32, "why": "x" * 501},
        {"fingerprint": "f" * 32, "why": None},
    ],
)
async def test_ack_takes_a_fingerprint_and_a_reason(asked: Asked, request_: Mapping[str, object]) -> None:
    with pytest.raises(UsageError, match="fingerprint and a why"):
        await Verbs(asked).ack(request_, PEER)
    assert asked.acked == []


async def test_ack_says_who_and_why_and_whether_there_was_such_an_alert(asked: Asked) -> None:
    verbs = Verbs(asked)
    assert await verbs.ack({"fingerprint": "f" * 32, "why": "seen"}, PEER) == {
        "fingerprint": "f" * 32,
        "by": PEER.name,
        "accepted": [],
    }
    assert asked.acked == [("f" * 32, "seen", PEER.name)]
    with pytest.raises(ControlError, match="tocsin status lists them") as caught:
        await verbs.ack({"fingerprint": "x" * 60_000}, PEER)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "request_",
    [
        {"chain": "sim"},
        {"node": "n0"},
        {"chain": "sim", "node": "n0"},
        {"chain": "sim", "node": "n0", "for_s": 0},
        {"chain": "sim", "node": "n0", "for_s": -1},
        {"chain": "sim", "node": "n0", "for_s": 1.5},
        {"chain": "sim", "node": "n0", "for_s": True},
        {"chain": "sim", "node": "n0", "for_s": 30 * 86_400 + 1},
        {"chain": "sim", "node": "n0", "for_s": 5, "end": True},
        {"chain": "sim", "node": "n0", "end": 1},
        {"chain": "sim", "node": "n0", "for_s": 5, "why": None},
        {"chain": "sim", "node": "n0", "for_s": 5, "why": "x" * 501},
        {"chain": ["sim"], "node": "n0", "for_s": 5},
        {"chain": "sim", "node": 0, "for_s": 5},
    ],
)
async def test_maintenance_takes_a_node_and_a_time_or_an_end(asked: Asked, request_: Mapping[str, object]) -> None:
    with pytest.raises(UsageError, match="maintenance takes"):
        await Verbs(asked).maintenance(request_, PEER)
    assert asked.maintained == []


async def test_maintenance_begins_ends_and_lists(asked: Asked) -> None:
    verbs = Verbs(asked)
    window = {
        "chain": "sim",
        "node": "n0",
        "by": "root",
        "reason": "disk",
        "since_wall_ns": 1,
        "until_wall_ns": 2,
    }
    assert await verbs.maintenance({}, PEER) == {"maintenance": [window]}
    assert asked.maintained == []
    request = {"chain": "sim", "node": "n0", "for_s": 7200, "why": "disk"}
    assert await verbs.maintenance(request, PEER) == {"maintenance": [window]}
    await verbs.maintenance({"chain": "sim", "node": "n0", "end": True}, PEER)
    assert asked.maintained == [
        ("sim", "n0", 7200 * 10**9, "disk", PEER.name),
        ("sim", "n0", 0, "", PEER.name),
    ]
    with pytest.raises(ControlError, match=r"no node sim/n9x* is configured") as caught:
        await verbs.maintenance({"chain": "sim", "node": "n9" + "x" * 60_000, "end": True}, PEER)
    assert len(str(caught.value)) < 300


HOUR = {"match": "node=n0", "why": "disk", "for_s": 3600}


@pytest.mark.parametrize(
    "change",
    [
        {"match": None},
        {"match": 7},
        {"match": "x" * 501},
        {"why": None},
        {"why": ["x"]},
        {"why": "x" * 501},
        {"for_s": None},
        {"for_s": 0},
        {"for_s": -1},
        {"for_s": 1.5},
        {"for_s": True},
        {"for_s": "3600"},
        {"for_s": 10**30},
        {"until_wall_ns": 5},
        {"for_s": None, "until_wall_ns": "5"},
        {"from_wall_ns": 0},
        {"from_wall_ns": 2**63},
        {"critical": 1},
        {"critical": None},
    ],
)
async def test_silence_takes_a_match_a_reason_and_an_end(asked: Asked, change: Mapping[str, object]) -> None:
    with pytest.raises(UsageError, match="silence takes"):
        await Verbs(asked).silence({**HOUR, **change}, PEER)
    assert asked.silenced == []


async def test_silence_begins_and_lists_with_the_author_that_the_kernel_names(asked: Asked) -> None:
    verbs = Verbs(asked)
    assert await verbs.silence({"v": 1, "verb": "silence"}, PEER) == {"silences": [{"id": "s7"}]}
    assert await verbs.silence({**HOUR, "critical": True, "by": "somebody else"}, PEER) == {"silence": {"id": "s1"}}
    until = {"match": "node=n0", "why": "disk", "until_wall_ns": 9, "from_wall_ns": 5}
    await verbs.silence(until, PEER)
    assert asked.silenced == [
        (Wanted(match="node=n0", why="disk", for_ns=3600 * 10**9, critical=True), PEER.name),
        (Wanted(match="node=n0", why="disk", until_wall_ns=9, from_wall_ns=5), PEER.name),
    ]


@pytest.mark.parametrize("request_", [{}, {"id": 7}, {"id": "s1", "why": None}, {"id": "s1", "why": "x" * 501}])
async def test_unsilence_takes_an_id(asked: Asked, request_: Mapping[str, object]) -> None:
    with pytest.raises(UsageError, match="unsilence takes the id"):
        await Verbs(asked).unsilence(request_, PEER)
    await Verbs(asked).unsilence({"id": "s1", "why": "done"}, PEER)
    assert asked.unsilenced == [("s1", "done", PEER.name)]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"path": "relative.tocsin", "seconds": 5},
        {"path": "", "seconds": 5},
        {"path": 5, "seconds": 5},
        {"path": "/tmp/a\0b", "seconds": 5},  # noqa: S108 - never made
        {"path": "/x", "seconds": 0},
        {"path": "/x", "seconds": -5},
        {"path": "/x", "seconds": 1.5},
        {"path": "/x", "seconds": True},
        {"path": "/x", "seconds": "5"},
        {"path": "/x", "seconds": None},
    ],
)
async def test_record_takes_an_absolute_path_and_seconds(asked: Asked, request_: Mapping[str, object]) -> None:
    with pytest.raises(UsageError, match="absolute path"):
        await Verbs(asked).record(request_, PEER)
    assert asked.recorded == []


async def test_record_tells_what_it_wrote_and_what_is_missing(asked: Asked) -> None:
    told = await Verbs(asked).record({"path": "/x", "seconds": 10**30}, PEER)
    assert told == {"path": "/x", "events": 7, "first": 1, "last": 9, "gaps": ["events 2 to 3: full"]}


async def test_record_never_overwrites_and_says_where_it_cannot_write(tmp_path: Path) -> None:
    async with await Store.open(tmp_path / "state", clock=ManualClock()) as store:
        asked = Verbs(Asked(store))
        with pytest.raises(StoreError, match="nothing"):
            await asked.record({"path": str(tmp_path / "a"), "seconds": 5}, PEER)
        await store.commit(Group(t_ns=1, wall_ns=1, effect_no=0, records=(record(1),)))
        told = await asked.record({"path": str(tmp_path / "a"), "seconds": 5}, PEER)
        assert told["events"] == 1
        before = (tmp_path / "a").read_bytes()
        with pytest.raises(StoreError, match="exists already"):
            await asked.record({"path": str(tmp_path / "a"), "seconds": 5}, PEER)
        assert (tmp_path / "a").read_bytes() == before
        with pytest.raises(StoreError, match=r"no-such.*cannot be written"):
            await asked.record({"path": str(tmp_path / "no-such" / "a"), "seconds": 5}, PEER)
        with pytest.raises(StoreError):
            await asked.record({"path": str(tmp_path), "seconds": 5}, PEER)


async def test_reload_tells_the_problems_and_what_is_in_force(asked: Asked) -> None:
    assert await Verbs(asked).reload({}, PEER) == {"ok": True, "problems": [], "hash": "abc"}
    asked.problems = ("a.toml:1: x",)
    assert await Verbs(asked).reload({"junk": [1]}, PEER) == {"ok": False, "problems": ["a.toml:1: x"], "hash": "abc"}
    assert asked.reloaded == [PEER.name, PEER.name]


async def test_status_takes_anything(asked: Asked) -> None:
    assert (await Verbs(asked).status({"verb": "status", "x": {}}, PEER))["level"] == "ok"


@pytest.mark.parametrize("n", [-1, 10_001, "5", 1.0, None, True, [1]])
async def test_events_takes_a_number_within_reason(asked: Asked, n: object) -> None:
    with pytest.raises(UsageError, match="from 0 to"):
        await anext(Verbs(asked).events({"n": n}, PEER))


async def test_events_are_the_newest_and_then_those_that_come(asked: Asked) -> None:
    for number in range(30):
        asked.tail.add(orjson.dumps({"seq": number}))
    seen = [event["seq"] async for event in Verbs(asked).events({"n": 3}, PEER)]
    assert seen == [27, 28, 29]
    following = Verbs(asked).events({"n": 1, "follow": True}, PEER)
    assert (await anext(following))["seq"] == 29
    asked.tail.add(b'{"seq":30}')
    assert (await anext(following))["seq"] == 30
    await following.aclose()


# -- the tail itself


async def test_a_tail_keeps_no_more_than_its_share() -> None:
    tail = Tail()
    for number in range(KEPT + 500):
        tail.add(b"%d" % number)
    kept = [payload async for payload in tail.read(10 * KEPT, follow=False)]
    assert len(kept) == KEPT
    assert kept[-1] == b"%d" % (KEPT + 499)
    assert [payload async for payload in tail.read(0, follow=False)] == []


async def test_a_reader_that_does_not_read_loses_the_oldest_and_slows_nobody() -> None:
    tail = Tail()
    slow, quick = tail.read(0, follow=True), tail.read(0, follow=True)
    tasks = [asyncio.ensure_future(anext(reader)) for reader in (slow, quick)]
    await asyncio.sleep(0)
    tail.add(b"0")
    firsts = await asyncio.gather(*tasks)
    assert firsts == [b"0", b"0"]
    for number in range(1, 5_001):
        tail.add(b"%d" % number)
        if number % 100 == 0:
            got = [await anext(quick) for _ in range(100)]
            assert got[-1] == b"%d" % number
    assert int(await anext(slow)) > 1
    await slow.aclose()
    await quick.aclose()
    assert tail._waiting == []


@pytest.mark.parametrize("request_", [{"n": 0}, {"n": 1001}, {"n": True}, {"n": "3"}, {"n": None}])
async def test_incidents_takes_how_many(asked: Asked, request_: Mapping[str, object]) -> None:
    with pytest.raises(UsageError, match="n from 1 to 1000"):
        await Verbs(asked).incidents(request_, PEER)
    assert len((await Verbs(asked).incidents({"n": 7}, PEER))["incidents"]) == 7  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"id": ""},
        {"id": 7},
        {"id": "f" * 201},
        {"id": "f", "margin_s": -1},
        {"id": "f", "margin_s": 3601},
        {"id": "f", "margin_s": 1.5},
        {"id": "f", "margin_s": True},
    ],
)
async def test_incident_takes_an_id_and_a_margin(asked: Asked, request_: Mapping[str, object]) -> None:
    with pytest.raises(UsageError, match="incident takes"):
        await anext(Verbs(asked).incident(request_, PEER))


async def test_an_incident_comes_in_pieces(asked: Asked) -> None:
    pieces = [piece async for piece in Verbs(asked).incident({"id": "f:1", "margin_s": 5}, PEER)]
    assert pieces == [{"kind": "about", "wanted": "f:1", "margin_ns": 5 * 10**9}]


async def test_what_earlier_lives_said_comes_before_what_this_one_says() -> None:
    tail = Tail()
    tail.refill([b"1", b"2"])
    tail.add(b"3")
    assert [payload async for payload in tail.read(10, follow=False)] == [b"1", b"2", b"3"]
    assert [payload async for payload in tail.read(2, follow=False)] == [b"2", b"3"]


ADDRESS, SLOT = "0x" + "ab" * 20, "0x" + "00" * 31 + "07"


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"address": ADDRESS},
        {"address": ADDRESS.upper(), "data": "0x"},
        {"address": ADDRESS, "data": "0xAB"},
        {"address": ADDRESS, "data": "0xa"},
        {"address": ADDRESS, "data": "0x" + "00" * 20_000},
        {"address": ADDRESS, "data": 7},
        {"address": 7, "data": "0x"},
        {"address": ADDRESS, "data": "0x", "chain": 7},
        {"address": ADDRESS, "data": "0x", "block": "latest"},
        {"address": ADDRESS, "data": "0x", "block": ["head"]},
        {"address": ADDRESS, "data": "0x", "slots": 7},
        {"address": ADDRESS, "data": "0x", "slots": ["0x7"]},
        {"address": ADDRESS, "data": "0x", "slots": [SLOT] * 33},
        {"address": ADDRESS, "slots": []},
    ],
)
async def test_a_garbled_question_about_state_is_refused_with_what_would_be_right(request_: dict[str, object]) -> None:
    asked = Asked()
    with pytest.raises(UsageError, match="read takes "):
        await Verbs(asked).read(request_, PEER)
    assert not asked.questions


async def test_a_question_about_state_is_asked_as_it_was_typed() -> None:
    asked = Asked()
    request = {"address": ADDRESS, "data": "0x70a08231", "slots": [SLOT, SLOT], "chain": "sim", "block": "finalized"}
    assert await Verbs(asked).read(request, PEER) == {"call": None}
    await Verbs(asked).read({"address": ADDRESS, "slots": [SLOT]}, PEER)
    slot = (bytes(31) + b"\7",)
    assert asked.questions == [
        Question(chain="sim", address=b"\xab" * 20, data=b"\x70\xa0\x82\x31", slots=slot, block="finalized"),
        Question(chain="", address=b"\xab" * 20, data=None, slots=slot, block="head"),
    ]
