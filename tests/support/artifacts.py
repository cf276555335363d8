"""Contracts as others have compiled and published them, and what it takes to put them on an anvil."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
from eth_abi.abi import decode, encode

from tocsin.chain.keccak import keccak256

_PACKAGES: Final = Path(__file__).parents[2] / "node_modules"
_GAS: Final = "0x989680"
_NOBODY: Final = f"0x{0:040x}"

OPENZEPPELIN: Final = "@openzeppelin/contracts/build/contracts/{name}.json"
SAFE: Final = "@safe-global/safe-contracts/build/artifacts/contracts/{path}{name}.sol/{name}.json"
UNISWAP_V2: Final = "@uniswap/v2-core/build/{name}.json"
UNISWAP_V3: Final = "@uniswap/v3-core/artifacts/contracts/{name}.sol/{name}.json"


@lru_cache(maxsize=32)
def code_of(place: str, name: str, path: str = "") -> bytes:
    """Return the creation code of a contract; `place` is one of the constants above."""
    artifact: dict[str, Any] = orjson.loads((_PACKAGES / place.format(name=name, path=path)).read_bytes())
    code = artifact["bytecode"]
    text: str = code["object"] if isinstance(code, dict) else code
    return bytes.fromhex(text.removeprefix("0x"))


def call_data(signature: str, *values: Any) -> bytes:
    """Return the input of a call such as `transfer(address,uint256)`."""
    return keccak256(signature.encode())[:4] + arguments(_types(signature), *values)


def arguments(types: Sequence[str], *values: Any) -> bytes:
    return encode(types, values)


def _types(signature: str) -> list[str]:
    """Return the types of the arguments; tuples are not split."""
    inner = signature.partition("(")[2].removesuffix(")")
    return inner.split(",") if inner else []


def of_safe(owner: str, safe: str, data: bytes, *, to: str = "", delegated: bool = False) -> bytes:
    """Return the input by which a Safe does something, to itself as a rule; the one owner it takes sends it."""
    signature = bytes(12) + bytes.fromhex(owner[2:]) + bytes(32) + b"\x01"
    return call_data(
        "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
        *(to or safe, 0, data, int(delegated), 0, 0, 0, _NOBODY, _NOBODY, signature),
    )


class Node(Protocol):
    """Who takes transactions: an anvil, or two in lockstep."""

    async def call(self, method: str, *params: Any) -> Any: ...
    async def mine(self, blocks: int = 1) -> None: ...


class Deployer:
    """Puts contracts on a node, from the first account that it has unlocked; each step is mined at once."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.sender = ""

    async def deploy(self, code: bytes, types: Sequence[str] = (), *values: Any) -> str:
        """Return the address of a new contract."""
        receipt = await self.send(None, code + arguments(types, *values))
        address: str = receipt["contractAddress"]
        return address.lower()

    async def send(self, to: str | None, data: bytes, *, value: int = 0, sender: str = "") -> dict[str, Any]:
        """Return the receipt of a transaction, which has to succeed."""
        if not self.sender:
            self.sender = (await self._node.call("eth_accounts"))[0].lower()
        wanted = {"from": sender or self.sender, "data": f"0x{data.hex()}", "value": hex(value), "gas": _GAS}
        name = await self._node.call("eth_sendTransaction", wanted if to is None else {**wanted, "to": to})
        await self._node.mine()
        receipt: dict[str, Any] = await self._node.call("eth_getTransactionReceipt", name)
        assert receipt["status"] == "0x1", (to, data[:4].hex(), receipt)
        return receipt

    async def ask(self, to: str, types: Sequence[str], data: bytes) -> tuple[Any, ...]:
        """Return what a call returns at the newest block."""
        said = await self._node.call("eth_call", {"to": to, "data": f"0x{data.hex()}"}, "latest")
        return decode(types, bytes.fromhex(said[2:]))
