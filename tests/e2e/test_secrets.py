"""Canaries: no secret of the configuration comes out anywhere, whatever nodes, brokers and exceptions say aloud.

The daemon runs at DEBUG. One node answers with its own URL and headers in errors of every shape, one redirects to them,
one makes our own code fail with them in the text; the broker repeats the password in its refusal.
"""

import asyncio
import contextlib
import struct
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import pytest
from tests.support.broker import PASSWORD, Mosquitto
from tests.support.canaries import CANARIES, files_in, found_in, leaks, unpacked
from tests.support.fleet import CHAIN_ID, QUICK
from tests.support.watchdog import CALM, NodeAt, Subscriber, Watchdog, eventually, mqtt_of, subscribed, toml, watchdog

from tocsin.clock import MS, SystemClock
from tocsin.testing import ChainSpec, FaultProxy, SimChain, SimNode, serve_nodes
from tocsin.testing.faults import EchoSecrets, Fault, Lie, NotAnAnswer, Redirect

WELL = ("quiet", "ws")
SICK = ("echo", "echo401", "redirect", "garbage", "result", "extra")
NODES = (*WELL, *SICK, "raising")

RAISING = """
import asyncio, sys
from tocsin.cli.main import run
from tocsin.rpc import session

asked = session.Session.ask

async def ask(self, calls, **options):
    if self.endpoint.node == "raising":
        url, key = self.endpoint.url.reveal(), self.endpoint.headers[0][1].reveal()
        asyncio.get_running_loop().call_soon(boom, url)
        try:
            raise ValueError(f"a header {key}")
        except ValueError as cause:
            raise RuntimeError(f"cannot ask {url}") from cause
    return await asked(self, calls, **options)

def boom(url):
    raise OSError(f"no way to {url}")

session.Session.ask = ask
sys.exit(run(sys.argv[1:]))
"""

OPEN = "import tocsin.secret\ntocsin.secret._remember = lambda *values: None\n"
"""Takes the last net away: nothing is known to be a secret."""


@contextlib.asynccontextmanager
async def talkative_nodes() -> AsyncIterator[FaultProxy]:
    chain = SimChain(SystemClock(), ChainSpec(chain_id=CHAIN_ID, slot_ns=200 * MS))
    async with (
        serve_nodes(*(SimNode(chain, name=name) for name in NODES)) as served,
        FaultProxy({name: listener.url for name, listener in served.items()}) as proxy,
    ):
        yield proxy


def secret_url(proxy: FaultProxy, name: str, *, scheme: str = "http") -> str:
    host = urlsplit(proxy.url(name)).netloc
    user = f"{CANARIES['user']}:{CANARIES['password']}%40{CANARIES['odd']}"
    key = CANARIES["websocket" if scheme == "ws" else "path"]
    return f"{scheme}://{user}@{host}/v3/{key}/?apikey={CANARIES['query']}%2F{CANARIES['odd']}"


def environ_of(proxy: FaultProxy) -> dict[str, str]:
    urls = {f"URL_{name.upper()}": secret_url(proxy, name) for name in proxy.names}
    return {
        **urls,
        "WS": secret_url(proxy, "ws", scheme="ws"),
        "WS_DEAD": secret_url(proxy, "ws", scheme="ws").replace(urlsplit(proxy.url("ws")).netloc, "127.0.0.1:9"),
        "KEY": CANARIES["header"],
        "BEARER": f"Bearer {CANARIES['bearer']}",
        "BROKER_PASSWORD": CANARIES["broker"],
    }


def config_of(folder: Path, broker: str) -> str:
    keys = 'headers = { X-Api-Key = { env = "KEY" } }'
    more = dict.fromkeys(NODES, keys) | {
        "ws": f'{keys}\nws = {{ env = "WS" }}',
        "quiet": f'{keys}\nws = {{ env = "WS_DEAD" }}',
        "echo401": 'headers = { Authorization = { env = "BEARER" } }',  # in the place of user and password
    }
    # All that are sick are one vote, so that the others still make a quorum.
    providers = {name: name if name in WELL else "sick" for name in NODES}
    nodes = {name: NodeAt(url="@", provider=providers[name], own=True, more=more[name]) for name in NODES}
    text = toml(folder, nodes, broker=broker, chain=QUICK, more=CALM + '[journal]\nsegment = "2s"\n')
    for name in NODES:
        text = text.replace('url = "@"', f'url = {{ env = "URL_{name.upper()}" }}', 1)
    return text


