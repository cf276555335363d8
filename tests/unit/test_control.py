"""The control socket, over real sockets: who may ask, what is answered, and that no peer can harm the daemon."""

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.cli import _client
from tocsin.errors import ConfigError, ControlError
from tocsin.runtime import control
from tocsin.runtime.control import ControlServer, Handler, Peer, Request, Stream, may_ask, peer_of
from tocsin.runtime.statusfile import StatusFile


async def echo(request: Request, peer: Peer) -> Mapping[str, object]:
    return {"request": dict(request), "uid": peer.uid, "pid": peer.pid}


async def refuse(_: Request, __: Peer) -> Mapping[str, object]:
    raise ConfigError(("tocsin.toml:3: chain.0.id: 0 is no chain id",))


async def break_down(_: Request, __: Peer) -> Mapping[str, object]:
    raise ZeroDivisionError("a bug")


async def nonsense(_: Request, __: Peer) -> Mapping[str, object]:
    return {"value": object()}


async def hang(_: Request, __: Peer) -> Mapping[str, object]:
    await asyncio.Event().wait()
    return {}


async def count(request: Request, _: Peer) -> AsyncGenerator[Mapping[str, object], None]:
    for number in range(request["n"]):
        yield {"number": number}
    if request.get("broken"):
        raise ZeroDivisionError("a bug")


HANDLERS: dict[str, Handler] = {
    "echo": echo,
    "refuse": refuse,
    "break": break_down,
    "nonsense": nonsense,
    "hang": hang,
}


