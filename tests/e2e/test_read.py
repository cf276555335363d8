"""`tocsin read` with a living daemon: the value is that of the chain, who lies changes nothing, mistakes are told."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import eth_abi
import pytest
from tests.support.liveindex import Liar, Shifted
from tests.support.readchain import BANK, BANK_CODE, NOWHERE, REVERTS, TEXT, amount, bank, word
from tests.support.watchdog import NodeAt, Watchdog, toml, watchdog

from tocsin.chain.abi import checksummed
from tocsin.clock import MS
from tocsin.testing import ChainSpec, SimChain, serve_nodes
from tocsin.testing.simstate import SimAccount, World

SLOT_MS, HISTORY, BASE = 1000, 40, 4711
ADDRESS = checksummed(f"0x{BANK.hex()}")
AMOUNT = "0xdeadbeef"
"""The selector of nothing; the bank looks at the word behind it."""


def asked(number: int) -> str:
    return AMOUNT + word(number).hex()


def wrong_amount(method: str, result: Any) -> Any:
    """Say one more than it is of each word that a call returns."""
    is_word = method == "eth_call" and isinstance(result, str) and len(result) == 66
    return f"0x{(int(result, 16) + 1) % 2**256:064x}" if is_word else result


def wrong_proof(method: str, result: Any) -> Any:
    if method == "eth_getProof":
        result["storageProof"] = [{**entry, "value": "0xbad"} for entry in result["storageProof"]]
    return wrong_amount(method, result)


def malformed_proof(method: str, result: Any) -> Any:
    return {**result, "storageProof": []} if method == "eth_getProof" else result


class Bank:
    """A daemon, the chain that it watches, and nodes of it."""

    def __init__(self, daemon: Watchdog, nodes: dict[str, Liar]) -> None:
        self.daemon = daemon
        self.nodes = nodes

    async def read(self, *words: str) -> Any:
        return await self.daemon.command("read", *words, "--config", str(self.daemon.config))

    async def json(self, *words: str) -> Any:
        said = await self.read(*words, "--json")
        assert said.out, said
        return json.loads(said.out)


@asynccontextmanager
async def watched(folder: Path, names: Sequence[str] = ("a", "b", "c")) -> AsyncIterator[Bank]:
    clock = Shifted(HISTORY * SLOT_MS * MS)
    world = World({BANK: SimAccount(code=BANK_CODE, slots={0: BASE, 7: 12})})
    spec = ChainSpec(chain_id=1337, slot_ns=SLOT_MS * MS, history=0, world=world, finalized_after=16)
    chain = SimChain(clock, spec)
    chain.programs[BANK_CODE] = bank
    for _ in range(HISTORY):
        clock.behind_ns -= SLOT_MS * MS
        chain.grow()
    nodes = {name: Liar(chain, name=name) for name in names}
    async with serve_nodes(*nodes.values()) as listeners:
        task = asyncio.create_task(grow(chain))
        places = {name: NodeAt(url=listener.url, provider=name) for name, listener in listeners.items()}
        try:
            async with watchdog(folder, toml(folder, places, broker=None, block_time=f"{SLOT_MS}ms")) as daemon:
                daemon.start()
                await daemon.until_status(is_agreed, "the finalized block is agreed on")
                yield Bank(daemon, nodes)
        finally:
            task.cancel()


async def grow(chain: SimChain) -> None:
    while True:
        await asyncio.sleep(SLOT_MS / 1000)
        chain.grow()


def is_agreed(status: dict[str, Any]) -> bool:
    chain = status["chains"][0]
    return chain["grade"] == "quorum" and chain["head"] is not None and chain["finalized"] is not None


async def test_a_value_is_the_chain_s_and_said_with_how_it_is_known(tmp_path: Path) -> None:
    async with watched(tmp_path) as bank_:
        page = await bank_.read(ADDRESS, asked(5), "--slot", "7", "--slot", "0x0")
        assert page.code == 0, page
        lines = page.out.splitlines()
        assert lines[0] == f"0x{word(amount(5, BASE)).hex()}"
        assert lines[1] == "quorum, 3 of 3 groups"
        assert [line for line in lines if line.startswith("slot ")] == [f"slot 0x{at:064x}" for at in (7, 0)]
        assert f"  0x{word(12).hex()}" in lines
        assert "  proven, by a, b, c" in lines
        assert "(head) of sim" in lines[-1]
        told = await bank_.json(ADDRESS.lower(), asked(5), "--block", "finalized", "--slot", "0")
        assert told["schema"] == 1
        assert told["block"]["lane"] == "finalized"
        assert int(told["call"]["value"], 16) == amount(5, BASE)
        assert (told["call"]["grade"], told["call"]["votes"], told["call"]["groups"]) == ("quorum", 3, 3)
        assert [one["node"] for one in told["call"]["said"]] == ["a", "b", "c"]
        assert (told["slots"][0]["grade"], int(told["slots"][0]["value"], 16)) == ("proven", BASE)
        assert told["has_code"] is True
        head = await bank_.json(ADDRESS, asked(5))
        assert head["block"]["number"] > told["block"]["number"]


async def test_who_lies_changes_nothing_and_is_shown_beside_it(tmp_path: Path) -> None:
    async with watched(tmp_path) as bank_:
        bank_.nodes["b"].lie = wrong_proof
        page = await bank_.read(ADDRESS, asked(5), "--slot", "7")
        assert page.code == 0, page
        lines = page.out.splitlines()
        assert lines[0] == f"0x{word(amount(5, BASE)).hex()}"
        assert lines[1] == "quorum, 2 of 3 groups"
        assert lines[2] == f"b (b) says 0x{word(amount(5, BASE) + 1).hex()}"
        assert f"  0x{word(12).hex()}" in lines
        assert "  proven, by a, c" in lines
        assert f"  b (b) says 0x{0xBAD:064x}" in lines
        assert lines[-1].startswith("b (b) does not count: its proof is wrong: slot 0x")
        assert lines[-1].endswith("the proof is of 0xc, the answer says 0xbad")
        bank_.nodes["b"].lie = malformed_proof
        page = await bank_.read(ADDRESS, asked(5), "--slot", "7")
        assert page.code == 0, page
        assert page.out.splitlines()[1] == "quorum, 2 of 3 groups"
        assert "\nb (b) does not count: its proof is malformed: storageProof: not the list of the 1 slots" in page.out
        assert "b (b) says" not in page.out
        bank_.nodes["b"].lie = wrong_amount
        bank_.nodes["a"].lie = lambda method, result: "0x1234" if method == "eth_call" else result
        page = await bank_.read(ADDRESS, asked(5))
        assert page.code == 1
        assert page.out.startswith("not known: groups contradict each other\nsplit, 0 of 3 groups")
        assert page.out.count(" says ") == 3


async def test_reverts_missing_code_and_other_types_are_told_as_such(tmp_path: Path) -> None:
    async with watched(tmp_path) as bank_:
        reverted = await bank_.read(ADDRESS, asked(REVERTS))
        assert reverted.code == 1
        assert reverted.out.startswith("reverts: execution reverted\nquorum, 3 of 3 groups\n")
        nowhere = await bank_.read(f"0x{NOWHERE.hex()}", "balanceOf(address)(uint256)", ADDRESS)
        assert re.match(
            rf"there is no code at 0x{NOWHERE.hex()} at block \d+ of sim: check the address, and the chain\nblock ",
            nowhere.out,
        )
        assert nowhere.code == 1
        bare = await bank_.read(f"0x{NOWHERE.hex()}", "--slot", "0")
        assert bare.out.startswith(f"there is no code at 0x{NOWHERE.hex()} at block ")
        assert bare.code == 1
        assert (await bank_.read(f"0x{NOWHERE.hex()}", "balanceOf(address)(uint256)", ADDRESS, "--json")).code == 1
        text = await bank_.json(ADDRESS, asked(TEXT))
        assert bytes.fromhex(text["call"]["value"][2:]) == eth_abi.encode(["string"], ["words"])
        # The bank takes any selector, so that it has a function for each test.
        number = await bank_.read(ADDRESS, "amount(uint256)(uint256)", "0x5")
        assert number.out.splitlines()[0].startswith(f"{amount(5, BASE)} [")
        wrong = await bank_.read(ADDRESS, "amount(uint256)(bool)", "5")
        assert wrong.code == 0
        assert "this is not (bool): no value of bool at byte 0" in wrong.out
        decoded = await bank_.json(ADDRESS, "amount(uint256)(uint256)", "5")
        assert decoded["decoded"] == [str(amount(5, BASE))]


async def test_nothing_is_known_of_a_block_that_leaves_the_chain_and_of_nobody(tmp_path: Path) -> None:
    async with watched(tmp_path) as bank_:
        for words, said in (
            ((ADDRESS, asked(5), "--chain", "sum"), "no chain is called 'sum'; there are sim"),
            ((ADDRESS, asked(5), "--block", "latest"), "--block takes head or finalized, not 'latest'"),
        ):
            refused = await bank_.read(*words)
            assert said in refused.err
            assert refused.code in (1, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([ADDRESS, "balanceOf(adress)", ADDRESS], "'adress' is no type (did you mean address?)"),
        ([ADDRESS, "balanceOf(address)(uint256)"], "takes 1 argument (address), and 0 are given"),
        ([ADDRESS, "totalSupply()(uint256)", "1"], "takes no argument, and 1 is given"),
        ([ADDRESS.swapcase().replace("0X", "0x"), "totalSupply()"], "the checksum of"),
        (["0x12", "totalSupply()"], "'0x12' is no address"),
        ([ADDRESS], "say what to read"),
        ([ADDRESS, "--slot", "x"], "--slot: 'x' is no integer"),
        ([ADDRESS, "0xabc"], "is no bytes"),
        ([ADDRESS, "0xab", "1"], "behind the data of a call there are none"),
        ([ADDRESS, "totalSupply()"], "no daemon runs here"),
    ],
)
async def test_mistakes_are_told_without_asking_anybody(tmp_path: Path, words: list[str], said: str) -> None:
    async with watchdog(tmp_path, toml(tmp_path, {"a": NodeAt(url="http://127.0.0.1:9")}, broker=None)) as daemon:
        refused = await daemon.command("read", *words, "--config", str(daemon.config))
        assert refused.err.startswith("tocsin")
        assert said in refused.err
        assert refused.code == (1 if "daemon" in said else 3)
