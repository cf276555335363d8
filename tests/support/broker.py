"""A real mosquitto on a free loopback port: plain, with users and an ACL, or with TLS and client certificates.

Without mosquitto the tests that need it are skipped with a clear message; where CI is set they fail instead.
"""

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import orjson
import pytest

from tocsin.mqtt.settings import BrokerSettings
from tocsin.secret import Secret

ROOT = "tocsin/v1/ams/host-a/"
CONFIGS = Path(__file__).parents[2] / "configs" / "mosquitto"
PASSWORD = "correct-horse-battery"
_TRIES = 400
_PAUSE_S = 0.025


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tool(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if path is None:
        message = f"{name} is not installed: apt-get install mosquitto openssl"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@dataclass(kw_only=True)
class Mosquitto:
    """One broker process; restarts keep the port."""

    folder: Path
    lines: tuple[str, ...] = ("allow_anonymous true",)
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    tls: bool = False
    user: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once it accepts connections."""
        config = self.folder / "mosquitto.conf"
        head = (f"user {getpass.getuser()}", f"listener {self.port} {self.host}", "log_type all")
        config.write_text("\n".join([*head, *self.lines, ""]))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_tool("mosquitto"), "-c", str(config)], stdout=log, stderr=log, cwd=self.folder
            )
        for _ in range(_TRIES):
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
                return
            time.sleep(_PAUSE_S)
        pytest.fail(f"mosquitto did not start: {self.log()}")

    def stop(self) -> None:
        """End it as an administrator would."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def freeze(self) -> None:
        """Stop it from answering; connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """Let it read its files anew."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        """Return what it wrote so far."""
        return (self.folder / "log").read_text(errors="replace")

    def settings(self, client_id: str = "tocsin-ams-host-a", **overrides: object) -> BrokerSettings:
        """Return how to reach it."""
        values: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "client_id": client_id,
            "tls": self.tls,
            "ca": self.ca,
            "cert": self.cert,
            "key": self.key,
            "user": self.user,
            "password": Secret(PASSWORD) if self.user else None,
            "will_delay_s": 1,
        }
        return BrokerSettings(**(values | overrides))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A message as a subscriber sees it."""

    topic: str
    payload: bytes
    retained: bool
    qos: int
    expiry_s: int | None
    content_type: str | None

    @property
    def data(self) -> dict[str, object]:
        """The data of its envelope."""
        data = orjson.loads(self.payload)["data"]
        assert isinstance(data, dict)
        return data


class Listener:
    """A subscriber that remembers all it heard."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.heard: list[Heard] = []

    async def until(self, topic: str, **data: object) -> Heard:
        """Return the first message, from now on or before, on a topic below the root with these data."""
        return await self.until_any(lambda one: one.topic == ROOT + topic and _matches(one, data))

    async def until_any(self, wanted: Callable[[Heard], bool]) -> Heard:
        """Return the first message, from now on or before, that is wanted."""
        for one in self.heard:
            if wanted(one):
                return one
        async for message in self.client.messages:
            one = _heard(message)
            self.heard.append(one)
            if wanted(one):
                return one
        raise AssertionError("the listener ended")

    def on(self, topic: str) -> list[Heard]:
        """Return everything heard so far on a topic below the root."""
        return [one for one in self.heard if one.topic == ROOT + topic]

    async def settle(self) -> None:
        """Return once everything that the broker had for us has come: our own marker comes last."""
        marker = f"marker/{os.urandom(6).hex()}"
        await self.client.subscribe(marker, qos=1)
        await self.client.publish(marker, b"", qos=1)
        await self.until_any(lambda one: one.topic == marker)


def _matches(one: Heard, data: dict[str, object]) -> bool:
    try:
        have = one.data
    except (ValueError, KeyError, AssertionError):
        return False
    return all(have.get(key) == value for key, value in data.items())


def _heard(message: aiomqtt.Message) -> Heard:
    properties = message.properties
    return Heard(
        topic=str(message.topic),
        payload=bytes(message.payload or b""),
        retained=message.retain,
        qos=message.qos,
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
        content_type=getattr(properties, "ContentType", None),
    )


def client_of(broker: Mosquitto, *, user: str | None = None, **options: object) -> aiomqtt.Client:
    """Return an independent client, as a subscriber would use one."""
    tls = aiomqtt.TLSParameters(str(broker.ca), str(broker.cert), str(broker.key)) if broker.tls else None
    return aiomqtt.Client(
        broker.host,
        broker.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        username=user,
        password=PASSWORD if user else None,
        tls_params=tls,
        **options,  # type: ignore[arg-type]
    )


@contextlib.asynccontextmanager
async def listening(
    broker: Mosquitto, topics: Sequence[str] = (ROOT + "#",), *, user: str | None = None
) -> AsyncIterator[Listener]:
    """Subscribe to topics for the length of a block."""
    async with client_of(broker, user=user) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)
        yield Listener(client)


async def retained(broker: Mosquitto, *, user: str | None = None) -> dict[str, bytes]:
    """Return what the broker retains now, by topic."""
    async with listening(broker, ["#"], user=user) as listener:
        await listener.settle()
        return {one.topic: one.payload for one in listener.heard if one.retained}


async def eventually(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; the test's own timeout bounds the wait."""
    while not condition():  # noqa: ASYNC110 - it may be anything, also of another process
        await asyncio.sleep(0.01)


@pytest.fixture
def mosquitto_installed() -> None:
    """Skip a test that starts a broker by itself where there is none, with the same message."""
    _tool("mosquitto")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Give an open broker without memory across restarts."""
    yield from _running(Mosquitto(folder=_folder(tmp_path)))


@pytest.fixture
def broker_acl(tmp_path: Path) -> Iterator[Mosquitto]:
    """Give a broker with the access list that we ship; `admin` may do all."""
    folder = _folder(tmp_path)
    users, acl = passwords(folder), folder / "acl"
    acl.write_text((CONFIGS / "acl").read_text() + "\nuser admin\ntopic readwrite #\n")
    acl.chmod(0o600)
    lines = ("allow_anonymous false", f"password_file {users}", f"acl_file {acl}")
    yield from _running(Mosquitto(folder=folder, lines=lines, user="tocsin"))


@pytest.fixture
def broker_tls(tmp_path: Path) -> Iterator[Mosquitto]:
    """Give a broker that speaks TLS only and wants a certificate of its own authority."""
    folder = _folder(tmp_path)
    certificates(folder)
    lines = (
        "allow_anonymous true",
        f"cafile {folder / 'ca.crt'}",
        f"certfile {folder / 'server.crt'}",
        f"keyfile {folder / 'server.key'}",
        "require_certificate true",
    )
    paths = {"ca": folder / "ca.crt", "cert": folder / "client.crt", "key": folder / "client.key"}
    yield from _running(Mosquitto(folder=folder, lines=lines, tls=True, **paths))


def passwords(folder: Path) -> Path:
    """Make a password file with the users of the access list that we ship, and `admin`."""
    users = folder / "passwords"
    for number, user in enumerate(("tocsin", "viewer", "operator", "pager", "admin")):
        create = ["-c"] if number == 0 else []
        command = [_tool("mosquitto_passwd"), "-b", *create, str(users), user, PASSWORD]
        subprocess.run(command, check=True, capture_output=True)
    users.chmod(0o600)
    return users


def certificates(folder: Path) -> None:
    """Make an authority and, signed by it, a certificate for the loopback addresses and one for a client."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    # Python 3.13 holds certificates to RFC 5280: an authority says that it is one.
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _openssl(
        folder, "req", "-x509", *curve, *usage, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test authority"
    )
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
    (folder / "names").write_text(f"{names}\nauthorityKeyIdentifier=keyid\n")
    for name in ("server", "client"):
        _openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signer)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run([_tool("openssl"), *arguments], cwd=folder, check=True, capture_output=True)


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "broker"
    folder.mkdir()
    return folder


def _running(broker: Mosquitto) -> Iterator[Mosquitto]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
