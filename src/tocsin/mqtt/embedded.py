"""A broker for the demo: on loopback, on a free port, gone with its owner.

mosquitto where it is installed; else rumqttd, which the wheel `iotcore` (extra `demo`) carries. Neither keeps anything.
"""

import asyncio
import contextlib
import getpass
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tocsin.errors import BrokerError

HOST: Final = "127.0.0.1"
_PATH: Final = os.pathsep.join((os.defpath, "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))
"""Debian keeps mosquitto in a folder that a user's PATH does not name."""
_TRIES: Final = 200
_PAUSE_S: Final = 0.05
_STOP_S: Final = 5.0

_MOSQUITTO: Final = """\
listener {port} {host}
allow_anonymous true
persistence false
user {user}
log_dest stderr
"""
_RUMQTTD: Final = """\
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "demo"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedBroker:
    """A running broker."""

    name: str
    """`mosquitto` or `iotcore`."""
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://{HOST}:{self.port}"


def available() -> tuple[str, ...]:
    """Return which brokers can be started on this host, the better one first."""
    return tuple(
        name
        for name, there in (
            ("mosquitto", _mosquitto() is not None),
            ("iotcore", importlib.util.find_spec("iotcore") is not None),
        )
        if there
    )


@contextlib.asynccontextmanager
async def embedded_broker(folder: Path, *, name: str, through: Sequence[str] = ()) -> AsyncIterator[EmbeddedBroker]:
    """Run a broker for the length of a block; its configuration and log go to `folder`.

    `name` is one of `available`. `through` is a command that makes room for it and becomes it. Raises BrokerError when
    it is not on this host, or does not come up.
    """
    if name not in available():
        raise BrokerError(f"there is no {name} on this host: apt-get install mosquitto, or pip install 'tocsin[demo]'")
    port = _free_port()
    command = _mosquitto_command(folder, port) if name == "mosquitto" else _iotcore_command(folder, port)
    process = await _start([*through, *command], folder)
    try:
        await _until_it_listens(process, port, name, folder)
        yield EmbeddedBroker(name=name, port=port)
    finally:
        await _stop(process)


def _mosquitto_command(folder: Path, port: int) -> list[str]:
    config = folder / "mosquitto.conf"
    config.write_text(_MOSQUITTO.format(port=port, host=HOST, user=getpass.getuser()))
    return [str(_mosquitto()), "-c", str(config)]


def _iotcore_command(folder: Path, port: int) -> list[str]:
    config = folder / "rumqttd.toml"
    config.write_text(_RUMQTTD.format(port=port, host=HOST))
    return [sys.executable, "-m", "iotcore", "--config", str(config)]


async def _start(command: Sequence[str], folder: Path) -> asyncio.subprocess.Process:
    with (folder / "broker.log").open("wb") as log:
        # In a session of its own: a Ctrl-C at the terminal is for its owner, who ends it when it is needed no more.
        return await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


async def _until_it_listens(process: asyncio.subprocess.Process, port: int, name: str, folder: Path) -> None:
    for _ in range(_TRIES):
        if process.returncode is not None:
            break
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return
        await asyncio.sleep(_PAUSE_S)
    raise BrokerError(f"{name} did not start; see {folder / 'broker.log'}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_PATH)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
