"""Incidents: how they are named, what a report needs, and files that are not what they should be."""

import stat
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.support.messages import ALERT, ORIGIN, changed
from tests.support.store_kit import SMALL, record

from tocsin.clock import SystemClock
from tocsin.errors import CorruptRecord, SchemaTooNew, StoreError
from tocsin.ids import digest
from tocsin.lab import bundle
from tocsin.lab.bundle import Around, document, read, write
from tocsin.lab.incident import Incident, cut, joined, parts, recent, seek, span, wall_ns
from tocsin.lab.incident_record import deadlines
from tocsin.lab.replay import Replay
from tocsin.model.alert import Alert, AlertState
from tocsin.model.evolve import evolve
from tocsin.store import (
    Entry,
    Group,
    History,
    Origin,
    OutboxRow,
    RecordingWriter,
    Store,
    Told,
    read_recording,
)
from tocsin.wire.envelope import alert_messages, evidence_bytes

ONE, TWO, OTHER = "4f1c2d3e" + "0" * 24, "4f1cffff" + "0" * 24, "a" * 32
BOOT = "b00700000000"
AROUND = Around(watchdog="ams/host-a", exported_wall_ns=0, margin_ns=0, config_hash="c0ffee", shown="schema = 1\n")


def row(seq: int, mark: str, *, activation: int = 1, over: bool = False) -> OutboxRow:
    alert = evolve(
        ALERT,
        fingerprint=mark,
        activation=activation,
        state=AlertState.RESOLVED if over else AlertState.FIRING,
        started_wall_ns=10**18 + activation * 10**9,
        updated_wall_ns=10**18 + seq * 10**9,
        resolved_wall_ns=10**18 + seq * 10**9 if over else None,
    )
    message = alert_messages(changed(alert, seq=seq), ORIGIN)[0]
    return OutboxRow(
        seq=seq,
        id=f"{BOOT}:{seq}",
        fingerprint=mark,
        severity=alert.severity,
        topic=message.topic,
        payload=message.payload,
        created_wall_ns=alert.updated_wall_ns,
    )


ROWS = (
    row(1, ONE),
    row(2, OTHER),
    row(3, ONE, over=True),
    row(4, OTHER, over=True),
    row(5, ONE, activation=2),
    row(6, TWO),
)


@pytest_asyncio.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    state_dir = tmp_path / "state"
    origin = Origin(code="test")
    async with await Store.open(state_dir, clock=SystemClock(), limits=SMALL, origin=origin) as store:
        await store.commit(Group(t_ns=1, wall_ns=1, effect_no=6, outbox=ROWS))
        yield store.history


