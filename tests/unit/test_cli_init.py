"""`tocsin init` against real servers: what it finds, and that what it writes loads."""

import asyncio
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.anvil import running_anvil
from tests.support.broker import Mosquitto
from tests.support.thishost import doctors_codes

from tocsin.cli import _probe, init
from tocsin.cli._probe import Found, FoundBroker, FoundNode
from tocsin.clock import SystemClock
from tocsin.config.load import Loaded, load
from tocsin.config.registry import registry_of
from tocsin.detect import REGISTRY
from tocsin.testing.simchain import SimChain
from tocsin.testing.simnode import SimNode, serve_nodes

NOTHING = Found(nodes=(), beacons=(), engine=False, broker=None)


def nowhere() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def look(*ports: int, ipc: tuple[str, ...] = (), broker: int = 0) -> Found:
    return _probe.discover(
        rpc_ports=ports,
        ipc_paths=ipc,
        beacon_ports=ports,
        engine_port=nowhere(),
        broker_port=broker or nowhere(),
    )


def loaded(folder: Path, found: Found) -> Loaded:
    file = folder / "tocsin.toml"
    file.write_text(init.configuration(found, site="local", name="host-a", folders=(str(folder), str(folder))))
    return load(file, registry=registry_of(REGISTRY), environ={})


def node(
    url: str = "http://127.0.0.1:8545", chain_id: int = 1, version: str = "Geth/v1.16.4-stable/linux"
) -> FoundNode:
    return FoundNode(url=url, chain_id=chain_id, version=version, head=1000, block_time_s=2.0)


async def test_a_node_with_websockets_is_found_and_measured() -> None:
    chain = SimChain(SystemClock())
    async with serve_nodes(SimNode(chain, client="Geth/v1.16.4")) as listeners:
        port = int(listeners["sim"].url.rpartition(":")[2].strip("/"))
        found = await asyncio.to_thread(look, port, nowhere())
    (one,) = found.nodes
    assert one.url == f"http://127.0.0.1:{port}"
    assert one.ws == f"ws://127.0.0.1:{port}"
    assert (one.chain_id, one.client) == (chain.spec.chain_id, "geth")
    assert found.beacons == ()


async def test_a_real_node_is_found_once_though_it_answers_on_two_sockets(anvil_binary: str, tmp_path: Path) -> None:
    path = str(tmp_path / "node.ipc")
    async with running_anvil(anvil_binary, "--ipc", path) as anvil:
        port = int(anvil.url.rpartition(":")[2])
        await anvil.mine(120, apart_s=3)
        both = await asyncio.to_thread(look, port, ipc=(path,))
        only_ipc = await asyncio.to_thread(look, nowhere(), ipc=(path,))
    assert [(one.url, one.client, one.block_time_s) for one in both.nodes] == [(anvil.url, "anvil", 3.0)]
    assert [one.url for one in only_ipc.nodes] == [f"ipc://{path}"]
    chain = loaded(tmp_path, only_ipc).settings.chains[0]
    assert (chain.id, chain.nodes[0].client) == (31337, "anvil")


def test_a_broker_that_speaks_mqtt_5_is_found(broker: Mosquitto) -> None:
    assert look(broker=broker.port).broker == FoundBroker(url=f"mqtt://127.0.0.1:{broker.port}", reason=0)


def test_a_broker_that_wants_a_user_is_found_and_said_to(broker_acl: Mosquitto) -> None:
    found = look(broker=broker_acl.port)
    assert found.broker is not None
    assert found.broker.reason != 0
    assert any("wants a user" in line for line in init.findings(found))


async def test_what_answers_nonsense_is_not_there() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"[[')
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await asyncio.to_thread(look, port, broker=port)
    assert (found.nodes, found.beacons, found.broker) == ((), (), None)


