"""Contracts of others on a real node, many transactions to a block, and readings as the rules describe them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
from eth_abi.abi import decode, encode
from tests.support.anvil import Anvil

from tocsin.chain.keccak import keccak256
from tocsin.protocols.base import Question, Reading
from tocsin.wire import aggregator
from tocsin.wire.multicall import Call

ARGUMENTS: Final = (
    "--gas-limit",
    "1000000000",
    "--auto-impersonate",
    "--block-base-fee-per-gas",
    "0",
    "--gas-price",
    "0",
    "--disable-min-priority-fee",
)
"""What an anvil needs that everybody sends transactions on, for nothing."""

_BATCH: Final = 250
_CALLS: Final = 400
ANSWER: Final = "0x60005460005260206000f3"
"""Code that answers anything with what is in its slot 0: a price feed, or a flag."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Artifacts:
    """What compilers wrote of contracts, by their names: ABI, code, and where libraries stand in it."""

    root: Path

    def __getitem__(self, name: str) -> Json:
        return _load(self.root, name)


@lru_cache(maxsize=256)
def _load(root: Path, name: str) -> Json:
    found = next(path for path in root.rglob(f"{name}.json") if not path.name.endswith(".dbg.json"))
    loaded: Json = orjson.loads(found.read_bytes())
    return loaded


def selector(item: Json) -> bytes:
    """Return the selector of a function, or the topic of an event, of an ABI."""
    return keccak256(signature_of(item).encode())


def signature_of(item: Json) -> str:
    """Return the signature of a function or an event of an ABI."""
    return f"{item['name']}({','.join(_types(item['inputs']))})"


def _types(specs: Iterable[Json]) -> list[str]:
    return [_type(spec) for spec in specs]


def _type(spec: Json) -> str:
    kind: str = spec["type"]
    return f"({','.join(_types(spec['components']))}){kind[5:]}" if kind.startswith("tuple") else kind


def _constructor(artifact: Json) -> list[Json]:
    return next((item["inputs"] for item in artifact["abi"] if item["type"] == "constructor"), [])