class Closing:
    """A stream that says nothing and notes when it is closed."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.closed = asyncio.Event()

    async def __call__(self, _: Request, __: Peer) -> AsyncGenerator[Mapping[str, object], None]:
        try:
            yield {"hello": True}
            self.open.set()
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def _until_answering(path: Path) -> None:
    while not control._answers(path):  # noqa: ASYNC110 - another task makes it; a dead one may have left its file
        await asyncio.sleep(0.001)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    *,
    handlers: Mapping[str, Handler] | None = None,
    streams: Mapping[str, Stream] | None = None,
    request_s: float = 30.0,
) -> AsyncIterator[str]:
    answering, streaming = {**HANDLERS, **(handlers or {})}, {"count": count, **(streams or {})}
    server = ControlServer(folder, answering, streaming, handler_s=0.2, request_s=request_s)
    server.claim()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(server.serve())
            await _until_answering(server.path)
            try:
                yield str(folder)
            finally:
                task.cancel()
    finally:
        server.release()


async def ask(folder: str, verb: str, **args: object) -> Any:
    return await asyncio.to_thread(_client.ask, folder, verb, args, timeout_s=20)


async def raw(folder: str, data: bytes) -> list[dict[str, Any]]:
    """Send bytes, end, and return all answers."""
    reader, writer = await asyncio.open_unix_connection(f"{folder}/control.sock")
    try:
        writer.write(data)
        writer.write_eof()
        return [json.loads(line) for line in (await reader.read()).splitlines()]
    finally:
        await _close(writer)


async def test_a_verb_is_answered_and_the_kernel_says_who_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as folder:
        answer = await ask(folder, "echo", why="known")
    assert answer["request"] == {"v": 1, "verb": "echo", "why": "known"}
    assert (answer["uid"], answer["pid"]) == (os.getuid(), os.getpid())


async def test_one_connection_may_ask_several_times(tmp_path: Path) -> None:
    line = b'{"v": 1, "verb": "echo"}\n'
    async with serving(tmp_path) as folder:
        answers = await raw(folder, line * 3)
    assert [answer["ok"] for answer in answers] == [True] * 3


async def test_requests_that_come_together_leave_the_loop_its_turns(tmp_path: Path) -> None:
    turns = 0
    seen: list[int] = []

    async def note(_: Request, __: Peer) -> Mapping[str, object]:
        seen.append(turns)
        return {}

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving(tmp_path, handlers={"note": note}) as folder:
        other = asyncio.create_task(turn())
        await raw(folder, 100 * b'{"v": 1, "verb": "note"}\n')
        other.cancel()
    assert len(set(seen)) == len(seen) == 100


async def test_an_unknown_verb_is_answered_with_those_there_are(tmp_path: Path) -> None:
    async with serving(tmp_path) as folder:
        (answer,) = await raw(folder, b'{"v": 1, "verb": "dance"}\n')
    assert answer["error"]["code"] == "unknown-verb"
    assert answer["error"]["verbs"] == sorted([*HANDLERS, "count"])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"hello\n", "malformed"),
        (b"[1]\n", "malformed"),
        (b'"status"\n', "malformed"),
        (b"\xff\xfe\n", "malformed"),
        (b'{"verb": "echo"}\n', "version"),
        (b'{"v": 2, "verb": "echo"}\n', "version"),
        (b'{"v": 1, "verb": ["echo"]}\n', "unknown-verb"),
        (b'{"v": 1, "verb": "refuse"}\n', "refused"),
        (b'{"v": 1, "verb": "break"}\n', "internal"),
        (b'{"v": 1, "verb": "nonsense"}\n', "internal"),
        (b'{"v": 1, "verb": "hang"}\n', "timeout"),
        (b'{"v": 1, "verb": "count", "n": 0, "broken": true}\n', "internal"),
        (b'{"v": 1, "verb": "count"}\n', "internal"),
        (b'{"v": 1, "verb": "echo", "x": "' + b"x" * control.MAX_REQUEST + b'"}\n', "malformed"),
    ],
)
async def test_what_cannot_be_done_is_said_with_its_code_and_the_daemon_goes_on(
    tmp_path: Path, data: bytes, code: str
) -> None:
    async with serving(tmp_path) as folder:
        answers = await raw(folder, data)
        assert [answer["error"]["code"] for answer in answers] == [code]
        assert (await ask(folder, "echo"))["pid"] == os.getpid()


async def test_a_refusal_carries_the_reason_to_the_client(tmp_path: Path) -> None:
    async with serving(tmp_path) as folder:
        with pytest.raises(_client.Refused, match=r"tocsin.toml:3: chain.0.id"):
            await ask(folder, "refuse")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=300))
def test_any_bytes_are_answered_in_the_protocol_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    async def scenario() -> None:
        async with serving(tmp_path_factory.mktemp("run")) as folder:
            for answer in await raw(folder, junk):
                assert answer["v"] == 1
                assert isinstance(answer["ok"], bool)
            assert (await ask(folder, "echo"))["pid"] == os.getpid()

    asyncio.run(scenario())


async def test_a_stream_gives_all_items_and_then_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as folder:
        items = await asyncio.to_thread(lambda: list(_client.stream(folder, "count", {"n": 5})))
    assert items == [{"number": number} for number in range(5)]


async def test_a_stream_ends_when_its_reader_hangs_up_even_with_nothing_to_send(tmp_path: Path) -> None:
    quiet = Closing()
    async with serving(tmp_path, streams={"quiet": quiet}) as folder:
        reader, writer = await asyncio.open_unix_connection(f"{folder}/control.sock")
        writer.write(b'{"v": 1, "verb": "quiet"}\n')
        await reader.readline()
        await quiet.open.wait()
        await _close(writer)
        async with asyncio.timeout(20):
            await quiet.closed.wait()
        assert (await ask(folder, "echo"))["pid"] == os.getpid()


async def test_the_end_of_the_server_closes_open_streams(tmp_path: Path) -> None:
    quiet = Closing()
    async with serving(tmp_path, streams={"quiet": quiet}) as folder:
        reader, writer = await asyncio.open_unix_connection(f"{folder}/control.sock")
        writer.write(b'{"v": 1, "verb": "quiet"}\n')
        await reader.readline()
    assert quiet.closed.is_set()
    assert await reader.read() == b""
    await _close(writer)


async def test_a_silent_peer_is_hung_up_on(tmp_path: Path) -> None:
    async with serving(tmp_path, request_s=0.05) as folder:
        reader, writer = await asyncio.open_unix_connection(f"{folder}/control.sock")
        assert await reader.read() == b""
        await _close(writer)


async def test_more_peers_than_there_is_room_for_are_told_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as folder:
        path = f"{folder}/control.sock"
        crowd = [await asyncio.open_unix_connection(path) for _ in range(control.MAX_PEERS)]
        for reader, writer in crowd:
            writer.write(b'{"v": 1, "verb": "echo"}\n')
            await reader.readline()
        (answer,) = await raw(folder, b'{"v": 1, "verb": "echo"}\n')
        assert answer["error"]["code"] == "busy"
        for _, writer in crowd:
            await _close(writer)


async def test_those_who_follow_a_stream_leave_room_for_those_who_ask(tmp_path: Path) -> None:
    async with serving(tmp_path, streams={"follow": Closing()}) as folder:
        path = f"{folder}/control.sock"
        tails = [await asyncio.open_unix_connection(path) for _ in range(control.MAX_STREAMS)]
        for reader, writer in tails:
            writer.write(b'{"v": 1, "verb": "follow"}\n')
            assert b'"ok":true' in await reader.readline()
        (refused,) = await raw(folder, b'{"v": 1, "verb": "follow"}\n')
        assert refused["error"]["code"] == "busy"
        (answer,) = await raw(folder, b'{"v": 1, "verb": "echo"}\n')
        assert answer["ok"]
        await _close(tails[0][1])
        reader, writer = await asyncio.open_unix_connection(path)
        answered = b""
        while b'"ok":true' not in answered:
            writer.write(b'{"v": 1, "verb": "follow"}\n')
            answered = await reader.readline()
        for _, each in [*tails[1:], (reader, writer)]:
            await _close(each)


async def test_the_socket_is_for_owner_and_group_only_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with serving(tmp_path) as folder:
        mode = (Path(folder) / "control.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
    assert not (tmp_path / "control.sock").exists()


async def test_a_second_daemon_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    async with serving(tmp_path) as folder:
        with pytest.raises(ControlError, match="another daemon"):
            ControlServer(Path(folder), HANDLERS).claim()
        assert (await ask(folder, "echo"))["pid"] == os.getpid()


def test_a_second_daemon_is_refused_from_the_moment_that_the_first_claimed(tmp_path: Path) -> None:
    first, second = ControlServer(tmp_path, HANDLERS), ControlServer(tmp_path, HANDLERS)
    first.claim()
    with pytest.raises(ControlError, match="another daemon"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_a_socket_on_which_somebody_listens_is_never_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(tmp_path / "control.sock"))
        foreign.listen()
        with pytest.raises(ControlError, match="another daemon"):
            ControlServer(tmp_path, HANDLERS).claim()


async def test_the_socket_of_a_daemon_that_was_killed_is_replaced(tmp_path: Path) -> None:
    code = f"""
