"""A price feed for a real chain, compiled here: the part of Chainlink's AggregatorV3Interface that is read.

Slots 0 to 4 hold the newest round (number, answer, begun, updated, answered in), slot 5 the decimals. `answer(int256)`
begins another round, at the time of its block.
"""

from collections.abc import Sequence
from typing import Final

from tocsin.chain.keccak import keccak256

_CODES: Final = {
    name: code
    for code, name in (
        *((0x00, "STOP"), (0x01, "ADD"), (0x02, "MUL"), (0x14, "EQ"), (0x15, "ISZERO"), (0x1C, "SHR")),
        *((0x35, "CALLDATALOAD"), (0x42, "TIMESTAMP")),
        *((0x52, "MSTORE"), (0x54, "SLOAD"), (0x55, "SSTORE"), (0x56, "JUMP"), (0x57, "JUMPI"), (0x5B, "JUMPDEST")),
        *((0x5F, "PUSH0"), (0x80, "DUP1"), (0x39, "CODECOPY"), (0xF3, "RETURN"), (0xFD, "REVERT")),
    )
}
"""Of the instructions that are needed (yellow paper, appendix H; EIP-3855)."""
_PUSH1, _PUSH2, _PUSH4 = 0x60, 0x61, 0x63

_ROUND: Final = range(5)
_DECIMALS: Final = 5
_HEAD: Final = 11
"""Bytes ahead of the runtime."""


def assembled(program: Sequence[str | int | bytes]) -> bytes:
    """Return the code of a program: names of instructions, numbers and selectors to push, `:label` and `@label`."""
    code, labels, uses = bytearray(), dict[str, int](), list[tuple[int, str]]()
    for step in program:
        if isinstance(step, bytes):
            code += bytes([_PUSH4]) + step
        elif isinstance(step, int):
            code += bytes([_PUSH1, step]) if step else bytes([_CODES["PUSH0"]])
        elif step.startswith(":"):
            labels[step[1:]] = len(code)
            code.append(_CODES["JUMPDEST"])
        elif step.startswith("@"):
            uses.append((len(code) + 1, step[1:]))
            code += bytes([_PUSH2, 0, 0])
        else:
            code.append(_CODES[step])
    for at, label in uses:
        code[at : at + 2] = labels[label].to_bytes(2)
    return bytes(code)


def selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


def returning(slots: Sequence[int]) -> list[str | int | bytes]:
    """Return the words of these slots, one after the other."""
    stored = [step for at, slot in enumerate(slots) for step in (slot, "SLOAD", 32 * at, "MSTORE")]
    return [*stored, 32 * len(slots), 0, "RETURN"]


def dispatched(functions: Sequence[tuple[str, Sequence[str | int | bytes]]]) -> list[str | int | bytes]:
    """Jump to the function that the first four bytes of the input name; revert for any other."""
    program: list[str | int | bytes] = [0, "CALLDATALOAD", 0xE0, "SHR"]
    for signature, _ in functions:
        program += ["DUP1", selector(signature), "EQ", f"@{signature}", "JUMPI"]
    program += [0, 0, "REVERT"]
    for signature, body in functions:
        program += [f":{signature}", *body]
    return program


FEED: Final = assembled(
    dispatched(
        (
            ("latestRoundData()", returning(_ROUND)),
            ("getRoundData(uint80)", returning(_ROUND)),
            ("decimals()", returning([_DECIMALS])),
            (
                "answer(int256)",
                [
                    *(4, "CALLDATALOAD", 1, "SSTORE"),
                    *(0, "SLOAD", 1, "ADD", "DUP1", 0, "SSTORE", 4, "SSTORE"),
                    *("TIMESTAMP", "DUP1", 2, "SSTORE", 3, "SSTORE", 8, _DECIMALS, "SSTORE", "STOP"),
                ],
            ),
        )
    )
)


def creation(runtime: bytes) -> bytes:
    """Return the code whose execution puts a runtime on the chain."""
    size = len(runtime).to_bytes(2)
    head = bytes([_PUSH2]) + size + bytes([_CODES["DUP1"], _PUSH2, 0, _HEAD, _CODES["PUSH0"], _CODES["CODECOPY"]])
    head += bytes([_CODES["PUSH0"], _CODES["RETURN"]])
    assert len(head) == _HEAD
    return head + runtime
