"""A simulated chain whose contracts return what a test can work out, and nodes of it that are read in process."""

from collections.abc import Callable, Iterable
from typing import Any

import eth_abi
from tests.support.logchain import Failure, Nodes

from tocsin.chain.readload import Wanted
from tocsin.clock import NS
from tocsin.model.block import BlockRef
from tocsin.model.observation import Fault, Part
from tocsin.model.reading import CallOf, Pin, SlotOf
from tocsin.state.ground import Lane, Means, Place
from tocsin.testing import ChainSpec, ManualClock, SimChain
from tocsin.testing.simblock import SimBlock
from tocsin.testing.simstate import Change, Reverted, SimAccount, World
from tocsin.wire import aggregator, multicall

BANK = b"\xba" * 20
"""Returns of an input word n the word that `amount(n, block)` says, reverts for `REVERTS`, returns text for `TEXT`."""
BANK_CODE = b"\x01bank"
WRITER = b"\xbb" * 20
"""Fails among others, and returns seven by itself."""
WRITER_CODE = b"\x02writer"
NOWHERE = b"\x99" * 20
REVERTS, TEXT, LONG = 666, 777, 888
MULTICALL = b"\xca" * 20
MULTICALL_CODE = b"\x03multicall"
FINAL_AFTER = 8


def word(value: int) -> bytes:
    return value.to_bytes(32)


def amount(number: int, base: int) -> int:
    """What the bank returns of a number while its slot 0 holds `base`: 256 bits."""
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251 + base) % 2**256


def bank(world: World, to: bytes, data: bytes) -> bytes:
    number = int.from_bytes(data[4:])
    if number == REVERTS:
        raise Reverted(b"\x08\xc3\x79\xa0")
    if number == TEXT:
        return eth_abi.encode(["string"], ["words"])
    if number == LONG:
        return bytes(range(256)) * 40
    return word(amount(number, world.account(to).slots.get(0, 0)))


def call(number: int, to: bytes = BANK, **more: Any) -> Wanted:
    return Wanted(item=CallOf(to=to, data=b"\xde\xad\xbe\xef" + word(number)), **more)


def slot(number: int, address: bytes = BANK) -> Wanted:
    return Wanted(item=SlotOf(address=address, key=word(number)))


def unpacked(data: bytes) -> list[tuple[bytes, bytes]]:
    """The calls of an aggregate that is made by code that is put in place: targets and inputs."""
    found, at = [], 4
    while at < len(data):
        end = at + 24 + int.from_bytes(data[at : at + 4])
        found.append((data[at + 4 : at + 24], data[at + 24 : end]))
        at = end
    assert at == len(data)
    assert len(found) == int.from_bytes(data[:4])
    return found


def packed(results: Iterable[tuple[bool, bytes]]) -> bytes:
    """What code that is put in place returns of calls: whether each did, and its result."""
    found = list(results)
    heads = b"".join((len(result) | int(ok) << 31).to_bytes(4) for ok, result in found)
    return heads + bytes(28) + b"".join(result for _, result in found)


def makes_many_calls(chain: SimChain) -> None:
    """Let nodes of a chain answer calls that are made as one by code that is put in place."""

    def made(world: World, to: bytes, data: bytes) -> tuple[bool, bytes]:
        try:
            return True, chain.returned(world, to, data)
        except Reverted as reverted:
            return False, reverted.data

    chain.programs[aggregator.CODE] = lambda world, _to, data: packed(made(world, *one) for one in unpacked(data))


