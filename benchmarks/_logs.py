"""How many logs a second the index takes in, and how many the usual way does: decoded one by one.

The same bodies of `eth_getLogs` for both, as bytes from the socket. The index: the answer is read from its envelope,
every log checked (place, order, block, contract, event), the list named by its digest, and the accounts tallied.
The usual way is what web3.py does for `get_logs` and `process_log`, written with its own libraries and nothing of the
rest of it: JSON, each field made a value (`HexBytes` is bytes here, addresses with checksum), topics and data decoded
by eth-abi. web3.py itself does more; where an environment has it (`make bench` makes one, `.venv-rivals`), it takes the
same body in by `get_logs` and `process_log` in the same run, in a process of its own.
"""

import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson
from eth_abi.abi import decode
from eth_utils.address import to_checksum_address

from tocsin.chain.loganswer import Answered, digest_of, read_logs
from tocsin.chain.logindex import tally
from tocsin.chain.logrules import EventRule, RuleSet, Topic
from tocsin.model.logquery import LogsIn, logs
from tocsin.model.observation import Fault, RpcError
from tocsin.wire import jsonrpc

TOKENS = tuple(bytes([0xA0 + number]) * 20 for number in range(8))
TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""`Transfer(address,address,uint256)`, as every ERC-20 has it."""
RULES = RuleSet(
    rules=(
        EventRule(name="sender", addresses=TOKENS, topic0=TRANSFER, account=Topic(1)),
        EventRule(name="receiver", addresses=TOKENS, topic0=TRANSFER, account=Topic(2)),
    )
)
RIVALS: Final = Path(__file__).parents[1] / ".venv-rivals"
BLOCKS, PER_BLOCK, ACCOUNTS = 100, 20, 5_000


def body(seed: int) -> bytes:
    """Return an answer of 100 blocks with 20 logs each, as a node sends it."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret

    def log(number: int, block_hash: str, at: int) -> dict[str, Any]:
        users = [rng.randrange(ACCOUNTS).to_bytes(32).hex() for _ in range(2)]
        return {
            "address": f"0x{rng.choice(TOKENS).hex()}",
            "topics": [f"0x{TRANSFER.hex()}", *(f"0x{user}" for user in users)],
            "data": f"0x{rng.randbytes(32).hex()}",
            "blockNumber": hex(number),
            "transactionHash": f"0x{rng.randbytes(32).hex()}",
            "transactionIndex": hex(at),
            "blockHash": block_hash,
            "blockTimestamp": hex(1_700_000_000 + 12 * number),
            "logIndex": hex(3 * at),
            "removed": False,
        }

    found = []
    for number in range(BLOCKS):
        block_hash = f"0x{rng.randbytes(32).hex()}"
        found += [log(number, block_hash, at) for at in range(PER_BLOCK)]
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": found}).encode()


def indexed(sent: bytes) -> int:
    """Take an answer in as the indexer does; return how many logs it had."""
    query = LogsIn(first=0, last=BLOCKS - 1, wanted=RULES.wanted)
    parts = jsonrpc.read(sent, (logs(query),))
    assert not isinstance(parts, Fault | RpcError)
    answer = read_logs(parts[0].result or b"", query)
    assert isinstance(answer, Answered)
    digest_of(answer.blocks)
    return tally(RULES, answer.blocks).logs


def decoded(sent: bytes) -> int:
    """Take an answer in log by log; return how many there were."""
    touched: dict[str, tuple[int, int]] = {}
    found = orjson.loads(sent)["result"]
    for entry in found:
        number = int(entry["blockNumber"], 16)
        shown = {
            "address": to_checksum_address(entry["address"]),
            "topics": [bytes.fromhex(topic[2:]) for topic in entry["topics"]],
            "data": bytes.fromhex(entry["data"][2:]),
            "blockHash": bytes.fromhex(entry["blockHash"][2:]),
            "transactionHash": bytes.fromhex(entry["transactionHash"][2:]),
            "place": (number, int(entry["transactionIndex"], 16), int(entry["logIndex"], 16)),
        }
        ends = [decode(["address"], topic)[0] for topic in shown["topics"][1:]]
        decode(["uint256"], shown["data"])
        for account in map(to_checksum_address, ends):
            first, _ = touched.get(account, (number, number))
            touched[account] = (first, number)
    return len(found)


@contextlib.contextmanager
def running_rival(sent: bytes) -> Iterator[Callable[[], float] | None]:
    """Run web3.py beside, and give what lets it take the body in once and returns logs a second; None without it."""
    python = Path(os.environ.get("TOCSIN_RIVALS_PYTHON", RIVALS / "bin" / "python"))
    if not python.exists():
        yield None
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(sent)
        file.flush()
        script = str(Path(__file__).with_name("_rival.py"))
        with subprocess.Popen(
            [python, script, file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            asked, told = process.stdin, process.stdout

            def once() -> float:
                asked.write("\n")
                asked.flush()
                seconds, count = json.loads(told.readline())
                assert count == BLOCKS * PER_BLOCK
                return float(count / seconds)

            try:
                yield once
            finally:
                process.kill()


def index_vs_others(*, rounds: int = 5, seed: int = 1) -> dict[str, float | None]:
    """Return logs a second of each, in CPU time of the same run, taken in turn; the best of the rounds of each."""
    sent = body(seed)
    best = {"index_logs_s": 0.0, "decode_logs_s": 0.0, "web3_logs_s": 0.0}
    ways: dict[str, Callable[[bytes], int]] = {"index_logs_s": indexed, "decode_logs_s": decoded}
    with running_rival(sent) as rival:
        for _ in range(rounds):
            for name, way in ways.items():
                begun = time.process_time()
                count = way(sent)
                best[name] = max(best[name], count / (time.process_time() - begun))
            if rival is not None:
                best["web3_logs_s"] = max(best["web3_logs_s"], rival())
    return {
        **best,
        "index_vs_decode": best["index_logs_s"] / best["decode_logs_s"],
        "index_vs_web3": best["index_logs_s"] / best["web3_logs_s"] if best["web3_logs_s"] else None,
    }
