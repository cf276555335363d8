"""What a node may say instead of the truth about a contract, one thing at a time, and by which detector it is named."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.support.realpool import ALICE

from tocsin.model.contract import ContractSettings, Watch
from tocsin.testing.faults import Lie
from tocsin.testing.jsonrpc import Json

WORD: Final = f"0x{int(ALICE, 16):064x}"
Change = Callable[[Any], Any]


def in_slot(change: Change) -> Change:
    """Change the first slot of a proof."""

    def changed(said: Any) -> Any:
        first, *rest = said["storageProof"]
        return {**said, "storageProof": [change(first), *rest]}

    return changed


def flipped(text: str, at: int = -1) -> str:
    """Change one digit of hex."""
    at %= len(text)
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def without_last(nodes: list[str]) -> list[str]:
    return nodes[:-1]


@dataclass(frozen=True)
class Untruth:
    """What a node says instead, of one contract, and by which detector it is named."""

    method: str
    change: Change
    detector: str
    of: Callable[[ContractSettings], bool] = lambda _one: True


def has_slot(one: ContractSettings) -> bool:
    return any(one.layout(watch) is not None for watch in one.watches)


def is_proven(one: ContractSettings) -> bool:
    """Whether slots of it are read, be it by their proofs alone."""
    return has_slot(one) or Watch.SAFE in one.watches


def has_code(one: ContractSettings) -> bool:
    return Watch.CODE in one.watches


def has_call(one: ContractSettings) -> bool:
    return bool(_CALLED & set(one.watches))


_CALLED: Final = {Watch.OWNER, Watch.PAUSED, Watch.PAUSER, Watch.ROLES, Watch.SAFE, Watch.SUPPLY}
PROOF, VALUE = "node.proof_invalid", "node.call_mismatch"
UNTRUTHS: Final = {
    "a slot in a proof": Untruth("eth_getProof", in_slot(lambda slot: {**slot, "value": WORD}), PROOF, is_proven),
    "an empty slot in a proof": Untruth(
        "eth_getProof", in_slot(lambda slot: {**slot, "value": "0x0", "proof": []}), PROOF, is_proven
    ),
    "a node of a slot's proof": Untruth(
        "eth_getProof", in_slot(lambda slot: {**slot, "proof": [flipped(slot["proof"][0], 30), *slot["proof"][1:]]}),
        PROOF, has_slot,
    ),
    "the balance in a proof": Untruth("eth_getProof", lambda said: {**said, "balance": "0x1"}, PROOF),
    "the code hash in a proof": Untruth(
        "eth_getProof", lambda said: {**said, "codeHash": flipped(said["codeHash"])}, PROOF
    ),
    "a node too many": Untruth(
        "eth_getProof", lambda said: {**said, "accountProof": [*said["accountProof"], "0x80"]}, PROOF
    ),
    "a node too few": Untruth(
        "eth_getProof", lambda said: {**said, "accountProof": without_last(said["accountProof"])}, PROOF
    ),
    "no account at all": Untruth(
        "eth_getProof", lambda said: {**said, "accountProof": [], "codeHash": "0x" + "00" * 32, "nonce": "0x0"}, PROOF
    ),
    "a balance": Untruth("eth_getBalance", lambda _: "0x1", VALUE, lambda one: bool(one.balances)),
    "a slot": Untruth("eth_getStorageAt", lambda _: WORD, VALUE, has_slot),
    "an empty slot": Untruth("eth_getStorageAt", lambda _: "0x" + "00" * 32, VALUE, has_slot),
    "one byte of the code": Untruth("eth_getCode", lambda said: flipped(said, 101), VALUE, has_code),
    "the end of the code": Untruth("eth_getCode", lambda said: said[:-2], VALUE, has_code),
    "no code": Untruth("eth_getCode", lambda _: "0x", VALUE, has_code),
    "the result of a call": Untruth("eth_call", lambda _: WORD, VALUE, has_call),
    "an empty result": Untruth("eth_call", lambda _: "0x", VALUE, has_call),
}  # fmt: skip


def telling(untruth: Untruth, address: str, lies: list[Json] | None = None) -> Lie:
    """Return the fault of a node that says so of one contract, and the truth of all others.

    Calls at which it was no truth come into `lies`: who says that an empty slot is empty says nothing wrong.
    """

    def tell(truth: Any, call: Json) -> Any:
        first = call["params"][0] if call["method"] == untruth.method else None
        if (first.get("to") if isinstance(first, dict) else first) != address:
            return truth
        said = untruth.change(truth)
        if said != truth and lies is not None:
            lies.append(call)
        return said

    return Lie(tell=tell)