import asyncio, os, pathlib
from tocsin.runtime.control import ControlServer
server = ControlServer(pathlib.Path({str(tmp_path)!r}), {{}})
server.claim()
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        while not server.path.exists():
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == -9
    assert (tmp_path / "control.sock").exists()
    async with serving(tmp_path) as folder:
        assert (await ask(folder, "echo"))["pid"] == os.getpid()


def test_a_directory_that_is_not_there_is_made_as_the_unit_would(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        server = ControlServer(tmp_path / "not" / "there", HANDLERS)
        server.claim()
    finally:
        os.umask(before)
    server.release()
    assert (tmp_path / "not" / "there").stat().st_mode & 0o777 == 0o755


def test_a_path_that_no_socket_can_have_is_refused_at_the_start(tmp_path: Path) -> None:
    for length, fits in ((107, True), (108, False)):
        folder = tmp_path / ("r" * (length - len(os.fsencode(tmp_path / "x/control.sock")) + 1))
        server = ControlServer(folder, HANDLERS)
        assert len(os.fsencode(server.path)) == length
        if fits:
            server.claim()
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(server.path))
            server.release()
        else:
            with pytest.raises(ControlError, match="set a shorter"):
                server.claim()


async def test_what_is_no_socket_in_its_place_is_told_and_survived(tmp_path: Path) -> None:
    (tmp_path / "control.sock" / "full").mkdir(parents=True)
    server = ControlServer(tmp_path, HANDLERS)
    server.claim()
    with pytest.raises(ControlError, match=r"control\.sock"):
        await server.serve()
    server.release()
    assert (tmp_path / "control.sock" / "full").exists()


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    server = ControlServer(tmp_path, HANDLERS)
    server.claim()
    server.release()
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_directory_that_cannot_be_used_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ControlError, match=f"{folder}: cannot be used: Not a directory; .*runtime_dir"):
            ControlServer(folder, HANDLERS).claim()


