"""The host as it is: real file systems, a real process in the place of systemctl, real TLS handshakes."""

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_rpc_tls import Certs, certs, server_context
from tests.support.rpcserver import serving

from tocsin.clock import MS, NS, SystemClock
from tocsin.model.host import CertificateSample
from tocsin.rpc.certificate import look
from tocsin.rpc.endpoint import Endpoint
from tocsin.rpc.resolver import Resolver
from tocsin.runtime import hostunit
from tocsin.runtime.hostdisk import Disks, sample_of
from tocsin.secret import SecretUrl
from tocsin.wire.x509 import not_after_s

__all__ = ["certs"]  # a fixture

DAY_S = 86_400


# -- disks


def test_a_file_system_is_what_the_system_says(tmp_path: Path) -> None:
    found, said = sample_of(str(tmp_path)), os.statvfs(tmp_path)
    assert found.problem == ""
    assert found.size == said.f_frsize * said.f_blocks
    assert 0 <= found.free <= found.size
    assert 0 <= found.used_permille <= 1000
    assert 0 <= found.inodes_permille <= 1000


def test_what_is_not_there_is_a_problem_and_no_empty_disk(tmp_path: Path) -> None:
    found = sample_of(str(tmp_path / "nothing"))
    assert found.problem == "No such file or directory"
    assert found.size == 0


def full(_: str) -> os.statvfs_result:
    """A thousand blocks: a tenth reserved for root, all else taken but for twenty; no inodes at all."""
    return os.statvfs_result((4096, 4096, 1000, 120, 20, 0, 0, 0, 0, 255))


def test_what_is_reserved_for_root_is_taken() -> None:
    found = sample_of("/x", full)
    assert (found.used_permille, found.free, found.inodes_permille) == (980, 20 * 4096, 0)


async def test_a_disk_that_hangs_is_told_and_holds_up_no_other_and_is_not_asked_twice() -> None:
    hang, calls = threading.Event(), []

    def look_at(path: str) -> os.statvfs_result:
        calls.append(path)
        if path == "/hung":
            hang.wait(60)
        return full(path)

    disks = Disks(look=look_at, patience_s=0.1)
    try:
        for _ in range(3):
            hung, well = await disks.sample(("/hung", "/well"))
            assert "does not answer" in hung.problem
            assert well.used_permille == 980
        assert calls.count("/hung") == 1
        hang.set()
        while (await disks.sample(("/hung",)))[0].problem:
            pass
    finally:
        hang.set()


# -- units

SHOWN = """\
Id=geth.service
LoadState=loaded
ActiveState=active
SubState=running
Result=success
NRestarts=3

Id=gone.service
LoadState=not-found
ActiveState=inactive
SubState=dead
Result=success
"""


def systemctl(folder: Path, script: str) -> dict[str, str]:
    """Put a systemctl on the path; return the environment that finds it."""
    program = folder / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


async def test_units_are_told_in_the_words_of_systemd(tmp_path: Path) -> None:
    environ = systemctl(tmp_path, f'echo "$*" > {tmp_path}/asked\ncat <<END\n{SHOWN}END')
    geth, gone = await hostunit.sample(("geth.service", "gone.service"), environ=environ)
    assert (geth.load, geth.active, geth.sub, geth.result, geth.restarts) == (
        "loaded",
        "active",
        "running",
        "success",
        3,
    )
    assert (gone.load, gone.active, gone.restarts, gone.problem) == ("not-found", "inactive", 0, "")
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("show --no-pager --property=Id,LoadState,ActiveState")
    assert asked.endswith("-- geth.service gone.service\n")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'System has not been booted with systemd' >&2; exit 1", "not been booted"),
        ("exit 4", "exit code 4"),
        ("echo ActiveState=active", "told of 1 units instead of 2"),
        ("printf 'Id=a\\n\\nId=b\\n'", "does not tell its state"),
        ("sleep 60", "does not answer"),
    ],
)
async def test_what_systemctl_does_not_say_is_unknown(tmp_path: Path, script: str, words: str) -> None:
    environ = systemctl(tmp_path, script)
    patience_s = 0.3 if "sleep" in script else 30
    found = await hostunit.sample(("a.service", "b.service"), environ=environ, patience_s=patience_s)
    assert [one.unit for one in found] == ["a.service", "b.service"]
    assert all(words in one.problem for one in found)


