"""What reading state costs: aggregates, proofs, watched contracts, the log index.

    python -m benchmarks.state [--json] [--quick]

All figures are CPU time of this process; nodes run in others. 200 reads are one aggregate over a real session, the
answers of each block different ones, and every value is compared with what eth-abi decodes; the floor is what aiohttp
takes for the same bytes. A proof is that of an account and four slots, 32 nodes in tries as deep as mainnet's. What
watching costs is the difference between blocks with 20 contracts on 3 nodes and blocks without, taken in turn. The
index and what it is compared with take in the same body in turn; web3.py runs in an environment of its own, which
`make bench` makes: without one there is no such figure.
"""

import argparse
import asyncio
import json

from benchmarks import _aggregates, _logs, _proofs, _watching


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the last line only")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    rounds = 4 if options.quick else 20
    with _aggregates.running_node() as port:
        figures: dict[str, float | bool | None] = {
            **asyncio.run(_aggregates.measured(port, readings=50, rounds=rounds))
        }
    figures |= _proofs.measured(rounds=rounds)
    with _watching.running_nodes() as nodes:
        figures |= asyncio.run(_watching.measured(nodes, blocks=4 if options.quick else 30))
    figures |= _logs.index_vs_others(rounds=3 if options.quick else 8)
    if not options.json:
        for name, value in figures.items():
            print(f"{name:24} {value if isinstance(value, bool | None) else f'{value:,.3f}'}")
    print(json.dumps({name: round(value, 5) if isinstance(value, float) else value for name, value in figures.items()}))


if __name__ == "__main__":
    main()
