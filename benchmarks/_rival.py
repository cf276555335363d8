"""web3.py taking in the logs of one answer: run by a Python that has it, and knows nothing of Tocsin.

Reads the path of a body from its first argument. For each line on standard input it takes the body in once, by
`eth.get_logs` and `process_log` of the event, and writes the CPU seconds, and how many logs there were.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

TRANSFER_ABI = [
    {
        "type": "event",
        "name": "Transfer",
        "anonymous": False,
        "inputs": [
            {"name": "from", "type": "address", "indexed": True},
            {"name": "to", "type": "address", "indexed": True},
            {"name": "value", "type": "uint256", "indexed": False},
        ],
    }
]


def main() -> None:
    """Serve until standard input ends."""
    from web3 import Web3  # noqa: PLC0415 - not installed where everything else of the benchmarks runs
    from web3.providers import JSONBaseProvider  # noqa: PLC0415

    body = Path(sys.argv[1]).read_bytes()

    class Canned(JSONBaseProvider):  # type: ignore[misc]
        """Answers whatever is asked with the body."""

        def make_request(self, method: Any, params: Any) -> Any:
            """Return the body as any provider of web3 would."""
            del method, params
            return self.decode_rpc_response(body)

    web3 = Web3(Canned())
    transfer = web3.eth.contract(abi=TRANSFER_ABI).events.Transfer()
    for _ in sys.stdin:
        begun = time.process_time()
        found = [transfer.process_log(log) for log in web3.eth.get_logs({"fromBlock": 0, "toBlock": 99})]
        print(json.dumps([time.process_time() - begun, len(found)]), flush=True)


if __name__ == "__main__":
    main()
