"""TLS with our own authority and a client certificate; what is wrong is said without the URL."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.rpcserver import endpoint, engine_clock, serving

from tocsin.clock import SystemClock
from tocsin.model.observation import CHAIN_ID, LATEST, FaultKind
from tocsin.rpc.resolver import Resolver
from tocsin.rpc.session import Session

CALLS = (CHAIN_ID, LATEST)
Certs = dict[str, Any]
EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n"


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(folder: Path, name: str) -> tuple[Path, Path]:
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        cert,
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    return key, cert


def signed(folder: Path, name: str, by: tuple[Path, Path], *, days: int = 2) -> tuple[Path, Path]:
    key, request, cert, extra = (folder / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
    extra.write_text(EXTENSIONS)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    openssl(
        *("x509", "-req", "-in", request, "-CA", by[1], "-CAkey", by[0], "-CAcreateserial", "-out", cert),
        *("-days", days, "-extfile", extra),
    )
    return key, cert


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    folder = tmp_path_factory.mktemp("certs")
    ca = authority(folder, "ca")
    encrypted = folder / "encrypted.key"
    client = signed(folder, "client", ca)
    openssl("rsa", "-aes256", "-passout", "pass:secret", "-in", client[0], "-out", encrypted)
    return {
        "ca": ca,
        "other": authority(folder, "other"),
        "server": signed(folder, "server", ca),
        "expired": signed(folder, "expired", ca, days=-1),
        "client": client,
        "encrypted": encrypted,
    }


def server_context(certs: Certs, which: str = "server", *, client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs[which][1], certs[which][0])
    if client:
        context.load_verify_locations(certs["ca"][1])
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def session_to(node: Any, **changes: Any) -> AsyncIterator[Session]:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # the server's side of refused handshakes
    values = {key: str(value) for key, value in changes.items()}
    session = Session(
        endpoint(f"https://localhost:{node.port}/secretpath", **values),
        clock=engine_clock(),
        resolver=Resolver(SystemClock()),
    )
    try:
        yield session
    finally:
        await session.close()
        await asyncio.sleep(0.05)


async def test_a_node_behind_our_own_authority_answers(certs: Certs) -> None:
    async with serving(tls=server_context(certs)) as node, session_to(node, ca=certs["ca"][1]) as session:
        assert (await session.ask(CALLS)).fault is None
        assert (await session.ask(CALLS)).fault is None
        assert node.connections == 1
        assert "accept-encoding: gzip" in node.requests[0].head.lower()


async def test_a_client_certificate_is_shown(certs: Certs) -> None:
    async with serving(tls=server_context(certs, client=True)) as node:
        key, cert = certs["client"]
        async with session_to(node, ca=certs["ca"][1], cert=cert, key=key) as session:
            assert (await session.ask(CALLS)).fault is None
        async with session_to(node, ca=certs["ca"][1]) as session:
            assert (await session.ask(CALLS)).fault.kind in {FaultKind.TLS, FaultKind.RESET}


@pytest.mark.parametrize(
    ("which", "settings", "says"),
    [
        ("server", {"ca": "other"}, "certificate"),
        ("server", {}, "certificate"),
        ("expired", {"ca": "ca"}, "expired"),
    ],
)
async def test_a_certificate_that_does_not_hold_is_a_tls_fault(
    certs: Certs, which: str, settings: Any, says: str
) -> None:
    files = {key: certs[name][1] for key, name in settings.items()}
    async with serving(tls=server_context(certs, which)) as node, session_to(node, **files) as session:
        fault = (await session.ask(CALLS)).fault
    assert fault.kind is FaultKind.TLS
    assert says in fault.detail
    assert "secretpath" not in fault.detail


class _Plain(asyncio.Protocol):
    """A port that speaks plain HTTP and answers at the first byte that it does not understand."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        self._transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[attr-defined]


async def test_a_port_without_tls_is_called_that(certs: Certs) -> None:
    server = await asyncio.get_running_loop().create_server(_Plain, "127.0.0.1", 0)
    async with server:
        where = SimpleNamespace(port=server.sockets[0].getsockname()[1])
        async with session_to(where, ca=certs["ca"][1]) as session:
            fault = (await session.ask(CALLS)).fault
    assert fault.kind is FaultKind.TLS
    assert "speaks no TLS" in fault.detail


async def test_missing_and_encrypted_files_are_faults_and_never_a_question_at_the_terminal(certs: Certs) -> None:
    async with serving(tls=server_context(certs)) as node:
        async with session_to(node, ca="/nonexistent/ca.pem") as session:
            fault = (await session.ask(CALLS)).fault
            assert fault.kind is FaultKind.TLS
            assert "/nonexistent/ca.pem): No such file" in fault.detail
        async with session_to(node, ca=certs["ca"][1], cert=certs["client"][1], key=certs["encrypted"]) as session:
            assert (await session.ask(CALLS)).fault.kind is FaultKind.TLS


async def test_a_renewed_certificate_is_read_without_a_restart(certs: Certs, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certs["other"][1].read_bytes())
    async with serving(tls=server_context(certs)) as node, session_to(node, ca=ca) as session:
        assert (await session.ask(CALLS)).fault.kind is FaultKind.TLS
        ca.write_bytes(certs["ca"][1].read_bytes())
        assert (await session.ask(CALLS)).fault is None


async def test_plain_http_where_tls_is_expected_is_a_tls_fault(certs: Certs) -> None:
    async with serving() as node, session_to(node, ca=certs["ca"][1]) as session:
        fault = (await session.ask(CALLS, timeout_ns=500_000_000)).fault
        assert fault.kind in {FaultKind.TLS, FaultKind.RESET, FaultKind.TIMEOUT}
