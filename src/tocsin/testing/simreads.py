"""What a simulated node answers about the state of a chain that has one: proofs, slots, code, calls, receipts, logs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from tocsin.testing.headers import keccak256
from tocsin.testing.jsonrpc import INVALID_PARAMS, Refusal
from tocsin.testing.simblock import SimBlock
from tocsin.testing.simchain import SimChain
from tocsin.testing.simstate import Change, Reverted, SimAccount, World, log_json, receipt_json, word

_REVERTED: Final = 3
"""geth's code of a call that reverts."""

Find = Callable[[object], SimBlock]
"""The block that a parameter names. Raises Refusal where it is not there, or not kept."""


class SimReads:
    """Answers of one node; `state`, `proofs` and `receipts` find a block as far back as the node keeps them."""

    def __init__(self, chain: SimChain, *, state: Find, proofs: Find, receipts: Find, at: Find) -> None:
        self._chain = chain
        self._state = state
        self._proofs = proofs
        self._receipts = receipts
        self._at = at

    def balance(self, params: list[Any]) -> object:
        """Answer `eth_getBalance`."""
        address, where = _two(params)
        return hex(self._account(where, address).balance)

    def code(self, params: list[Any]) -> object:
        """Answer `eth_getCode`."""
        address, where = _two(params)
        return _hex(self._account(where, address).code)

    def slot(self, params: list[Any]) -> object:
        """Answer `eth_getStorageAt`."""
        match params:
            case [str() as address, str() as key, where]:
                return _hex(word(self._account(where, _address(address)).slots.get(_number(key), 0)))
        raise Refusal(INVALID_PARAMS, "expected an address, a slot and a block")

    def proof(self, params: list[Any]) -> object:
        """Answer `eth_getProof`."""
        match params:
            case [str() as text, list() as keys, where]:
                address = _address(text)
            case _:
                raise Refusal(INVALID_PARAMS, "expected an address, slots and a block")
        world = _world(self._proofs(where))
        account = world.account(address)
        return {
            "address": text.lower(),
            "nonce": hex(account.nonce),
            "balance": hex(account.balance),
            "storageHash": _hex(account.storage.root),
            "codeHash": _hex(account.code_hash),
            "accountProof": [_hex(node) for node in world.trie.proof(keccak256(address))],
            "storageProof": [_proven(account, _number(str(key))) for key in keys],
        }

    def call(self, params: list[Any]) -> object:
        """Answer `eth_call`, with code in place of a contract's where the third parameter has it."""
        match params:
            case [dict() as call, where]:
                overrides: dict[str, Any] = {}
            case [dict() as call, where, dict() as overrides]:
                pass
            case _:
                raise Refusal(INVALID_PARAMS, "expected a call and a block")
        world = _world(self._state(where))
        placed = {
            (address := _address(text)): replace(world.account(address), code=_bytes(str(changed["code"])))
            for text, changed in overrides.items()
            if "code" in changed
        }
        world = world.after(Change(accounts=placed)) if placed else world
        to, data = _address(str(call.get("to"))), _bytes(str(call.get("data", call.get("input", "0x"))))
        try:
            return _hex(self._chain.returned(world, to, data))
        except Reverted as reverted:
            raise Refusal(_REVERTED, "execution reverted", _hex(reverted.data)) from None

    def receipts(self, params: list[Any]) -> object:
        """Answer `eth_getBlockReceipts`."""
        match params:
            case [where]:
                block = self._receipts(where)
            case _:
                raise Refusal(INVALID_PARAMS, "expected a block")
        logs = list(_logs(block))
        hashes = block.transactions(len(block.changes))
        return [
            {
                **receipt_json(change, at),
                **_place(block, at, hashes[at]),
                "logs": [log for log in logs if log["transactionIndex"] == hex(at)],
            }
            for at, change in enumerate(block.changes)
        ]

    def logs(self, params: list[Any]) -> object:
        """Answer `eth_getLogs`, of one block by its hash or of a range of numbers."""
        match params:
            case [dict() as wanted]:
                pass
            case _:
                raise Refusal(INVALID_PARAMS, "expected a filter")
        if "blockHash" in wanted:
            blocks = [self._receipts({"blockHash": wanted["blockHash"]})]
        else:
            first, last = (self._at(wanted.get(name, "latest")).number for name in ("fromBlock", "toBlock"))
            blocks = [self._receipts(hex(number)) for number in range(first, last + 1)]
        return [log for block in blocks for log in _logs(block) if _matches(log, wanted)]

    def _account(self, where: object, address: bytes) -> SimAccount:
        return _world(self._state(where)).account(address)


def _logs(block: SimBlock) -> Iterator[dict[str, object]]:
    hashes, index = block.transactions(len(block.changes)), 0
    for at, change in enumerate(block.changes):
        for log in change.logs:
            yield {**log_json(log), **_place(block, at, hashes[at]), "logIndex": hex(index)}
            index += 1


def _place(block: SimBlock, at: int, tx_hash: str) -> dict[str, object]:
    number = hex(block.number)
    return {"blockHash": block.hash, "blockNumber": number, "transactionHash": tx_hash, "transactionIndex": hex(at)}


def _matches(log: dict[str, object], wanted: dict[str, Any]) -> bool:
    addresses = _listed(wanted.get("address"))
    if addresses and str(log["address"]) not in [str(one).lower() for one in addresses]:
        return False
    topics = log["topics"]
    shown = topics if isinstance(topics, list) else []
    for at, choice in enumerate(wanted.get("topics") or []):
        choices = [str(one).lower() for one in _listed(choice)]
        if choices and (at >= len(shown) or shown[at] not in choices):
            return False
    return True


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _proven(account: SimAccount, key: int) -> dict[str, object]:
    nodes = account.storage.proof(keccak256(word(key)))
    return {"key": hex(key), "value": hex(account.slots.get(key, 0)), "proof": [_hex(node) for node in nodes]}


def _world(block: SimBlock) -> World:
    return block.world or World()


def _two(params: list[Any]) -> tuple[bytes, object]:
    match params:
        case [str() as address, where]:
            return _address(address), where
    raise Refusal(INVALID_PARAMS, "expected an address and a block")


def _address(text: str) -> bytes:
    found = _bytes(text)
    if len(found) != 20:  # noqa: PLR2004 - an address
        raise Refusal(INVALID_PARAMS, "invalid argument: an address has 20 bytes")
    return found


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Refusal(INVALID_PARAMS, "invalid argument: no hex string") from None


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise Refusal(INVALID_PARAMS, "invalid argument: no hex number") from None


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
