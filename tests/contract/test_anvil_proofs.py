"""Accounts and slots of a real anvil are proven under the state root of their block, old ones too, and lies are not."""

from typing import Any

import orjson
from tests.support.anvil import Anvil

from tocsin.chain.keccak import keccak256
from tocsin.chain.proof import EMPTY_CODE, Claim, Proven, Refuted, claim_of, verify

CONTRACT = bytes.fromhex("c0ffee" + "00" * 17)
NOBODY = b"\x99" * 20
CODE = bytes.fromhex("6020356000355500")
"""Writes its second word of input to the slot that the first one names."""
SLOTS = {at: at**20 + 1 for at in range(300)}


def word(value: int) -> bytes:
    return value.to_bytes(32)


async def state_of(anvil: Anvil, address: bytes, where: str, *slots: int) -> tuple[bytes, Claim]:
    keys = [word(slot) for slot in slots]
    said: dict[str, Any] = await anvil.call(
        "eth_getProof", f"0x{address.hex()}", [f"0x{key.hex()}" for key in keys], where
    )
    claim = claim_of(orjson.dumps(said), address, keys)
    assert isinstance(claim, Claim), claim
    return bytes.fromhex((await anvil.block(where))["stateRoot"][2:]), claim


async def test_state_of_a_node_is_proven_at_every_block_and_changed_answers_are_refuted(anvil: Anvil) -> None:
    await anvil.call("anvil_setCode", f"0x{CONTRACT.hex()}", f"0x{CODE.hex()}")
    for slot, value in SLOTS.items():
        await anvil.call("anvil_setStorageAt", f"0x{CONTRACT.hex()}", f"{slot:#x}", f"0x{word(value).hex()}")
    await anvil.mine(2)
    first = (await anvil.block())["number"]
    sender = (await anvil.call("eth_accounts"))[0]
    data = f"0x{word(7).hex()}{word(0).hex()}"
    await anvil.call("eth_sendTransaction", {"from": sender, "to": f"0x{CONTRACT.hex()}", "data": data})
    await anvil.mine(2)

    asked = (0, 7, 299, 300, 2**255)
    for where, seven in ((first, SLOTS[7]), ("latest", 0)):
        root, claim = await state_of(anvil, CONTRACT, where, *asked)
        proven = verify(root, claim)
        assert isinstance(proven, Proven), proven
        assert proven.account is not None
        assert proven.account.code_hash == keccak256(CODE)
        assert proven.slots == {word(slot): SLOTS.get(slot, 0) if slot != 7 else seven for slot in asked}
        other, _ = await state_of(anvil, CONTRACT, "0x0")
        assert isinstance(verify(other, claim), Refuted), "another block's root"


async def test_a_wallet_and_an_address_without_an_account_are_proven_as_well(anvil: Anvil) -> None:
    wallet = bytes.fromhex((await anvil.call("eth_accounts"))[0][2:])
    await anvil.mine()
    root, claim = await state_of(anvil, wallet, "latest", 0)
    proven = verify(root, claim)
    assert isinstance(proven, Proven)
    assert proven.account is not None
    assert proven.account.balance == int(await anvil.call("eth_getBalance", f"0x{wallet.hex()}", "latest"), 16)
    assert proven.account.code_hash == EMPTY_CODE
    root, claim = await state_of(anvil, NOBODY, "latest", 0)
    assert verify(root, claim) == Proven(account=None, slots={word(0): 0})