def test_only_root_the_owner_and_the_group_may_ask() -> None:
    def peer(uid: int, gid: int, *groups: int) -> Peer:
        return Peer(pid=1, uid=uid, gid=gid, groups=frozenset(groups))

    assert may_ask(peer(0, 0), owner=200, group=200)
    assert may_ask(peer(200, 999), owner=200, group=200)
    assert may_ask(peer(1000, 200), owner=200, group=200)
    assert may_ask(peer(1000, 1000, 27, 200), owner=200, group=200)
    assert not may_ask(peer(1000, 1000, 27), owner=200, group=200)


def test_the_kernel_names_the_supplementary_groups_of_a_peer() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        peer = peer_of(here)
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert peer.groups == frozenset(os.getgroups())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_a_stranger_is_denied_even_where_the_file_mode_would_let_him_in() -> None:
    code = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
stranger = socket.socket(socket.AF_UNIX); stranger.connect(sys.argv[1]); print(stranger.recv(4096).decode())
"""
    folder = Path("/tmp") / f"tocsin-test-{os.getpid()}"  # noqa: S108 - a stranger cannot enter pytest's folder
    folder.mkdir(mode=0o755)
    try:
        async with serving(folder):
            (folder / "control.sock").chmod(0o666)
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", code, str(folder / "control.sock")],
                capture_output=True,
                timeout=20,
                check=False,
            )
        assert json.loads(done.stdout)["error"]["code"] == "denied"
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def unanswering(folder: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "control.sock"))
    listener.listen()
    return listener


def test_a_client_tells_absent_dead_and_hung_apart(tmp_path: Path) -> None:
    def why() -> str:
        with pytest.raises(_client.Unreachable) as raised:
            _client.ask(str(tmp_path), "status", timeout_s=0.05)
        return raised.value.why

    assert why() == "absent"
    listener = unanswering(tmp_path)
    assert why() == "hung"
    listener.close()
    assert why() == "refused"


@pytest.mark.parametrize(
    "answer", [b"", b"no json\n", b"[]\n", b'{"ok": true}\n', b'{"ok": false}\n', b'{"v": 1, "ok": true, "resu']
)
def test_a_client_makes_nothing_of_an_answer_that_is_none(tmp_path: Path, answer: bytes) -> None:
    listener = unanswering(tmp_path)

    def serve_once() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    server = threading.Thread(target=serve_once)
    server.start()
    try:
        with pytest.raises(_client.Unreachable) as raised:
            _client.ask(str(tmp_path), "status", timeout_s=20)
        assert raised.value.why == "garbled"
    finally:
        server.join()
        listener.close()


def test_the_status_file_is_replaced_as_a_whole_and_readable_by_all(tmp_path: Path) -> None:
    old_mask = os.umask(0o077)
    try:
        file = StatusFile(tmp_path)
        file.write({"seq": 1})
        first = file.path.stat().st_ino
        file.write({"seq": 2})
    finally:
        os.umask(old_mask)
    assert json.loads(file.path.read_bytes()) == {"seq": 2, "pid": os.getpid()}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o644
    assert file.path.stat().st_ino != first
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []
