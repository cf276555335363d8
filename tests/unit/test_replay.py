"""A recording decides the same again, anywhere; what is not as it was written is refused."""

import asyncio
import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.pool import healthy, settings_for
from tests.support.ticking import Ticking, fails

from tocsin.detect.node_lag import LagParams
from tocsin.engine.codec import FORMAT, encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import CorruptRecord, StoreError
from tocsin.lab.replay import Replay, compare
from tocsin.model.alert import Over
from tocsin.model.effect import AlertChanged, Fetch
from tocsin.model.event import ConfigRevised, Event
from tocsin.model.observation import FaultKind
from tocsin.model.settings import Settings
from tocsin.runtime.core import Core
from tocsin.store import Gap, Group, Origin, Record, RecordingWriter, Snapshot, SnapshotAt, Store
from tocsin.store.chainfile import DIGEST_SIZE
from tocsin.store.section import Stamp
from tocsin.testing import ManualClock
from tocsin.wire.envelope import Origin as Speaker
from tocsin.wire.envelope import render

SETTINGS = settings_for(("a", "b", "c", "d", "e"))


def history() -> list[Event]:
    """An outage, a lagging node, a restart and a healing."""
    pool = Ticking(SETTINGS, keep_events=True)
    pool.rounds(10)
    pool.nodes["n0"].view.freeze()
    pool.rounds(30)
    pool.answers["n3"] = fails(FaultKind.RESET)
    pool.rounds(8)
    pool.restart(down_s=5)
    pool.rounds(8)
    pool.nodes["n0"].view.thaw()
    pool.answers["n3"] = healthy
    pool.rounds(20)
    assert len(pool.alerts) >= 6
    return pool.events


EVENTS = history()


def spoken(events: Sequence[Event], state: EngineState | None = None) -> list[bytes]:
    """Topic and payload of everything that these events publish."""
    state = state or EngineState()
    out = []
    for event in events:
        done = step(state, event)
        state = done.state
        for effect in done.effects:
            if not isinstance(effect, Fetch):
                told = render(effect, Speaker(site="sim", watchdog="w"), state.boot)
                out += [message.topic.encode() + b" " + message.payload for message in told]
    return out


def replayed(path: Path, **options: object) -> list[bytes]:
    replay = Replay(path=path, **options)  # type: ignore[arg-type]
    return [message.topic.encode() + b" " + message.payload for message in replay.messages()]


async def lived(folder: Path, *, snapshot_at: int) -> Path:
    """A daemon's store after these events, exported whole."""
    async with await Store.open(folder / "state", clock=ManualClock()) as store:
        core = Core(
            store,
            EngineState(),
            event_no=0,
            effect_no=0,
            wall_ns=lambda: core.state.wall_ns,
            on_request=lambda _: None,
            on_alert=lambda _: None,
        )
        task = asyncio.create_task(core.run(lambda: None))
        for at, event in enumerate(EVENTS, 1):
            core.take(event)
            if at == snapshot_at:
                await core.drained()
                snapshot = Snapshot(event_no=at, data=encode_state(core.state))
                await store.commit(
                    Group(t_ns=core.state.t_ns, wall_ns=core.state.wall_ns, effect_no=0, snapshot=snapshot)
                )
        await core.drained()
        task.cancel()
        whole, part = folder / "whole.tocsin", folder / "part.tocsin"
        await store.export(whole, from_wall_ns=0, to_wall_ns=2**62)
        await store.export(part, from_wall_ns=core.state.wall_ns, to_wall_ns=2**62)
    return folder


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(lived(tmp_path_factory.mktemp("replay"), snapshot_at=MIDDLE))


MIDDLE = len(EVENTS) * 2 // 3


def test_a_whole_recording_says_what_was_said(recorded: Path) -> None:
    replay = Replay(path=recorded / "whole.tocsin")
    assert [message.topic.encode() + b" " + message.payload for message in replay.messages()] == spoken(EVENTS)
    assert replay.events == len(EVENTS)
    assert replay.warnings == []


def test_a_recording_from_the_middle_of_the_stream_says_what_was_said_from_there(recorded: Path) -> None:
    said, before = spoken(EVENTS), spoken(EVENTS[:MIDDLE])
    assert said[len(before) :]
    assert replayed(recorded / "part.tocsin") == said[len(before) :]