class ReadChain:
    """A chain with the contracts on it; block by block the bank's slot 0 grows by one."""

    def __init__(self, *, deployed: bool = True) -> None:
        self.clock = ManualClock()
        accounts = {
            BANK: SimAccount(code=BANK_CODE, slots={at: at + 5 for at in range(64)}),
            WRITER: SimAccount(code=WRITER_CODE),
            **({MULTICALL: SimAccount(code=MULTICALL_CODE)} if deployed else {}),
        }
        spec = ChainSpec(slot_ns=12 * NS, history=0, world=World(accounts), finalized_after=FINAL_AFTER)
        self.chain = SimChain(self.clock, spec)
        self.chain.programs[BANK_CODE] = bank
        self.chain.programs[WRITER_CODE] = lambda _world, _to, _data: word(7)
        self.chain.programs[aggregator.CODE] = self._packed
        self.chain.programs[MULTICALL_CODE] = self._aggregated
        self.grow(FINAL_AFTER + 4)

    def _aggregated(self, world: World, _to: bytes, data: bytes) -> bytes:
        assert data[:4] == multicall.SELECTOR
        [calls] = eth_abi.decode(["(address,bool,bytes)[]"], data[4:])
        return eth_abi.encode(["(bool,bytes)[]"], [[self._one(world, to, given) for to, _, given in calls]])

    def _packed(self, world: World, _to: bytes, data: bytes) -> bytes:
        return packed(self._one(world, f"0x{to.hex()}", given) for to, given in unpacked(data))

    def _one(self, world: World, to: str, data: bytes) -> tuple[bool, bytes]:
        address = bytes.fromhex(to[2:])
        if address == WRITER:
            return False, b""
        try:
            return True, self.chain.returned(world, address, data)
        except Reverted as reverted:
            return False, reverted.data

    def grow(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.chain.send(Change(slots={(BANK, 0): self.base() + 1}))
            self.clock.advance(s=12)
            self.chain.grow()

    def base(self, block: SimBlock | None = None) -> int:
        """What the bank's slot 0 holds at a block."""
        return ((block or self.chain.head()).world or World()).account(BANK).slots.get(0, 0)

    def reorg(self, depth: int = 2) -> None:
        self.chain.rollback(depth)
        self.grow(depth + 1)

    def is_on(self, block: BlockRef) -> bool:
        found = self.chain.at(block.number, self.chain.head())
        return found is not None and found.hash == block.hash


class ReadGround:
    """What the chain itself knows; `nodes` says of some that they are not asked, or how."""

    def __init__(self, world: ReadChain, *, pin: Pin = Pin.OBJECT, proofs: bool = False) -> None:
        self._world = world
        self._means = Means(pin=pin, proofs=proofs)
        self.nodes: dict[str, Means | None] = {}

    def place(self, lane: Lane) -> Place | None:
        head = self._world.chain.head()
        number = self._world.chain.finalized_number(head) if lane is Lane.FINAL else head.number - 1
        block = self._world.chain.at(number, head)
        return None if block is None else placed(block)

    def holds(self, block: BlockRef) -> bool:
        return self._world.is_on(block)

    def means(self, node: str, _place: Place) -> Means | None:
        return self.nodes.get(node, self._means)


def placed(block: SimBlock) -> Place:
    return Place(
        block=BlockRef(number=block.number, hash=block.hash), root=f"0x{(block.world or World()).trie.root.hex()}"
    )


class ReadNodes(Nodes):
    """Nodes that also take requests that are written already. `before` is called before each answer."""

    def __init__(self, chain: SimChain, names: str = "A B C") -> None:
        super().__init__(chain, names)
        self.before: Callable[[str], None] = lambda _node: None
        for one in self.nodes.values():
            one.data.pins_hash = True

    async def ask(self, node: str, call: str) -> tuple[Part, ...] | Fault:
        self.before(node)
        return await super().ask(node, call)

    async def read(self, node: str, call: str, body: bytes) -> tuple[Part, ...] | Fault:
        self.before(node)
        self.asked.append((node, call))
        return self.posted(node, (call,), body)


def asked_as_one(method: str, params: list[Any]) -> list[tuple[bytes, bytes]] | None:
    """The calls that a request makes as one, None for every other request."""
    if method != "eth_call":
        return None
    to, data = (bytes.fromhex(params[0][name][2:]) for name in ("to", "data"))
    if to == aggregator.PLACE:
        return unpacked(data)
    if data[:4] == multicall.SELECTOR:
        [calls] = eth_abi.decode(["(address,bool,bytes)[]"], data[4:])
        return [(bytes.fromhex(target[2:]), given) for target, _, given in calls]
    return None


def takes_no_code(method: str, params: list[Any], result: Any) -> Any:
    """A node that knows no state overrides."""
    if method == "eth_call" and len(params) > 2:
        raise Failure(-32602, "too many arguments, want at most 2")
    return result


def ignores_code(method: str, params: list[Any], result: Any) -> Any:
    """A node that takes state overrides, and forgets them."""
    return "0x" if method == "eth_call" and len(params) > 2 else result


def at_most(calls: int, *, text: str = "out of gas", code: int = -32000) -> Callable[[str, list[Any], Any], Any]:
    """A node that answers no more than so many calls as one."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if len(asked_as_one(method, params) or ()) > calls:
            raise Failure(code, text)
        return result

    return lie