def shouted(values: list[str]) -> str:
    return " ".join(each for value in values for each in (value, quote(value, safe="")))


def secrets(*names: str) -> list[str]:
    """Return what is configured, each as a whole; those that every node has, and the named ones or all."""
    whole = [CANARIES[name] for name in names or ("user", "path", "header", "bearer", "websocket")]
    return [*whole, f"{CANARIES['password']}@{CANARIES['odd']}", f"{CANARIES['query']}/{CANARIES['odd']}"]


def faults_of(proxy: FaultProxy) -> dict[str, Fault]:
    aloud = shouted(secrets())
    # A result is held against the secrets of the node that it comes from: it was sent no others.
    own = shouted(secrets("user", "path", "header"))
    return {
        "echo": EchoSecrets(),
        "echo401": EchoSecrets(status=401),
        "redirect": Redirect(location=secret_url(proxy, "redirect")),
        "result": Lie(tell=lambda _truth, _call: f"no block for {own}"),
        # Sound but for a field of its own: what nobody knows how to hash is believed, and kept.
        "extra": Lie(tell=lambda truth, _: {**truth, "via": own} if isinstance(truth, dict) else truth),
        "garbage": NotAnAnswer(text=f"<html>{aloud} {secret_url(proxy, 'garbage')}</html>"),
    }


