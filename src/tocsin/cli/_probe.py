"""What answers on this host: Ethereum nodes, beacon nodes, an MQTT broker. Standard library only, bounded in time.

Everything asked is read-only and asked once; what does not answer like what is looked for is not there.
"""

import http.client
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from tocsin.clock import NS, SystemClock

HOST: Final = "127.0.0.1"
TIMEOUT_S: Final = 2.0
MAX_ANSWER: Final = 4 * 1024 * 1024

RPC_PORTS: Final = (8545, 8547, 8645, 9545)
"""geth, reth, nethermind, besu and erigon use 8545; the others are where a second client is usually put."""
ENGINE_PORT: Final = 8551
"""Answers to consensus clients only (JWT); seen, it says that an execution client runs here."""
BEACON_PORTS: Final = (5052, 3500, 5051)
BROKER_PORT: Final = 1883

IPC_PATHS: Final = (
    "/var/lib/geth/geth.ipc",
    "/var/lib/goethereum/geth.ipc",
    "/data/geth/geth.ipc",
    "~/.ethereum/geth.ipc",
    "~/.ethereum/sepolia/geth.ipc",
    "~/.ethereum/hoodi/geth.ipc",
    "/tmp/geth.ipc",  # noqa: S108 - where these clients put it
    "/tmp/reth.ipc",  # noqa: S108
    "/tmp/anvil.ipc",  # noqa: S108
    "/var/lib/besu/besu.ipc",
    "~/.besu/besu.ipc",
    "/var/lib/nethermind/nethermind.ipc",
)

_CALLS: Final[tuple[tuple[str, list[Any]], ...]] = (
    ("eth_chainId", []),
    ("web3_clientVersion", []),
    ("eth_getBlockByNumber", ["latest", False]),
)
_SPAN: Final = 100
"""Blocks over which the time between two is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNode:
    """A node that answered. `block_time_s` is None where it has too few blocks to measure."""

    url: str
    chain_id: int
    version: str
    head: int
    block_time_s: float | None
    ws: str | None = None

    @property
    def client(self) -> str:
        """The family by the version string: `Geth/v1.16...` is geth."""
        return self.version.partition("/")[0].strip().lower() or "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBroker:
    """A broker that answered an anonymous MQTT 5 CONNECT. `reason` is its reason code, 0 for welcome."""

    url: str
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found."""

    nodes: tuple[FoundNode, ...]
    beacons: tuple[str, ...]
    engine: bool
    broker: FoundBroker | None


def discover(
    *,
    rpc_ports: Iterable[int] = RPC_PORTS,
    ipc_paths: Iterable[str] = IPC_PATHS,
    beacon_ports: Iterable[int] = BEACON_PORTS,
    engine_port: int = ENGINE_PORT,
    broker_port: int = BROKER_PORT,
) -> Found:
    """Ask every place once. IPC paths are absolute; a node that HTTP has shown already is not listed again."""
    nodes: list[FoundNode] = []
    for port in rpc_ports:
        nodes += _node(f"http://{HOST}:{port}", partial(_http, port, "/"), port)
    for path in ipc_paths:
        for node in _node(f"ipc://{path}", partial(_ipc, path)):
            if (node.chain_id, node.version) not in {(known.chain_id, known.version) for known in nodes}:
                nodes.append(node)
    return Found(
        nodes=tuple(nodes),
        beacons=tuple(f"http://{HOST}:{port}" for port in beacon_ports if _is_beacon(port)),
        engine=_listens(engine_port),
        broker=_broker(broker_port),
    )


def _node(url: str, post: Callable[[bytes], bytes | None], port: int | None = None) -> list[FoundNode]:
    """Return the node at `url`, if there is one. Its websocket is on the same port or, as clients do it, the next."""
    answers = [_result(post(_request(method, params))) for method, params in _CALLS]
    chain_id, version, head = answers
    if not isinstance(head, dict):
        return []
    number, stamp, identity = _quantity(head.get("number")), _quantity(head.get("timestamp")), _quantity(chain_id)
    if number is None or stamp is None or not identity:
        return []
    before = number - min(number, _SPAN)
    earlier = _result(post(_request("eth_getBlockByNumber", [hex(before), False])))
    since = _quantity(earlier.get("timestamp")) if isinstance(earlier, dict) else None
    blocks = number - max(before, 1)  # the stamp of block 0 may be any
    measurable = since is not None and blocks >= _SPAN // 2 and stamp > since
    return [
        FoundNode(
            url=url,
            chain_id=identity,
            version=version if isinstance(version, str) else "",
            head=number,
            block_time_s=(stamp - since) / (number - before) if measurable and since is not None else None,
            ws=next((f"ws://{HOST}:{one}" for one in (port, port + 1) if _upgrades(one)), None) if port else None,
        )
    ]


def _request(method: str, params: list[Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def _result(body: bytes | None) -> Any:
    try:
        answer = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None
    return answer.get("result") if isinstance(answer, dict) else None


def _quantity(value: object) -> int | None:
    try:
        return int(value, 16) if isinstance(value, str) else None
    except ValueError:
        return None


def _http(port: int, path: str, body: bytes | None) -> bytes | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    headers: Mapping[str, str] = {"Content-Type": "application/json"} if body else {}
    try:
        connection.request("POST" if body else "GET", path, body, dict(headers))
        return connection.getresponse().read(MAX_ANSWER)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _is_beacon(port: int) -> bool:
    try:
        answer = json.loads(_http(port, "/eth/v1/node/version", None) or b"null")
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and isinstance(answer.get("data"), dict) and "version" in answer["data"]


def _upgrades(port: int) -> bool:
    """Return whether a websocket handshake succeeds (RFC 6455, section 4.1; the key is that of its example)."""
    request = (
        f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return _exchange((HOST, port), request.encode(), lambda got: b"\r\n" in got).startswith(b"HTTP/1.1 101")


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _broker(port: int) -> FoundBroker | None:
    """Send an MQTT 5 CONNECT without a user; the CONNACK is type 2, its fourth byte the reason code (MQTT 5, 3.2)."""
    client_id = b"tocsin-init"
    rest = b"\x00\x04MQTT\x05\x02\x00\x0a\x00" + len(client_id).to_bytes(2, "big") + client_id
    answer = _exchange((HOST, port), b"\x10" + bytes([len(rest)]) + rest, lambda got: len(got) >= 4)  # noqa: PLR2004
    if len(answer) < 4 or answer[0] != 0x20:  # noqa: PLR2004
        return None
    return FoundBroker(url=f"mqtt://{HOST}:{port}", reason=answer[3])


def _ipc(path: str, body: bytes) -> bytes | None:
    return _exchange(path, body + b"\n", _is_json) or None


def _is_json(got: bytes) -> bool:
    try:
        json.loads(got)
    except (ValueError, RecursionError):
        return False
    return True


def _exchange(address: str | tuple[str, int], request: bytes, complete: Callable[[bytes], bool]) -> bytes:
    """Send bytes and return what comes until it is `complete`, the peer ends or the time is over."""
    clock = SystemClock()
    end_ns = clock.monotonic_ns() + int(TIMEOUT_S * NS)
    got = b""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as line:
        try:
            line.settimeout(TIMEOUT_S)
            line.connect(address)
            line.sendall(request)
            while not complete(got) and len(got) < MAX_ANSWER:
                line.settimeout(max(0.001, (end_ns - clock.monotonic_ns()) / NS))
                chunk = line.recv(1 << 20)
                if not chunk:
                    break
                got += chunk
        except OSError:
            return got
    return got