def value_of(spec: Json, values: dict[str, Any]) -> Any:
    """Return the value of a parameter by its name, of a struct those of its parts; underscores do not count."""
    if spec["type"] == "tuple":
        return tuple(value_of(part, values) for part in spec["components"])
    return values[spec["name"].strip("_")]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A contract of an ABI at a place."""

    address: str
    abi: list[Json]

    def call(self, name: str, *values: Any) -> Json:
        """Return a transaction that calls a function."""
        item = self._function(name, len(values))
        data = selector(item)[:4] + encode(_types(item["inputs"]), values)
        return {"to": self.address, "data": f"0x{data.hex()}"}

    def has(self, name: str) -> bool:
        """Tell whether it has a function of this name."""
        return any(item["type"] == "function" and item["name"] == name for item in self.abi)

    def call_named(self, name: str, values: dict[str, Any], count: int | None = None) -> Json:
        """Return a transaction that calls a function, whose arguments are found by their names."""
        item = self._function(name, count)
        return self.call(name, *(value_of(spec, values) for spec in item["inputs"]))

    def result(self, name: str, count: int, data: str) -> Any:
        """Return what a function of so many arguments returned."""
        values = decode(_types(self._function(name, count)["outputs"]), bytes.fromhex(data[2:]))
        return values[0] if len(values) == 1 else values

    def _function(self, name: str, count: int | None) -> Json:
        return next(
            item
            for item in self.abi
            if item["type"] == "function" and item["name"] == name and count in (None, len(item["inputs"]))
        )


@dataclass
class Chain:
    """Deploys, sends and asks. What is sent for `sender` needs no key: the node lets anybody be anybody."""

    anvil: Anvil
    artifacts: Artifacts
    owner: str = ""
    libraries: dict[str, str] = field(default_factory=dict)

    async def start(self) -> None:
        self.owner = (await self.anvil.call("eth_accounts"))[0]

    async def send(self, *transactions: Json, sender: str = "", may_fail: bool = False) -> list[Json]:
        """Send transactions in one block, in their order, and return their receipts."""
        receipts = await self.send_all([(each, sender or self.owner) for each in transactions])
        for transaction, receipt in zip(transactions, receipts, strict=True):
            assert may_fail or receipt["status"] == "0x1", (transaction, await self._why(transaction, sender))
        return receipts

    async def _why(self, transaction: Json, sender: str) -> str:
        try:
            await self.anvil.call("eth_call", {**transaction, "from": sender or self.owner}, "latest")
        except AssertionError as error:
            return str(error)
        return "not when called again"

    async def send_all(self, wanted: Sequence[tuple[Json, str]]) -> list[Json]:
        """Send transactions of several senders in as few blocks as hold them, and return their receipts."""
        senders = sorted({sender for _, sender in wanted})
        counts = await self.anvil.batch([("eth_getTransactionCount", [who, "latest"]) for who in senders])
        nonces = {who: int(count, 16) for who, count in zip(senders, counts, strict=True)}
        calls = []
        for transaction, sender in wanted:
            gas = hex(20_000_000 if "to" not in transaction else 3_000_000)
            fixed = {"from": sender, "gas": gas, "gasPrice": "0x0", "nonce": hex(nonces[sender])}
            nonces[sender] += 1
            calls.append(("eth_sendTransaction", [{**fixed, **transaction}]))
        names = [name for part in _parts(calls) for name in await self.anvil.batch(part)]
        while int((await self.anvil.call("txpool_status"))["pending"], 16):
            await self.anvil.call("evm_mine")
        asked = [("eth_getTransactionReceipt", [name]) for name in names]
        return [receipt for part in _parts(asked) for receipt in await self.anvil.batch(part)]

    async def deploy(self, name: str, *values: Any) -> Contract:
        """Put a contract on the chain, and the libraries that it is linked with before it."""
        (contract,) = await self.deploy_all([(name, values)])
        return contract

    async def deploy_named(self, name: str, values: dict[str, Any]) -> Contract:
        """Put a contract on the chain whose arguments are found by their names, as versions differ in them."""
        return await self.deploy(name, *(value_of(spec, values) for spec in _constructor(self.artifacts[name])))

    async def deploy_all(self, wanted: Sequence[tuple[str, Sequence[Any]]]) -> list[Contract]:
        """Put contracts on the chain, in one block: none may need another's address."""
        for name, _ in wanted:
            await self._link(name)
        receipts = await self.send(*({"data": self._creation(name, values)} for name, values in wanted))
        return [self.at(name, receipt["contractAddress"]) for (name, _), receipt in zip(wanted, receipts, strict=True)]

    def at(self, name: str, address: str) -> Contract:
        return Contract(address=address.lower(), abi=self.artifacts[name]["abi"])

    async def _link(self, name: str) -> None:
        for libraries in self.artifacts[name].get("linkReferences", {}).values():
            for library in libraries:
                if library not in self.libraries:
                    self.libraries[library] = (await self.deploy(library)).address

    def _creation(self, name: str, values: Sequence[Any]) -> str:
        artifact = self.artifacts[name]
        code: str = artifact["bytecode"]
        for libraries in artifact.get("linkReferences", {}).values():
            for library, places in libraries.items():
                for place in places:
                    at = 2 + 2 * place["start"]
                    code = code[:at] + self.libraries[library][2:] + code[at + 40 :]
        return code + encode(_types(_constructor(artifact)), values).hex()

    async def ask(self, contract: Contract, name: str, *values: Any) -> Any:
        data = await self.anvil.call("eth_call", contract.call(name, *values), "latest")
        return contract.result(name, len(values), data)

    async def answering(self, address: str, value: int) -> None:
        """Let an address answer everything with a word; no code is needed there before."""
        await self.anvil.batch(
            [
                ("anvil_setCode", [address, ANSWER]),
                ("anvil_setStorageAt", [address, "0x0", f"0x{value % 2**256:064x}"]),
            ]
        )

    async def read(self, reading: Reading[Any], block: str | Json = "latest") -> Any:
        """Let a reading have its answers, all of one block, and return what it read."""
        answers: Sequence[Any] | None = None
        while True:
            try:
                questions = next(reading) if answers is None else reading.send(answers)
            except StopIteration as done:
                return done.value
            answers = await self.answers(questions, block)

    async def answers(self, questions: Sequence[Question], block: str | Json = "latest") -> list[Any]:
        """Return the answers of questions, None for those that reverted."""
        found: list[Any] = []
        for part in _parts(questions, _CALLS):
            data = aggregator.encode([Call(target=each.to, data=each.data) for each in part])
            place = f"0x{aggregator.PLACE.hex()}"
            code = {place: {"code": f"0x{aggregator.CODE.hex()}"}}
            asked = {"to": place, "data": f"0x{data.hex()}", "gas": hex(900_000_000)}
            said = aggregator.decode(
                bytes.fromhex((await self.anvil.call("eth_call", asked, block, code))[2:]), len(part)
            )
            found += [each.answered(said.result(at) if said.succeeded[at] else None) for at, each in enumerate(part)]
        return found


def _parts(items: Sequence[Any], size: int = _BATCH) -> list[Sequence[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