async def test_without_systemctl_nothing_is_known(tmp_path: Path) -> None:
    (found,) = await hostunit.sample(("a.service",), environ={"PATH": str(tmp_path)})
    assert found.problem == "systemctl is not here"


# -- certificates


@asynccontextmanager
async def shown(certs: Certs, which: str = "server", **tls: Any) -> AsyncIterator[str]:
    async with serving(tls=server_context(certs, which, **tls)) as node:
        yield f"https://127.0.0.1:{node.port}"


async def seen(url: str, **changes: Any) -> CertificateSample:
    resolver = Resolver(SystemClock())
    try:
        values = {"chain": "", "node": "", "url": SecretUrl(url), "timeout_ns": 30 * NS} | changes
        return await look(Endpoint(**values), resolver=resolver)
    finally:
        await resolver.close()
        await asyncio.sleep(0)


def days_left(sample: CertificateSample) -> int:
    assert sample.not_after_s is not None
    return (sample.not_after_s * NS - SystemClock().wall_ns()) // (DAY_S * NS)


async def test_a_certificate_tells_when_it_ends(certs: Certs) -> None:
    async with shown(certs) as url:
        found = await seen(url, ca=str(certs["ca"][1]))
    assert (found.endpoint, found.distrust, found.problem) == (url, "", "")
    assert days_left(found) == 1
    der = ssl.PEM_cert_to_DER_cert(certs["server"][1].read_text())
    assert found.not_after_s == not_after_s(der)


async def test_one_that_has_ended_is_distrusted_and_still_read(certs: Certs) -> None:
    async with shown(certs, "expired") as url:
        found = await seen(url, ca=str(certs["ca"][1]))
    assert "expired" in found.distrust
    assert days_left(found) < 0
    assert found.problem == ""


async def test_an_unknown_authority_and_another_host_are_told(certs: Certs) -> None:
    async with shown(certs) as url:
        unknown = await seen(url, ca=str(certs["other"][1]))
        misnamed = await seen(url.replace("127.0.0.1", "127.0.0.2"), ca=str(certs["ca"][1]))
    assert "self-signed" in unknown.distrust or "unable to get" in unknown.distrust
    assert days_left(unknown) == 1
    # The server listens at one address only; where another name leads to it, the name is what is wrong.
    assert misnamed.problem or "mismatch" in misnamed.distrust


async def test_a_name_that_the_certificate_does_not_have_is_told(certs: Certs) -> None:
    async with shown(certs) as url:
        found = await seen(url.replace("127.0.0.1", "ip6-localhost"), ca=str(certs["ca"][1]))
    assert found.problem or "mismatch" in found.distrust


async def test_a_server_that_wants_a_certificate_of_ours_gets_it(certs: Certs) -> None:
    async with shown(certs, client=True) as url:
        key, cert = certs["client"]
        found = await seen(url, ca=str(certs["ca"][1]), cert=str(cert), key=str(key))
    assert (found.distrust, found.problem) == ("", "")


async def test_what_is_no_tls_and_nobody_at_all_are_problems(certs: Certs) -> None:
    async def speak_plainly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_plainly, "127.0.0.1", 0)
    try:
        plain = await seen(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", ca=str(certs["ca"][1]))
    finally:
        server.close()
    nobody = await seen("https://127.0.0.1:9", ca=str(certs["ca"][1]))
    missing = await seen("https://127.0.0.1:9", ca="/nowhere/ca.pem")
    assert all(one.problem and one.not_after_s is None for one in (plain, nobody, missing))
    assert "/nowhere/ca.pem" in missing.problem


async def test_a_server_that_hangs_is_given_up(certs: Certs) -> None:
    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        found = await seen(f"https://127.0.0.1:{port}", ca=str(certs["ca"][1]), timeout_ns=200 * MS)
    finally:
        server.close()
    assert found.problem == "no answer in time"


@pytest.mark.parametrize(
    "data", [b"", b"0", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x30\x01\x02", b"x" * 99]
)
def test_what_is_no_certificate_has_no_end(data: bytes) -> None:
    assert not_after_s(data) is None
