"""Headers of a real anvil, of every hard fork that it knows, hash to what the node says; altered ones do not."""

from typing import Any

import orjson
import pytest
from tests.support.anvil import Anvil, Lockstep, running_anvil

from tocsin.chain.header import Absent, decode_header, real_hash
from tocsin.chain.tree import HeaderTree, insert, missing, relation, reorg
from tocsin.model.block import Header, Verification
from tocsin.model.view import Ahead, Forked, Level

BESIDE = {"size", "totalDifficulty", "transactions", "uncles", "withdrawals"}
APPENDED = {"london": 1, "paris": 1, "shanghai": 2, "cancun": 5, "prague": 6, "osaka": 6}


def header(block: dict[str, Any]) -> Header:
    decoded = decode_header(orjson.dumps(block))
    assert isinstance(decoded, Header)
    return decoded


async def mine_transfer(anvil: Anvil) -> None:
    sender, receiver = (await anvil.call("eth_accounts"))[:2]
    await anvil.call("eth_sendTransaction", {"from": sender, "to": receiver, "value": "0x1"})
    await anvil.mine()


@pytest.mark.parametrize("fork", APPENDED)
async def test_blocks_of_each_hard_fork_match_and_altered_ones_do_not(anvil_binary: str, fork: str) -> None:
    async with running_anvil(anvil_binary, "--hardfork", fork) as anvil:
        await anvil.mine(2)
        await mine_transfer(anvil)
        genesis, *blocks = [await anvil.block(where) for where in ("0x0", "0x1", "0x2", "latest")]
    # The genesis of an old fork has the blob fields all the same, which no fork has: it matches, more is not known.
    assert header(genesis).verification is Verification.MATCH
    altered = header({**genesis, "gasUsed": "0x1"}).verification
    assert altered is (Verification.MISMATCH if APPENDED[fork] >= 5 else Verification.CANNOT_VERIFY)
    assert blocks[-1]["transactions"]
    for block in blocks:
        fields = set(block) - BESIDE
        assert len(fields) == 16 + APPENDED[fork]
        assert header(block).verification is Verification.MATCH
        for field in sorted(fields):
            last = int(block[field][-1], 16) ^ 1 if block[field] != "0x" else None
            altered = {**block, field: "0x01" if last is None else f"{block[field][:-1]}{last:x}"}
            assert header(altered).verification is Verification.MISMATCH, field
        assert real_hash(orjson.dumps({**block, "hash": "0x" + "ab" * 32})) == block["hash"]


async def test_a_block_that_the_node_does_not_have_is_absent(anvil: Anvil) -> None:
    assert decode_header(orjson.dumps(await anvil.block("0xffff"))) == Absent()


async def test_branches_of_real_nodes_are_seen_as_forks_and_as_one_chain_again(lockstep: Lockstep) -> None:
    async def head(anvil: Anvil) -> Header:
        return header(await anvil.block())

    async def filled(tree: HeaderTree, *heads: Header) -> HeaderTree:
        tree = insert(tree, *heads)
        while steps := missing(tree, heads):
            for step in steps:
                for anvil in (lockstep.left, lockstep.right):
                    block = await anvil.call("eth_getBlockByHash", step.hash, *[False])
                    tree = insert(tree, header(block)) if block is not None else tree
        return tree

    await lockstep.mine(3)
    root = await head(lockstep.left)
    await lockstep.diverge(4)
    left, right = await head(lockstep.left), await head(lockstep.right)
    tree = await filled(HeaderTree(), left, right)
    assert relation(tree, right, left) == Forked(4, root.ref)
    await lockstep.rejoin()
    back = await head(lockstep.right)
    assert relation(tree, back, left) == Level()
    assert reorg(tree, right, back) == Forked(4, root.ref)
    await lockstep.mine(2)
    newer = await head(lockstep.left)
    assert relation(await filled(tree, newer, back), newer, left) == Ahead(2)
