"""Real anvils on free loopback ports."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

_INSTALLED = Path("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
_GENESIS_S = 1_700_000_000
_BOOT_S = 10.0
_JSON = {"Content-Type": "application/json"}
_STATES = 2_000
"""Of so many blocks an anvil keeps the state, in memory. By itself it moves those beyond some hundred blocks to disk,
and 1.7.1 brings them back without any code: honest nodes would lie, and a rollback to one of them loses all contracts.
"""


def find_anvil(root: Path) -> str | None:
    """Return the binary that `npm ci --ignore-scripts` installed, or that TOCSIN_ANVIL or PATH names."""
    named = os.environ.get("TOCSIN_ANVIL")
    installed = root / _INSTALLED
    return named or (str(installed) if installed.exists() else shutil.which("anvil"))


@pytest.fixture(scope="session")
def anvil_binary(pytestconfig: pytest.Config) -> str:
    found = find_anvil(pytestconfig.rootpath)
    if found is None:
        missing = "no anvil: run `npm ci --ignore-scripts`, or set TOCSIN_ANVIL to the binary"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


class Anvil:
    """One running anvil that mines on demand only."""

    def __init__(self, port: int, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}"
        self._process = process
        self._session = session

    async def call(self, method: str, *params: Any) -> Any:
        """Ask it. Raises AssertionError with its answer when that is an error."""
        answer = await self.answer(method, *params)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    async def answer(self, method: str, *params: Any) -> dict[str, Any]:
        """Ask it, and return the whole answer: with a `result`, or an `error`."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        async with self._session.post(self.url, json=request) as response:
            answer: dict[str, Any] = await response.json()
        return answer

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Ask it for many things in one request: methods with their parameters. Raises AssertionError for an error."""
        asked = [
            {"jsonrpc": "2.0", "id": at, "method": method, "params": list(params)}
            for at, (method, params) in enumerate(calls)
        ]
        if not asked:
            return []
        async with self._session.post(self.url, data=orjson.dumps(asked), headers=_JSON) as response:
            answers = orjson.loads(await response.read())
        for answer in answers:
            assert "error" not in answer, (calls[answer["id"]][0], answer)
        return [answer["result"] for answer in sorted(answers, key=lambda answer: answer["id"])]

    async def block(self, where: str = "latest") -> dict[str, Any]:
        return await self.call("eth_getBlockByNumber", where, *[False])

    async def mine(self, blocks: int = 1, *, timestamp: int | None = None, apart_s: int = 1) -> None:
        """Mine blocks with stamps that are `apart_s` apart, the first at `timestamp` or as far after the head."""
        stamp = timestamp if timestamp is not None else int((await self.block())["timestamp"], 16) + apart_s
        for step in range(blocks):
            await self.call("evm_setNextBlockTimestamp", stamp + step * apart_s)
            await self.call("evm_mine")

    async def ready(self) -> bool:
        """Wait until it answers; False when it exited, as it does on a taken port while another one answers there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BOOT_S):
                while self._process.returncode is None:
                    with contextlib.suppress(aiohttp.ClientError):
                        await self.call("eth_chainId")
                        # One more look: the answer may have come from the stranger that holds our port.
                        await asyncio.sleep(0.05)
                        return self._process.returncode is None
                    await asyncio.sleep(0.02)
        return False

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _start(binary: str, session: aiohttp.ClientSession, *extra: str) -> Anvil:
    for _ in range(5):
        port = _free_port()
        kept = ("--prune-history", str(_STATES))
        arguments = ["-q", "--port", str(port), "--no-mining", "--timestamp", str(_GENESIS_S), *kept, *extra]
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        anvil = Anvil(port, process, session)
        if await anvil.ready():
            return anvil
        await anvil.stop()
    pytest.fail("anvil did not come up on five free ports")


