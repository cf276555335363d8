"""A daemon and its state directory: of an older version, of a newer one, damaged, and on a disk that is full."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.support.broker import Mosquitto
from tests.support.fleet import QUICK, check_stream, distinct, heal, nodes_of, strike
from tests.support.store_v1 import turn_back
from tests.support.watchdog import CALM, Subscriber, Watchdog, eventually, mqtt_of, toml

from tocsin.testing import FaultProxy
from tocsin.testing.faults import Refused


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def damage_table(path: Path, table: str) -> None:
    """Write over the first page of a table, as a disk does that loses a sector."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        size = int(db.execute("PRAGMA page_size").fetchone()[0])
        root = int(db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0])
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xde\xad\xbe\xef" * (size // 4))


def dropped_in(heard: Subscriber) -> set[int]:
    """Return the numbers that were told to be gone."""
    told = [one.data["ranges"] for one in heard.heard if one.topic.endswith("/event/warning/self.dropped")]
    return {seq for ranges in told for first, last in ranges for seq in range(first, last + 1)}


async def with_an_open_alert(daemon: Watchdog, heard: Subscriber, nodes: FaultProxy) -> str:
    """Live until an alert is open and known to the broker; return its fingerprint."""
    daemon.start()
    await daemon.watching()
    await strike(nodes, "a")
    fingerprint = str((await heard.until_fired("node.wrong_chain", "a")).data["fingerprint"])
    await eventually(lambda: f"alert/{fingerprint}" in heard.retained, "the alert is retained")
    return fingerprint