@pytest.mark.parametrize(
    "found",
    [
        NOTHING,
        Found(nodes=(node(),), beacons=(), engine=True, broker=None),
        Found(
            nodes=(
                node(),
                node("http://127.0.0.1:8547"),
                node("http://127.0.0.1:8645", 8453),
                node("ipc:///a/b.ipc", 7),
            ),
            beacons=("http://127.0.0.1:5052",),
            engine=False,
            broker=FoundBroker(url="mqtt://127.0.0.1:1883", reason=0),
        ),
        Found(nodes=(), beacons=(), engine=False, broker=FoundBroker(url="mqtt://127.0.0.1:1883", reason=0x87)),
    ],
)
def test_whatever_was_found_the_configuration_loads_and_has_it(tmp_path: Path, found: Found) -> None:
    settings = loaded(tmp_path, found)
    nodes = [one for chain in settings.settings.chains for one in chain.nodes]
    assert len(nodes) == max(1, len(found.nodes))
    assert all(one.own for one in nodes)
    assert {chain.id for chain in settings.settings.chains} == ({one.chain_id for one in found.nodes} or {1})
    assert (settings.tree.mqtt is not None) == (found.broker is not None and found.broker.reason == 0)


@given(version=st.text(), chain_id=st.integers(min_value=1, max_value=2**62))
def test_a_node_may_call_itself_anything(tmp_path_factory: pytest.TempPathFactory, version: str, chain_id: int) -> None:
    found = Found(nodes=(node(version=version, chain_id=chain_id),) * 2, beacons=(), engine=False, broker=None)
    assert len(loaded(tmp_path_factory.mktemp("config"), found).settings.chains[0].nodes) == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.04, "12s"), (2.0, "2s"), (1.0, "1000ms"), (0.45, "450ms"), (0.25, "250ms"), (0.001, "10ms")],
)
def test_block_times_are_written_as_durations(seconds: float, text: str) -> None:
    assert init.duration(seconds) == text


def test_root_gets_the_systems_folders_and_others_their_own() -> None:
    assert init.folders({}, 0) == ("/var/lib/tocsin", "/run/tocsin")
    assert init.folders({"HOME": "/h"}, 7) == ("/h/.local/state/tocsin", "/h/.local/state/tocsin/run")
    assert init.folders({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/s"}, 7) == (
        "/s/tocsin",
        "/run/user/7/tocsin",
    )


def tocsin(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    first = tocsin(tmp_path, "init", "--site", "ams", "--name", "host-a")
    assert (first.returncode, "tocsin run" in first.stdout) == (0, True)
    file = tmp_path / "tocsin.toml"
    assert 'site = "ams"' in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    file.write_text("mine")
    refused = tocsin(tmp_path, "init")
    assert (refused.returncode, file.read_text()) == (1, "mine")
    assert "--force" in refused.stderr
    assert tocsin(tmp_path, "init", "--force").returncode == 0
    assert file.read_text() != "mine"


def test_what_it_says_to_type_next_is_this_very_program_and_runs(tmp_path: Path) -> None:
    program = installed(tmp_path / "bin")
    file = tmp_path / "my configuration.toml"
    said = subprocess.run(
        [program, "init", str(file)], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout
    steps = [line for line in said.partition("Next:\n")[2].splitlines() if line]
    typed = [shlex.split(re.split(r" {3,}", step.strip())[0]) for step in steps]
    assert {found.end() for step in steps if (found := re.search(r"\S {3,}", step))} == {max(map(column, steps))}
    assert [words[1] for words in typed if words[0] == program] == ["config", "doctor", "run", "status"]
    for words in typed:
        if words[0] == program and "run" not in words:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            codes = {"config": {0}, "doctor": doctors_codes(), "status": {3}}
            assert done.returncode in codes[words[1]], done.stderr


def column(step: str) -> int:
    return len(step) - len(re.split(r" {3,}", step)[-1])


def installed(folder: Path) -> str:
    """Return a program as pip makes it, in a folder that no PATH names."""
    folder.mkdir()
    program = folder / "tocsin"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom tocsin.__main__ import main\nsys.exit(main())\n")
    program.chmod(0o755)
    return str(program)


def test_print_touches_no_file_and_gives_a_configuration_on_standard_output(tmp_path: Path) -> None:
    done = tocsin(tmp_path, "init", "--print")
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "tocsin.toml").write_text(done.stdout)
    assert load(tmp_path / "tocsin.toml", registry=registry_of(REGISTRY), environ={}).settings.chains


def test_a_name_that_cannot_be_one_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    for words in (("--site", "Am Stadt"), ("--name", "")):
        assert tocsin(tmp_path, "init", *words).returncode == 3
    assert list(tmp_path.iterdir()) == []


def test_the_longest_names_stay_apart_and_short_enough() -> None:
    taken: set[str] = set()
    for _ in range(12):
        taken.add(init._unique("n" * 64, taken))
    assert len(taken) == 12
    assert max(map(len, taken)) <= 64