@contextlib.asynccontextmanager
async def running_anvil(binary: str, *extra: str) -> AsyncIterator[Anvil]:
    """Run one anvil; `extra` are its own arguments, such as `--chain-id 1`."""
    async with aiohttp.ClientSession() as session:
        anvil = await _start(binary, session, *extra)
        try:
            yield anvil
        finally:
            await anvil.stop()


async def follow(leader: Anvil, follower: Anvil) -> None:
    """Bring one to the chain of another: back to their last common block, then block by block with what is in them."""
    head, own = [int((await each.block())["number"], 16) for each in (leader, follower)]
    common = min(head, own)
    while (await leader.block(hex(common)))["hash"] != (await follower.block(hex(common)))["hash"]:
        common -= 1
    if own > common:
        await follower.call("anvil_rollback", own - common)
    for number in range(common + 1, head + 1):
        block = await leader.block(hex(number))
        await follower.call("anvil_dropAllTransactions")
        for name in block["transactions"]:
            await follower.call("eth_sendRawTransaction", await leader.call("eth_getRawTransactionByHash", name))
        # anvil 1.7.1 does not roll its next base fee back.
        await follower.call("anvil_setNextBlockBaseFeePerGas", block["baseFeePerGas"])
        await follower.mine(timestamp=int(block["timestamp"], 16))
        made = await follower.block()
        assert made["hash"] == block["hash"], {
            name: (block[name], made[name]) for name in block if block[name] != made[name]
        }


def next_base_fee(parent: dict[str, Any]) -> int:
    """Return the base fee that the block after one has (EIP-1559)."""
    fee, used, target = int(parent["baseFeePerGas"], 16), int(parent["gasUsed"], 16), int(parent["gasLimit"], 16) // 2
    change = fee * abs(used - target) // target // 8
    return fee + max(change, 1) if used > target else fee - change if used < target else fee


class Lockstep:
    """Two anvils that are fed the same blocks and so have the same hashes, until they part."""

    def __init__(self, left: Anvil, right: Anvil) -> None:
        self.left = left
        self.right = right

    async def mine(self, blocks: int = 1, *, apart_s: int = 1) -> None:
        """Mine the same number of blocks on both, with the same stamps as far as they are on one branch."""
        start = int((await self.left.block())["timestamp"], 16) + apart_s
        other = int((await self.right.block())["timestamp"], 16) + apart_s
        await self.left.mine(blocks, timestamp=start, apart_s=apart_s)
        await self.right.mine(blocks, timestamp=max(start, other), apart_s=apart_s)

    async def call(self, method: str, *params: Any) -> Any:
        """Ask both the same, such as to take a transaction, and return the answer, which they have to agree on."""
        left, right = await self.left.call(method, *params), await self.right.call(method, *params)
        assert left == right, (method, left, right)
        return left

    async def diverge(self, blocks: int = 1) -> None:
        """Let the right one part: the next blocks have the same heights on both, and other hashes."""
        await self.left.mine(blocks, apart_s=2)
        await self.right.mine(blocks, apart_s=3)

    async def rejoin(self) -> None:
        """Bring the right one back to the chain of the left one."""
        await follow(self.left, self.right)

    async def together(self) -> bool:
        """Say whether both have the same head."""
        left, right = await self.left.block(), await self.right.block()
        return bool(left["hash"] == right["hash"])


@contextlib.asynccontextmanager
async def running_lockstep(binary: str, *extra: str) -> AsyncIterator[Lockstep]:
    """Run two anvils from the same genesis."""
    async with running_anvil(binary, *extra) as left, running_anvil(binary, *extra) as right:
        pair = Lockstep(left, right)
        assert await pair.together()
        yield pair


@pytest_asyncio.fixture
async def anvil(anvil_binary: str) -> AsyncIterator[Anvil]:
    async with running_anvil(anvil_binary) as running:
        yield running


@pytest_asyncio.fixture
async def lockstep(anvil_binary: str) -> AsyncIterator[Lockstep]:
    async with running_lockstep(anvil_binary) as pair:
        yield pair
