"""The command: a process before nodes, steered while it runs, and stopped cleanly."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tocsin.clock import NS
from tocsin.errors import UsageError
from tocsin.testing import ChainSpec, Control, FaultProxy, ManualClock, SimChain, SimNode, run_virtual, serve_nodes
from tocsin.testing.rehearsal import Step, play, read_script
from tocsin.testing.servers import serve

KEY = "very-secret-key-1"
LATEST = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}


async def tocsin(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tocsin",
        "chaos",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "http_proxy": "http://127.0.0.1:9"},
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@dataclass
class Running:
    urls: dict[str, str]
    control: str
    said: list[str]
    process: asyncio.subprocess.Process

    async def height(self, name: str) -> int:
        async with aiohttp.ClientSession() as session, session.post(self.urls[name], json=LATEST) as response:
            return int((await response.json(content_type=None))["result"]["number"], 16)

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = await self.process.communicate()
        assert err == b""
        return self.process.returncode or 0, "".join(self.said) + out.decode()


@contextlib.asynccontextmanager
async def chaos(*arguments: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tocsin",
        "chaos",
        *arguments,
        "--control",
        "0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    running = Running({}, "", [], process)
    try:
        while not running.control:
            line = (await process.stdout.readline()).decode()
            assert line, (await process.communicate())[1]
            running.said.append(line)
            if found := re.match(r"(\w+)  (http://\S+)  stands before", line):
                running.urls[found[1]] = found[2]
            if found := re.search(r"changed at http://127\.0\.0\.1:(\d+)/faults", line):
                running.control = found[1]
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[str]:
    chain = SimChain(ManualClock(), ChainSpec(history=50))
    async with serve_nodes(SimNode(chain)) as listeners:
        yield f"{listeners['sim'].url}/v3/{KEY}"


async def test_a_rehearsal_from_start_to_stop(upstream: str) -> None:
    async with chaos("--node", f"a={upstream}", "--node", f"b={upstream}", "--fault", "b=stale:5") as running:
        at = ("--control", running.control)
        assert (await running.height("a"), await running.height("b")) == (50, 45)
        code, out, _ = await tocsin("set", "b", "regress:7", "null:eth_chainId", *at)
        assert (code, out.split("  ")[2]) == (0, "regress:7, null:eth_chainId\n")
        assert await running.height("b") == 43
        code, out, _ = await tocsin("list", "--json", *at)
        assert json.loads(out)["nodes"]["b"]["faults"] == ["regress:7", "null:eth_chainId"]
        assert json.loads(out)["schema"] == 1
        code, out, _ = await tocsin("clear", *at)
        assert (code, out.count("healthy")) == (0, 2)
        assert await running.height("b") == 50
        code, said = await running.stop()
        assert (code, said.splitlines()[-1]) == (0, "stopped")
        assert KEY not in said


async def test_an_interrupt_stops_it_as_cleanly(upstream: str) -> None:
    async with chaos("--node", f"a={upstream}") as running:
        assert (await running.stop(signal.SIGINT))[0] == 0


async def test_a_script_changes_faults_while_it_runs(upstream: str, tmp_path: Path) -> None:
    script = tmp_path / "rehearsal.txt"
    script.write_text("# now and then\n0s  a  stale:9\n1ms a  null:eth_chainId@0.5\n")
    async with chaos("--node", f"a={upstream}", "--script", str(script)) as running:
        assert running.process.stdout is not None
        lines = [(await running.process.stdout.readline()).decode() for _ in range(2)]
        assert lines == ["a: stale:9\n", "a: null:eth_chainId@0.5\n"]
        assert await running.height("a") == 41


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "no node to stand before"),
        (("--node", f"http://127.0.0.1/{KEY}"), "NAME=URL"),
        (("--node", "a=http://127.0.0.1:9", "--fault", f"forked:http://x/{KEY}"), "NODE=FAULT"),
        (("--node", f"a=ftp://127.0.0.1/{KEY}"), "--node a: ftp://127.0.0.1: a node's URL begins with http"),
        (("--node", "a=http://127.0.0.1:9", "--node", "a=http://127.0.0.1:9"), "given twice"),
        (("--node", "a=http://127.0.0.1:9", "--fault", "b=hang"), "no such --node"),
        (("--node", "a=http://127.0.0.1:9", "--fault", "a=hung"), "tocsin chaos faults"),
        (("--node", "a=http://127.0.0.1:9", "--listen", "localhost"), "not an IP address"),
        (("--node", "a=http://127.0.0.1:9", "--script", "/nonexistent"), "No such file"),
    ],
)
async def test_mistakes_are_said_without_secrets(arguments: tuple[str, ...], why: str) -> None:
    code, out, err = await tocsin(*arguments)
    assert (code, out) == (3, "")
    assert why in err
    assert KEY not in err
    assert "Traceback" not in err


async def test_changes_that_cannot_be_made_say_why(upstream: str) -> None:
    async with chaos("--node", f"a={upstream}") as running:
        at = ("--control", running.control)
        for arguments, why in [(("set", "z", "hang"), "there is no node 'z'"), (("set", "a", "hung"), "unknown")]:
            code, _, err = await tocsin(*arguments, *at)
            assert code == 3
            assert why in err
    code, _, err = await tocsin("list", *at)
    assert code == 1
    assert f"no fault proxy answers on port {running.control} (Connection refused); tocsin chaos starts one" in err


async def test_every_fault_is_explained() -> None:
    code, out, _ = await tocsin("faults")
    assert code == 0
    assert "slow-drip:PAUSE" in out


# -- the control endpoint


async def test_a_foreign_host_name_does_not_steer_the_proxy() -> None:
    chain = SimChain(ManualClock())
    async with (
        FaultProxy({"a": SimNode(chain)}) as proxy,
        serve(Control(proxy).handle) as listener,
        aiohttp.ClientSession() as session,
    ):

        async def put(body: bytes, **headers: str) -> int:
            async with session.put(f"{listener.url}/faults/a", data=body, headers=headers) as response:
                return response.status

        good = b'{"faults": ["hang"]}'
        assert await put(good, Host="evil.example") == 403
        assert proxy.node("a").faults == ()
        for bad in (b"", b"[]", b'{"faults": "hang"}', b'{"faults": [1]}', b'{"faults": ["hung"]}'):
            assert await put(bad) == 400
        assert await put(good) == 200
        assert [str(fault) for fault in proxy.node("a").faults] == ["hang"]
        async with session.post(f"{listener.url}/faults/a", data=b'{"faults": ["gzip"]}') as response:
            assert (await response.json())["faults"] == ["hang", "gzip"]
        async with session.delete(f"{listener.url}/faults/a?name=hang") as response:
            assert (await response.json())["faults"] == ["gzip"]
        async with session.get(f"{listener.url}/nowhere") as response:
            assert response.status == 404


# -- scripts


def test_every_mistake_of_a_script_is_named_with_its_line() -> None:
    text = "1s a hang\nsoon a hang\n1s z hang\n\n# fine\n1s a hung\n1s a\n"
    with pytest.raises(UsageError) as caught:
        read_script(text, name="x.txt", nodes=["a"])
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["2", "3", "6", "7"]


def test_a_script_plays_in_the_order_of_time() -> None:
    clock = ManualClock()
    seen: list[Any] = []

    async def main() -> None:
        steps = read_script("1h a clear\n10s a stale:5 # so\n20s a gzip", name="x", nodes=["a"])
        async with FaultProxy({"a": SimNode(SimChain(clock))}) as proxy:

            def tell(step: Step) -> None:
                names = [fault.name for fault in proxy.node("a").faults]
                seen.append((clock.monotonic_ns() // NS, step.fault, names))

            await play(steps, proxy, tell)

    run_virtual(main(), clock=clock)
    assert seen == [(10, "stale:5", ["stale"]), (20, "gzip", ["stale", "gzip"]), (3600, None, [])]
