"""The file format: what was written is read, any damage is refused, any cut leaves a sound prefix."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.store_kit import group

from tocsin.errors import CorruptRecord, SchemaTooNew, StoreError
from tocsin.ids import digest
from tocsin.store import Entry, Gap, Group, Origin, Record, RecordingWriter, Snapshot, SnapshotAt, read_recording
from tocsin.store.framing import pack_records, unpack_records
from tocsin.store.header import Header
from tocsin.store.section import MOST_BODIES, SectionWriter

ORIGIN = Origin(code="1.2.3", codec=7, config_hash="abc")
bodies = st.lists(st.binary(max_size=300), max_size=4).map(lambda some: {digest(body): body for body in some})
contents = st.lists(
    st.tuples(st.lists(st.tuples(st.binary(max_size=200), bodies), max_size=5), st.booleans()), max_size=12
)


def groups_of(content: Any) -> list[Group]:
    made, event_no = [], 0
    for at, (records, with_snapshot) in enumerate(content):
        numbered = tuple(
            Record(event_no=number, data=data, bodies=named)
            for number, (data, named) in enumerate(records, event_no + 1)
        )
        event_no += len(records)
        snapshot = Snapshot(event_no=event_no, data=b"state %d" % event_no) if with_snapshot else None
        made.append(Group(t_ns=at, wall_ns=at * 10, effect_no=at, records=numbered, snapshot=snapshot))
    return made


def write(path: Path, groups: list[Group]) -> Path:
    path.unlink(missing_ok=True)
    with RecordingWriter(path, origin=ORIGIN) as out:
        out.begin(first_event=1, wall_ns=0)
        for one in groups:
            out.append(one)
    return path


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = [group(1, 3), group(4, 2, snapshot=True), group(6, 4), group(10, 1, snapshot=True), group(11, 2)]
    return write(tmp_path_factory.mktemp("sample") / "a.tsj", made).read_bytes()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(records=st.lists(st.tuples(st.binary(max_size=100), st.lists(st.integers(0, 2**32 - 1), max_size=5))))
def test_packed_records_come_back(records: Any) -> None:
    assert [(data, list(numbers)) for data, numbers in unpack_records(pack_records(records))] == records


@given(blob=st.binary(max_size=200))
def test_unpacking_any_bytes_yields_records_or_a_value_error(blob: bytes) -> None:
    try:
        packed = pack_records(unpack_records(blob))
    except ValueError:
        return
    assert packed == blob


@settings(max_examples=60, deadline=None)
@given(content=contents)
def test_a_recording_gives_back_what_was_written(content: Any) -> None:
    groups = groups_of(content)
    with tempfile.TemporaryDirectory() as name:
        recording = read_recording(write(Path(name) / "a.tsj", groups))
        entries = [
            Entry(
                event_no=record.event_no,
                t_ns=one.t_ns,
                wall_ns=one.wall_ns,
                effect_no=one.effect_no,
                data=record.data,
                bodies=record.bodies,
            )
            for one in groups
            for record in one.records
        ]
        assert list(recording.entries()) == entries
        snapshots = [item.data for item in recording.items() if isinstance(item, SnapshotAt)]
        assert snapshots == [one.snapshot.data for one in groups if one.snapshot]
        assert recording.kept.whole
        assert recording.header.origin == ORIGIN


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused_with_file_and_offset(sample: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sample) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged = bytearray(sample)
    damaged[at] ^= flip
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.tsj"
        path.write_bytes(damaged)
        with pytest.raises(CorruptRecord, match=r"a\.tsj: byte \d+: "):
            read_recording(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_cut_leaves_a_valid_prefix_and_says_how_much(sample: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(sample) - 1))
    with tempfile.TemporaryDirectory() as name:
        whole, cut = Path(name) / "whole.tsj", Path(name) / "cut.tsj"
        whole.write_bytes(sample)
        cut.write_bytes(sample[:length])
        with pytest.raises(CorruptRecord):
            read_recording(cut)
        try:
            recording = read_recording(cut, prefix=True)
        except CorruptRecord:
            assert length < 300, "only a file without a whole header holds nothing"
            return
        items, everything = list(recording.items()), list(read_recording(whole).items())
        assert items == everything[: len(items)]
        assert recording.kept.bytes <= length
        assert not recording.kept.whole


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_up_to_the_damage_on_request(sample: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sample) - 1))
    damaged = bytearray(sample)
    damaged[at] ^= 0xFF
    with tempfile.TemporaryDirectory() as name:
        whole, path = Path(name) / "whole.tsj", Path(name) / "a.tsj"
        whole.write_bytes(sample)
        path.write_bytes(damaged)
        try:
            recording = read_recording(path, prefix=True)
        except CorruptRecord:
            return
        items = list(recording.items())
        assert items == list(read_recording(whole).items())[: len(items)]
        assert recording.kept.bytes <= at


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=400), headed=st.booleans(), prefix=st.booleans())
def test_any_bytes_as_a_file_are_refused_in_words(content: Any, *, headed: bool, prefix: bool) -> None:
    start = b'{"format":"tocsin-journal"' if headed else b""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.tsj"
        path.write_bytes(start + content)
        with pytest.raises(StoreError, match=r"a\.tsj"):
            read_recording(path, prefix=prefix)


def test_sections_cannot_change_places(folder: Path, sample: bytes) -> None:
    starts = [at for at in range(len(sample)) if sample.startswith(b'{"format"', at)]
    first, second, third = (sample[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True))
    path = folder / "a.tsj"
    path.write_bytes(second + first + third)
    with pytest.raises(CorruptRecord):
        read_recording(path)
    path.write_bytes(first + third)
    with pytest.raises(CorruptRecord):
        read_recording(path)


def test_bytes_behind_the_end_are_refused(folder: Path, sample: bytes) -> None:
    path = folder / "a.tsj"
    path.write_bytes(sample + b"x")
    with pytest.raises(CorruptRecord, match="follow the end"):
        read_recording(path)


def test_a_format_to_come_is_told_from_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.store.recording.VERSION", 9)
    path = write(folder / "a.tsj", [group(1, 1)])
    with pytest.raises(SchemaTooNew, match=r"a\.tsj: written in journal format 9.*pip install"):
        read_recording(path)


def test_a_gap_is_yielded_and_stops_plain_reading(folder: Path) -> None:
    gap = Gap(first_event=3, last_event=9, reason="disk full", wall_ns=5)
    path = folder / "a.tsj"
    with RecordingWriter(path, origin=ORIGIN) as out:
        out.append(group(1, 2))
        snapshot = SnapshotAt(event_no=9, t_ns=9, wall_ns=9, effect_no=9, data=b"s")
        out.begin(first_event=10, wall_ns=9, snapshot=snapshot, gap=gap)
        out.append(group(10, 1))
    recording = read_recording(path)
    assert [type(item) for item in recording.items()] == [Entry, Entry, Gap, SnapshotAt, Entry]
    with pytest.raises(StoreError, match="3 to 9"):
        list(recording.entries())


def test_events_out_of_order_and_existing_files_are_refused(folder: Path) -> None:
    path = folder / "a.tsj"
    with RecordingWriter(path, origin=ORIGIN) as out:
        out.append(group(1, 2))
        with pytest.raises(StoreError, match="event 4 where 3 belongs"):
            out.append(group(4, 1))
    with pytest.raises(StoreError, match="exists already"):
        RecordingWriter(path, origin=ORIGIN)


def test_a_writer_that_fails_leaves_a_prefix(folder: Path) -> None:
    path = folder / "a.tsj"
    with suppress(KeyError), RecordingWriter(path, origin=ORIGIN) as out:
        out.append(group(1, 2))
        raise KeyError
    with pytest.raises(CorruptRecord, match="cut short"):
        read_recording(path)
    assert [entry.event_no for entry in read_recording(path, prefix=True).entries()] == [1, 2]


def test_bodies_are_found_again_when_memory_no_longer_holds_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.store.section.CHUNK_BYTES", 2000)
    groups = [group(first, 1, size=500) for first in range(1, 60)]
    late = Record(event_no=60, data=b"late", bodies={**groups[0].records[0].bodies, **groups[30].records[0].bodies})
    groups.append(Group(t_ns=60, wall_ns=60, effect_no=60, records=(late,)))
    path = write(folder / "a.tsj", groups)
    monkeypatch.setattr("tocsin.store.bodies.CACHE_BYTES", 600)
    assert [entry.bodies for entry in read_recording(path).entries()] == [
        record.bodies for one in groups for record in one.records
    ]


def test_more_bodies_than_any_section_has_are_refused(folder: Path) -> None:
    path = folder / "many.tsj"
    head = Header(
        version=1,
        segment=1,
        first_event=1,
        last_event=None,
        first_wall_ns=0,
        last_wall_ns=None,
        origin=ORIGIN,
        gap=None,
    )
    with path.open("wb") as file:
        out = SectionWriter(file)
        out.begin(head, None)
        for _ in range(MOST_BODIES + 1):
            out.body(bytes(16), b"")
        out.end(last=True)
        out.flush()
    with pytest.raises(CorruptRecord, match=rf"many\.tsj.*more than {MOST_BODIES} bodies in a section"):
        list(read_recording(path).items())