async def test_a_store_of_an_older_version_migrates_and_its_alerts_go_on(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    await with_an_open_alert(daemon, heard, nodes)
    assert await daemon.stop() == 0
    path = daemon.state_dir / "tocsin.db"
    present = version_of(path)
    await turn_back(daemon.state_dir)
    assert version_of(path) == 1
    daemon.start()
    await daemon.watching()
    assert "migrated from store schema 1" in daemon.log()
    assert (version_of(path), version_of(daemon.state_dir / "tocsin.db.v1.bak")) == (present, 1)
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")
    assert [event.data["reason"] for event in heard.events] == ["fired", "cleared"]
    check_stream(heard.events)


async def test_a_store_of_a_newer_version_is_refused_with_the_command_to_use(daemon: Watchdog) -> None:
    daemon.start()
    await daemon.watching()
    assert await daemon.stop() == 0
    path = daemon.state_dir / "tocsin.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    daemon.start()
    assert await daemon.ended() == 1
    assert "pip install --upgrade tocsin" in daemon.log()
    assert "store schema 99" in daemon.log()
    assert "Traceback" not in daemon.log()
    assert path.read_bytes() == before


async def test_a_damaged_database_is_set_aside_and_what_was_open_is_unknown_until_there_is_data(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    fingerprint = await with_an_open_alert(daemon, heard, nodes)
    await daemon.kill()
    damage_table(daemon.state_dir / "tocsin.db", "journal")
    await nodes.node("a").set(Refused())
    daemon.start()
    await daemon.watching()
    unknown = await heard.until(lambda one: one.data["state"] == "unknown", "the alert is unknown")
    assert (unknown.data["fingerprint"], unknown.data["activation"]) == (fingerprint, 1)
    await heard.until_fired("node.unreachable", "a")
    assert [event.data["state"] for event in heard.events if event.data["fingerprint"] == fingerprint] == [
        "firing",
        "unknown",
    ]
    assert "damaged" in daemon.log()
    assert list(daemon.state_dir.glob("tocsin.db.corrupt-*"))
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")
    await heard.until_resolved("node.unreachable", "a")
    assert (await daemon.status())["store"]["state"] == "ok"
    check_stream(heard.events)


async def test_damage_in_what_was_said_keeps_the_daemon_neither_from_starting_nor_from_speaking(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    await with_an_open_alert(daemon, heard, nodes)
    assert await daemon.stop() == 0
    with closing(sqlite3.connect(daemon.state_dir / "tocsin.db")) as db, db:
        said = {seq for (seq,) in db.execute("SELECT seq FROM outbox")}
        db.execute("UPDATE outbox SET payload = substr(payload, 1, 9), sent_wall_ns = NULL")
        db.execute("UPDATE retained SET payload = substr(payload, 1, 9), published = 0")
    daemon.start()
    await daemon.watching()
    await eventually(lambda: dropped_in(heard) == said, "each number that is gone is told")
    assert (await daemon.status())["store"]["damaged"] == len(said)
    assert "were damaged on disk" in daemon.log()
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")


async def test_an_alert_that_was_lost_with_the_database_goes_on_firing_when_it_still_holds(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    fingerprint = await with_an_open_alert(daemon, heard, nodes)
    await daemon.kill()
    damage_table(daemon.state_dir / "tocsin.db", "journal")
    daemon.start()
    await daemon.watching()
    await heard.until(lambda one: one.data["reason"] == "data-back", "the alert is firing again")
    own = [event.data["state"] for event in distinct(heard.events) if event.data["fingerprint"] == fingerprint]
    assert own == ["firing", "unknown", "firing"]
    check_stream(heard.events)


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 9000])
async def test_whatever_lies_in_the_place_of_the_database_the_daemon_watches_on(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, content: bytes
) -> None:
    for suffix in ("-wal", "-shm"):
        (daemon.state_dir / f"tocsin.db{suffix}").write_bytes(content)
    (daemon.state_dir / "tocsin.db").write_bytes(content)
    await with_an_open_alert(daemon, heard, nodes)
    assert (await daemon.status())["store"]["state"] == "ok"
    assert await daemon.stop() == 0


async def test_a_damaged_segment_of_the_journal_costs_nothing_that_is_open(
    tmp_path: Path, daemon: Watchdog, heard: Subscriber, nodes: FaultProxy, broker: Mosquitto
) -> None:
    more = CALM + '[journal]\nsegment = "1s"\n'
    daemon.configure(toml(tmp_path, nodes_of(nodes), broker=mqtt_of(broker), chain=QUICK, more=more))
    await with_an_open_alert(daemon, heard, nodes)
    journal = daemon.state_dir / "journal"
    await eventually(lambda: len(list(journal.glob("*.tsj"))) > 1, "segments are sealed")
    await daemon.kill()
    for segment in journal.glob("*.tsj"):
        content = segment.read_bytes()
        half = len(content) // 2
        segment.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    daemon.start()
    await daemon.watching()
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")
    check_stream(heard.events)
    assert await daemon.stop() == 0


# -- one that goes away


async def test_a_state_directory_that_is_deleted_is_made_anew_and_nothing_that_is_open_is_lost(
    tmp_path: Path, daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    await with_an_open_alert(daemon, heard, nodes)
    daemon.state_dir.rename(tmp_path / "trash")
    await eventually(lambda: "made anew with all that was not sealed" in daemon.log(), "it is noticed")
    await daemon.until_status(lambda now: now["store"]["state"] == "ok", "all is well")
    await daemon.kill()
    daemon.start()
    await daemon.watching()
    await heal(nodes)
    await heard.until_resolved("node.wrong_chain", "a")
    assert [event.data["reason"] for event in distinct(heard.events)] == ["fired", "cleared"]
    check_stream(heard.events)


async def test_over_another_state_directory_alerts_say_that_they_are_not_kept_until_the_old_one_is_back(
    tmp_path: Path, daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    daemon.start()
    await daemon.watching()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tocsin.db").touch()
    daemon.state_dir.rename(tmp_path / "kept")
    (tmp_path / "other").rename(daemon.state_dir)
    told = await daemon.until_status(lambda now: now["store"]["state"] == "degraded", "status tells")
    assert (told["level"], "was replaced while in use" in told["store"]["detail"]) == ("warning", True)
    await eventually(lambda: heard.states()[-1:] == ["degraded"], "the broker is told")
    assert "store: not-durable" in daemon.log()
    await strike(nodes, "a")
    assert (await heard.until_fired("node.wrong_chain", "a")).data["durable"] is False
    daemon.state_dir.rename(tmp_path / "other")
    (tmp_path / "kept").rename(daemon.state_dir)
    await daemon.until_status(lambda now: now["store"]["state"] == "ok", "the store recovers")
    await heal(nodes)
    assert "durable" not in (await heard.until_resolved("node.wrong_chain", "a")).data
    assert await daemon.stop() == 0
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["tocsin.db"]
    check_stream(heard.events)


# -- a full disk


def own_disk(folder: Path, size: str) -> list[str]:
    """Return a command that gives a process a file system of its own at a folder. It keeps the process id."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        if os.environ.get("CI"):
            pytest.fail("needs mount namespaces: run as root, or allow unprivileged user namespaces")
        pytest.skip("needs mount namespaces: run as root, or allow unprivileged user namespaces")
    script = f'mount -t tmpfs -o size={size},mode=700 none {folder} && exec "$@"'
    return [unshare, "-Urm", "sh", "-c", script, "sh"]


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)) == 1 << 16:
            pass
        while file.write(b"\0"):
            pass


async def test_on_a_full_disk_alerts_go_on_and_status_tells_until_there_is_space_again(
    daemon: Watchdog, heard: Subscriber, nodes: FaultProxy
) -> None:
    daemon.start(through=own_disk(daemon.state_dir, "96m"))
    await daemon.watching()
    ballast = Path(f"/proc/{daemon.pid}/root{daemon.state_dir}/ballast")
    await asyncio.to_thread(fill, ballast)
    full = await daemon.until_status(lambda now: now["store"]["state"] == "degraded", "status tells")
    assert "full" in full["store"]["detail"]
    await eventually(lambda: heard.states()[-1:] == ["degraded"], "the broker is told")
    for activation in (1, 2):
        await strike(nodes, "a", "b")
        await heard.until_fired("node.wrong_chain", "a", activation=activation)
        await heard.until_fired("node.wrong_chain", "b", activation=activation)
        await heal(nodes)
        await heard.until_resolved("node.wrong_chain", "a", activation=activation)
        await heard.until_resolved("node.wrong_chain", "b", activation=activation)
        await asyncio.to_thread(fill, ballast.with_name(f"more-{activation}"))
    for each in ballast.parent.glob("*"):
        if each.name == "ballast" or each.name.startswith("more-"):
            each.unlink()
    await daemon.until_status(lambda now: now["store"]["state"] == "ok", "the store recovers")
    await eventually(lambda: heard.states()[-1:] == ["ready"], "the broker is told")
    await strike(nodes, "c")
    await heard.until_fired("node.wrong_chain", "c")
    assert await daemon.stop() == 0
    check_stream(heard.events)


async def test_a_disk_without_any_room_at_the_start_is_said_with_what_to_do(daemon: Watchdog) -> None:
    daemon.start(through=own_disk(daemon.state_dir, "4k"))
    assert await daemon.ended() == 1
    assert str(daemon.state_dir) in daemon.log()
    assert "free space" in daemon.log()
    assert "Traceback" not in daemon.log()