def test_a_fresh_process_says_the_same_in_other_surroundings(recorded: Path, tmp_path: Path) -> None:
    script = (
        "import hashlib, sys, locale, time\n"
        "from pathlib import Path\n"
        "from tocsin.lab.replay import Replay\n"
        "h = hashlib.sha256()\n"
        "for m in Replay(path=Path(sys.argv[1])).messages():\n"
        "    h.update(m.topic.encode() + b' ' + m.payload + b'\\n')\n"
        "print(h.hexdigest())\n"
    )
    expected = hashlib.sha256(b"".join(line + b"\n" for line in spoken(EVENTS))).hexdigest()
    for seed, zone, lang in (("1", "Pacific/Kiritimati", "C"), ("4242", "America/St_Johns", "tr_TR.UTF-8")):
        env = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": lang, "LANG": lang}
        env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        done = subprocess.run(
            [sys.executable, "-c", script, str(recorded / "whole.tocsin")],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_flipped_byte_changes_or_refuses_the_stream(recorded: Path, data: st.DataObject) -> None:
    original = (recorded / "part.tocsin").read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    bent = bytearray(original)
    bent[at] ^= data.draw(st.integers(1, 255))
    path = recorded / "bent.tocsin"
    path.write_bytes(bent)
    with pytest.raises(StoreError):
        replayed(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_recording_that_was_cut_short_is_refused_or_taken_as_far_as_it_is_sound(
    recorded: Path, tmp_path: Path, share: float
) -> None:
    original = (recorded / "whole.tocsin").read_bytes()
    path = tmp_path / "cut.tocsin"
    path.write_bytes(original[: int(len(original) * share)])
    with pytest.raises(StoreError):
        replayed(path)
    try:
        said = replayed(path, prefix=True)
    except StoreError:
        assert share < 0.3, "where nothing is sound nothing is taken"
        return
    assert said == spoken(EVENTS)[: len(said)]


def test_a_file_that_is_none_says_which(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no-such\.tocsin"):
        replayed(tmp_path / "no-such.tocsin")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(StoreError, match="text"):
        replayed(tmp_path / "text")


# -- made by hand: gaps and poison


def written(path: Path, sections: list[tuple[int, EngineState | None, list[Event]]], gap: Gap | None = None) -> Path:
    """A recording of sections, each with its first event number, the state before it and its events."""
    with RecordingWriter(path, origin=Origin()) as out:
        for at, (first, state, events) in enumerate(sections):
            snapshot = None
            if state is not None:
                snapshot = SnapshotAt(event_no=first - 1, t_ns=1, wall_ns=1, effect_no=0, data=encode_state(state))
            out.begin(first_event=first, wall_ns=1, snapshot=snapshot, gap=gap if at else None)
            for number, event in enumerate(events, first):
                data, bodies = encode_event(event)
                stamp = Stamp(number, event.t_ns, 1, 0)
                out.write(stamp, [Record(event_no=number, data=data, bodies=bodies)])
    return path


def after(events: Sequence[Event]) -> EngineState:
    state = EngineState()
    for event in events:
        state = step(state, event).state
    return state


def test_behind_a_gap_everything_goes_on_as_it_was(tmp_path: Path) -> None:
    first, last = len(EVENTS) // 3, MIDDLE
    gap = Gap(first_event=first + 1, last_event=last, reason="the disk was full")
    path = written(
        tmp_path / "gap.tocsin",
        [(1, None, EVENTS[:first]), (last + 1, after(EVENTS[:last]), EVENTS[last:])],
        gap,
    )
    replay = Replay(path=path)
    said = [message.topic.encode() + b" " + message.payload for message in replay.messages()]
    whole = spoken(EVENTS)
    assert said == spoken(EVENTS[:first]) + whole[len(spoken(EVENTS[:last])) :]
    assert any("the disk was full" in warning for warning in replay.warnings)


def test_what_cannot_be_decided_is_refused_with_its_number(tmp_path: Path) -> None:
    frozen = replace(SETTINGS.chains[0], poll_ns=0, block_time_ns=0)
    poison = ConfigRevised(t_ns=EVENTS[-1].t_ns, settings=replace(SETTINGS, chains=(frozen,)))
    tick = next(event for event in reversed(EVENTS) if type(event).__name__ == "Ticked")
    path = written(tmp_path / "poison.tocsin", [(1, None, [*EVENTS, poison, tick])])
    with pytest.raises(CorruptRecord, match=f"event {len(EVENTS) + 2} cannot be decided"):
        replayed(path)


def test_a_claim_of_gigabytes_is_refused_before_it_is_believed(recorded: Path, tmp_path: Path) -> None:
    whole = (recorded / "whole.tocsin").read_bytes()
    first_frame = whole.index(b"\n") + 1 + DIGEST_SIZE
    path = tmp_path / "giant.tocsin"
    with path.open("wb") as file:
        file.write(whole[:first_frame] + (2**32 - 1).to_bytes(4, "big") + b"C")
        file.truncate(5 * 2**30)  # a hole: it takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(CorruptRecord, match="endless frame"):
            replayed(path)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_a_snapshot_that_cannot_be_read_is_refused_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.tocsin"
    with RecordingWriter(path, origin=Origin()) as out:
        snapshot = SnapshotAt(event_no=7, t_ns=1, wall_ns=1, effect_no=0, data=b"[" * 500)
        out.begin(first_event=8, wall_ns=1, snapshot=snapshot)
    with pytest.raises(CorruptRecord, match=r"bad\.tocsin: behind event 7: a snapshot has no readable head"):
        replayed(path)


def test_a_snapshot_of_another_format_is_refused(tmp_path: Path, recorded: Path) -> None:
    path = tmp_path / "other.tocsin"
    state = encode_state(after(EVENTS[:20])).replace(f'"format":{FORMAT}'.encode(), b'"format":9')
    with RecordingWriter(path, origin=Origin()) as out:
        out.begin(
            first_event=21,
            wall_ns=1,
            snapshot=SnapshotAt(event_no=20, t_ns=1, wall_ns=1, effect_no=0, data=state),
        )
        data, bodies = encode_event(EVENTS[20])
        out.write(Stamp(21, 1, 1, 0), [Record(event_no=21, data=data, bodies=bodies)])
    with pytest.raises(CorruptRecord, match="format 9"):
        replayed(path)
    assert recorded


def test_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "old.tocsin"
    with RecordingWriter(path, origin=Origin(code="0.0.1")) as out:
        out.begin(first_event=1, wall_ns=1, snapshot=None)
        data, bodies = encode_event(EVENTS[0])
        out.write(Stamp(1, 1, 1, 0), [Record(event_no=1, data=data, bodies=bodies)])
    replay = Replay(path=path)
    list(replay.messages())
    assert any("0.0.1" in warning for warning in replay.warnings)


# -- with another configuration


def with_lag(params: LagParams) -> Settings:
    return replace(SETTINGS, chains=(replace(SETTINGS.chains[0], detectors={"node.lag": params}),))


def marks(path: Path, other: Settings) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"+": [], "-": [], " ": []}
    for mark, text in compare(Replay(path=path), Replay(path=path, settings=other)):
        found[mark].append(text)
    return found


@pytest.mark.parametrize("name", ["whole.tocsin", "part.tocsin"])
def test_the_same_configuration_raises_the_same(recorded: Path, name: str) -> None:
    found = marks(recorded / name, SETTINGS)
    assert found["+"] == found["-"] == []
    assert found[" "]


def test_a_stricter_configuration_raises_more_and_sooner(recorded: Path) -> None:
    found = marks(recorded / "whole.tocsin", with_lag(LagParams(warning=Over(over=1), critical=Over(over=2))))
    assert any("node.lag" in text and "critical" in text for text in found["+"])
    assert all("node.lag" in text for text in (*found["+"], *found["-"]))


def test_a_configuration_without_the_node_raises_nothing_of_it(recorded: Path) -> None:
    chain = SETTINGS.chains[0]
    fewer = replace(SETTINGS, chains=(replace(chain, nodes=tuple(node for node in chain.nodes if node.name != "n3")),))
    found = marks(recorded / "whole.tocsin", fewer)
    assert any("sim.n3" in text for text in found["-"])
    assert not any("sim.n3" in text for text in (*found["+"], *found[" "]))


def test_another_configuration_from_the_middle_ends_what_it_does_not_know(recorded: Path) -> None:
    nobody = replace(SETTINGS, chains=())
    alerts = list(Replay(path=recorded / "part.tocsin", settings=nobody).alerts())
    assert {alert.reason for alert in alerts} <= {"unconfigured"}


def test_a_replay_is_of_alerts_and_of_effects_alike(recorded: Path) -> None:
    path = recorded / "whole.tocsin"
    effects = [effect for _, effect in Replay(path=path).effects() if isinstance(effect, AlertChanged)]
    assert [effect.alert for effect in effects] == list(Replay(path=path).alerts())
    assert [effect.seq for effect in effects] == list(range(1, len(effects) + 1))


def test_a_recording_of_a_watchdog_that_no_topic_can_name_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "made-by-hand.tsr"
    unnamed = [
        replace(event, settings=replace(event.settings, watchdog="a/+")) if isinstance(event, ConfigRevised) else event
        for event in EVENTS
    ]
    with RecordingWriter(path, origin=Origin(code="0")) as out:
        for at, event in enumerate(unnamed, 1):
            data, bodies = encode_event(event)
            record = Record(event_no=at, data=data, bodies=bodies)
            out.append(Group(t_ns=at, wall_ns=at, effect_no=0, records=(record,)))
    with pytest.raises(CorruptRecord, match=r"made-by-hand\.tsr: .*'a/\+' is not a name"):
        list(Replay(path=path).messages())