@pytest.mark.parametrize(
    ("wanted", "seqs", "others"),
    [
        (ONE, [5], [6]),
        (ONE[:6], [5], [6]),
        (f"{ONE}:1", [1, 3], [2]),
        (f"  {ONE[:7].upper()}:1 ", [1, 3], [2]),
        (f"{BOOT}:3", [1, 3], [2]),
        (f"host-a:{BOOT}:1", [1, 3], [2]),
        (OTHER, [2, 4], [3]),
        (TWO, [6], []),
    ],
)
async def test_an_incident_is_found_by_every_name_it_has(
    history: History, wanted: str, seqs: list[int], others: list[int]
) -> None:
    found = seek(history, wanted)
    assert [told.seq for told in found.own] == seqs
    assert [told.seq for told in found.others] == others
    assert (found.ended_wall_ns is None) == (wanted in (ONE, ONE[:6], TWO))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("4f1c", "is the beginning of several alerts: 4f1c2d3e"),
        (ONE[:-1] + "7", f"did you mean {ONE}[?]"),
        ("ffff" * 8, f"the newest are {TWO}, {ONE}, {OTHER}"),
        (f"{ONE}:3", "no activation 3 any more; known are 1, 2"),
        ("4f", "names no incident"),
        ("", "names no incident"),
        (f"{ONE}:x", "names no incident"),
        (f"{BOOT}:77", "no alert 'b007"),
        ("'; DROP TABLE outbox", "names no incident"),
    ],
)
async def test_what_cannot_be_found_is_told_with_what_can(history: History, wanted: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        seek(history, wanted)


async def test_the_newest_incidents_come_first_and_each_once(history: History) -> None:
    found = recent(history, 10)
    assert [(one["fingerprint"], one["activation"], one["state"]) for one in found] == [
        (TWO, 1, "firing"),
        (ONE, 2, "firing"),
        (OTHER, 1, "resolved"),
        (ONE, 1, "resolved"),
    ]
    assert len(recent(history, 2)) == 2


async def test_an_incident_survives_its_way_over_the_socket(history: History) -> None:
    found = seek(history, f"{ONE}:1")
    assert joined([orjson.loads(orjson.dumps(piece)) for piece in parts(found)]) == found
    many = evolve(found, others=tuple(Told(seq=n, id=f"b:{n}", fingerprint=OTHER, payload=b"{}") for n in range(1000)))
    assert joined(parts(many)) == many
    assert max(len(orjson.dumps(piece)) for piece in parts(many)) < 64 * 1024


def test_where_there_is_no_state_directory_it_is_said() -> None:
    with pytest.raises(StoreError, match="state_dir"):
        History(Path("/nowhere")).latest(1)


def test_an_open_incident_goes_on_to_this_moment() -> None:
    open_ = Incident(
        fingerprint=ONE, activation=1, started_wall_ns=50, ended_wall_ns=None, own=(), others=(), left_out=0
    )
    assert span(open_, 10, 1000)[0] == 40
    assert span(open_, 10, 1000)[1] > 1000
    assert span(evolve(open_, ended_wall_ns=80), 10, 1000) == (40, 90)


# -- the file


def names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def bundled(history: History, folder: Path) -> Path:
    """Return a bundle without a recording: the journal holds nothing of its time."""
    path = folder / "one.tsi"
    write(path, document(seek(history, f"{ONE}:1"), AROUND, None), None)
    return path


async def test_a_bundle_whose_time_is_gone_from_the_journal_says_so_and_so_does_replay(
    history: History, tmp_path: Path
) -> None:
    path = await bundled(history, tmp_path)
    about = read(path)
    assert [event["data"]["seq"] for event in about["events"]] == [1, 3]
    assert about["recording"]["not_reproduced"] == [1, 3]
    assert about["record"]["started_at"] is None
    assert about["configuration"]["shown"] == "schema = 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(StoreError, match="no longer in the journal"):
        list(Replay(path=path).messages())


async def test_a_recording_that_begins_late_or_cannot_be_replayed_is_kept_and_that_is_said(
    history: History, tmp_path: Path
) -> None:
    recording = tmp_path / "recording"
    with RecordingWriter(recording, origin=Origin(code="other")) as out:
        out.append(Group(t_ns=1, wall_ns=2 * 10**18, effect_no=0, records=(record(1),)))
    path = tmp_path / "one.tsi"
    write(path, document(seek(history, f"{ONE}:1"), AROUND, recording), recording)
    about = read(path)["recording"]
    late, broken, version = about["missing"]
    assert late == (
        "the alert began at 2001-09-09T01:46:41.000000Z; "
        "of the time before 2033-05-18T03:33:20.000000Z the journal has nothing any more"
    )
    assert broken.startswith("it cannot be replayed to its end: event 1: ")
    assert version.startswith("recorded by version other")
    assert (about["code"], about["not_reproduced"]) == ("other", [1, 3])
    assert [item.event_no for item in read_recording(path).items() if isinstance(item, Entry)] == [1]


async def test_no_byte_of_the_first_line_changes_unnoticed(history: History, tmp_path: Path) -> None:
    path = await bundled(history, tmp_path)
    whole = path.read_bytes()
    for at in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((CorruptRecord, StoreError, SchemaTooNew)):
            read(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((CorruptRecord, StoreError)):
        read(path)
    with pytest.raises((CorruptRecord, StoreError)):
        list(Replay(path=path).messages())


async def test_a_later_format_is_refused_with_what_to_do(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "VERSION", 2)
    path = await bundled(history, tmp_path)
    monkeypatch.setattr(bundle, "VERSION", 1)
    with pytest.raises(SchemaTooNew, match="upgrade"):
        read(path)


async def test_a_file_that_is_there_stays_and_what_a_crash_left_is_swept(history: History, tmp_path: Path) -> None:
    (tmp_path / ".one.tsi.part").write_text("left behind")
    path = await bundled(history, tmp_path)
    whole = path.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        await bundled(history, tmp_path)
    assert path.read_bytes() == whole
    assert names_in(tmp_path) == ["one.tsi", "state"]


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(StoreError, match="cannot be read"):
        read(path)
    path.write_bytes(b"\x00\xff")
    with pytest.raises(StoreError, match="is no bundle"):
        read(path)


# -- the record


@pytest.mark.parametrize(
    ("aware", "key", "due"),
    [
        ("2026-11-22T10:00:00.000000Z", "initial_if_classified_at_once", "2026-11-22T14:00:00.000000Z"),
        ("2026-11-22T10:00:00.000000Z", "initial_latest", "2026-11-23T10:00:00.000000Z"),
        ("2026-11-22T10:00:00.000000Z", "intermediate_latest", "2026-11-26T10:00:00.000000Z"),
        ("2026-11-22T10:00:00.000000Z", "final_latest", "2026-12-26T10:00:00.000000Z"),
        ("2026-12-10T00:00:00.000000Z", "final_latest", "2027-01-14T00:00:00.000000Z"),
        ("2027-01-27T12:00:00.000000Z", "final_latest", "2027-02-28T12:00:00.000000Z"),
        ("2028-01-27T12:00:00.000000Z", "final_latest", "2028-02-29T12:00:00.000000Z"),
    ],
)
def test_reports_are_due_as_the_regulation_counts(aware: str, key: str, due: str) -> None:
    assert deadlines(aware)[key] == due


@given(at=st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
def test_deadlines_come_in_order_and_never_before_the_awareness(at: datetime) -> None:
    aware = at.isoformat(timespec="microseconds") + "Z"
    found: dict[str, Any] = deadlines(aware)
    keys = ("aware_at", "initial_if_classified_at_once", "initial_latest", "intermediate_latest", "final_latest")
    times = [wall_ns(found[key]) for key in keys]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def test_evidence_that_was_too_long_for_its_events_is_taken_along_by_its_digest() -> None:
    long = evolve(ALERT, evidence={"answer": "x" * 20_000})
    told = [Told(seq=at, id=f"{BOOT}:{at}", fingerprint=ALERT.fingerprint, payload=of(long, at)) for at in (1, 2)]
    plain = Told(seq=3, id=f"{BOOT}:3", fingerprint=ALERT.fingerprint, payload=of(ALERT, 3))
    incident = Incident(
        fingerprint=ALERT.fingerprint,
        activation=1,
        started_wall_ns=10**18,
        ended_wall_ns=None,
        own=(*told, plain),
        others=(),
    )
    whole = evidence_bytes(long)
    assert cut(incident) == [digest(whole)]
    assert document(incident, AROUND, None)["evidence"] == {}
    about = document(incident, AROUND, None, {digest(whole): whole})
    assert about["evidence"] == {digest(whole): {"answer": "x" * 20_000}}


def of(alert: Alert, seq: int) -> bytes:
    return alert_messages(changed(alert, seq=seq), ORIGIN)[0].payload