class EchoingBroker:
    """Speaks enough MQTT 5 to refuse a connect with the password in the reason."""

    def __init__(self) -> None:
        self.heard = b""
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["EchoingBroker"]:
        server = await asyncio.start_server(self._refuse, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += await reader.read(65_536)
        said = f"bad password {CANARIES['broker']} for user tocsin".encode()
        properties = b"\x1f" + struct.pack(">H", len(said)) + said  # Reason String, MQTT 5.0 3.2.2.3.9
        body = b"\x00\x86" + bytes([len(properties)]) + properties  # bad user name or password
        writer.write(b"\x20" + bytes([len(body)]) + body)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()


async def everything(daemon: Watchdog, heard: Subscriber | None, *only: str) -> dict[str, list[bytes]]:
    """Return all that came out, by where it did; of commands only some where they are named."""
    config = ("--config", str(daemon.config))
    recording = daemon.folder / "out.rec"
    commands = {
        "status": ("status", *config),
        "status --json": ("status", "--json", *config),
        "check": ("check", *config),
        "config show": ("config", "show", *config),
        "config check": ("config", "check", *config),
        "events tail": ("events", "tail", *config),
        "events tail --json": ("events", "tail", "--json", *config),
        "doctor": ("doctor", *config),
        "doctor --json": ("doctor", "--json", *config),
        "record": ("record", str(recording), "--last", "1h", *config),
        "replay": ("replay", str(recording)),
        "replay --retained": ("replay", str(recording), "--retained"),
    }
    places: dict[str, list[bytes]] = {
        "control socket": [repr(await daemon.status()).encode()],
        "status file": [(daemon.runtime_dir / "status.json").read_bytes()],
    }
    chosen = [name for name in commands if not only or name in only]
    first = [name for name in chosen if not name.startswith("replay")]
    for names in (first, [name for name in chosen if name not in first]):  # a replay needs what was recorded
        said = await asyncio.gather(*(daemon.command(*commands[name]) for name in names))
        places |= {name: [one.out.encode(), one.err.encode()] for name, one in zip(names, said, strict=True)}
        assert not [one for one in said if "Traceback" in one.err]
    await daemon.stop()
    sealed = [path for path in (daemon.state_dir / "journal").iterdir() if path.suffix == ".tsj"]
    return {
        **places,
        "log": [daemon.log(life).encode() for life in range(1, daemon.lives + 1)],
        "state directory": list(files_in(daemon.state_dir)),
        "journal": [piece for segment in sealed for piece in unpacked(segment)],
        "recording": [recording.read_bytes(), *unpacked(recording)] if recording.exists() else [],
        "MQTT": [piece for one in (heard.heard if heard else ()) for piece in (one.topic.encode(), one.payload)],
    }


async def rehearse(daemon: Watchdog, proxy: FaultProxy, *, code: str) -> None:
    """Live through every way of saying a secret aloud."""
    for name, fault in faults_of(proxy).items():
        await proxy.node(name).set(fault)
    daemon.start(log_level="debug", code=code)
    await daemon.watching()
    silent = set(SICK) - {"extra"}
    await daemon.until_status(
        lambda now: silent <= {alert["labels"].get("node", "").removeprefix("ams.") for alert in now["alerts"]},
        "the sick nodes are told of",
    )
    status_file = daemon.runtime_dir / "status.json"
    await eventually(lambda: status_file.read_bytes().count(b"unreachable") > len(silent), "the file tells of them too")
    await eventually(lambda: "no way to " in daemon.log() and "a header " in daemon.log(), "exceptions are logged")
    journal = daemon.state_dir / "journal"
    sealed = len(list(journal.glob("*.tsj")))
    # The one that was open meanwhile, and the one behind it.
    await eventually(lambda: len(list(journal.glob("*.tsj"))) > sealed + 1, "what was said lies in sealed segments")


@pytest.mark.parametrize("name", CANARIES)
def test_a_canary_is_found_in_every_form(name: str) -> None:
    canary = CANARIES[name]
    for before in ("", "x", "xy", "user:"):
        assert name in found_in(b64encode(f"{before}{canary} and more".encode()))
    assert found_in(quote_plus(f"/{canary}?").encode()) == {name}
    assert found_in(b"nothing") == set()


@pytest.fixture
def locked_broker(broker_acl: Mosquitto) -> Mosquitto:
    """Give the broker with users and an ACL that lets us write the event stream only."""
    acl = broker_acl.folder / "acl"
    acl.write_text(
        acl.read_text().replace("topic write tocsin/v1/ams/host-a/#", "topic write tocsin/v1/ams/host-a/event/#")
    )
    broker_acl.reload()
    return broker_acl


async def test_no_secret_comes_out_anywhere(tmp_path: Path, locked_broker: Mosquitto) -> None:
    async with talkative_nodes() as proxy, subscribed(locked_broker, user="admin") as heard:
        environ = environ_of(proxy) | {"BROKER_PASSWORD": PASSWORD}
        async with watchdog(tmp_path, config_of(tmp_path, mqtt_of(locked_broker)), environ=environ) as daemon:
            await rehearse(daemon, proxy, code=RAISING)
            await daemon.until_status(lambda now: now["broker"]["state"] == "refused", "the ACL refuses topics")
            found = leaks(await everything(daemon, heard))
    assert found == {}
    assert len(heard.events) >= 4


async def test_a_broker_that_repeats_the_password_gets_it_into_no_message(tmp_path: Path) -> None:
    async with talkative_nodes() as proxy, EchoingBroker().serving() as broker:
        mqtt = f'url = "mqtt://127.0.0.1:{broker.port}"\nuser = "tocsin"\npassword = {{ env = "BROKER_PASSWORD" }}\n'
        async with watchdog(tmp_path, config_of(tmp_path, mqtt), environ=environ_of(proxy)) as daemon:
            daemon.start(log_level="debug")
            await daemon.watching()
            status = await daemon.until_status(lambda now: now["broker"]["state"] == "down", "the broker refuses")
            assert "not" in status["broker"]["detail"] or "bad" in status["broker"]["detail"]
            await eventually(lambda: CANARIES["broker"].encode() in broker.heard, "the password reached the broker")
            found = leaks(await everything(daemon, None, "status", "doctor"))
    assert found == {}


async def test_the_canaries_would_be_found_if_nothing_were_redacted(tmp_path: Path, broker: Mosquitto) -> None:
    async with talkative_nodes() as proxy, subscribed(broker) as heard:
        text = config_of(tmp_path, mqtt_of(broker))
        async with watchdog(tmp_path, text, environ=environ_of(proxy)) as daemon:
            await rehearse(daemon, proxy, code=OPEN + RAISING)
            found = leaks(await everything(daemon, heard, "status", "record", "replay"))
    assert {
        "log",
        "control socket",
        "status file",
        "status",
        "journal",
        "recording",
        "replay",
        "MQTT",
    } <= found.keys()
    assert {"path", "query", "bearer", "header"} <= set().union(*found.values())
