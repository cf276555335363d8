"""What people value books with today, run by a Python that has it, and that knows nothing of Tocsin.

Reads the path of arrays from its first argument; writes one JSON object: CPU seconds of each way, a median of some.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

REPEATS = 5


def median(function: Callable[[], object], repeats: int = REPEATS) -> float:
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        function()
        found.append(time.process_time() - begun)
    return statistics.median(found)


def by_scipy(data: Any) -> dict[str, float]:
    """Value a book under scenarios: three products of a sparse matrix for each, or for all of them at once.

    What is added up of each is the same: accounts that fall, what they owe, what nobody would pay, falls by account.
    """
    import numpy as np  # noqa: PLC0415 - not what this process starts with elsewhere
    from scipy import sparse  # noqa: PLC0415 - not installed where everything else of the benchmarks runs

    def matrix(side: str) -> Any:
        shape = (len(data[f"{side}_ptr"]) - 1, len(data["debt"]))
        return sparse.csr_matrix((data[f"{side}_amount"], data[f"{side}_col"], data[f"{side}_ptr"]), shape=shape)

    has, owes = matrix("collateral"), matrix("debt")
    found = {"scipy_values": median(lambda: (has @ data["collateral"], owes @ data["debt"]))}
    for name in ("scenarios", "scenarios_5pct"):
        multiples = data[name]

        def sweep(multiples: Any = multiples) -> Any:
            counts, debts, bad = [], [], []
            hits = np.zeros(has.shape[0])
            for row in multiples:
                by_column = row[data["asset"]]
                owed = owes @ (data["debt"] * by_column)
                under = has @ (data["collateral"] * by_column) < owed
                worth = has @ (data["raw"] * by_column)
                hits += under
                counts.append(under.sum())
                debts.append(owed[under].sum())
                bad.append(np.maximum(owed - worth, 0)[under].sum())
            return counts

        def at_once(multiples: Any = multiples) -> Any:
            by_column = multiples[:, data["asset"]].T
            owed = owes @ (data["debt"][:, None] * by_column)
            under = has @ (data["collateral"][:, None] * by_column) < owed
            worth = has @ (data["raw"][:, None] * by_column)
            _ = under.sum(axis=1), np.where(under, np.maximum(owed - worth, 0), 0).sum(axis=0)
            _ = np.where(under, owed, 0).sum(axis=0)
            return under.sum(axis=0)

        found[f"scipy_{name}"] = median(sweep, 3) / len(multiples)
        found[f"scipy_{name}_at_once"] = median(at_once, 3) / len(multiples)
        found[f"scipy_{name}_count"] = int(sum(sweep()))
        assert found[f"scipy_{name}_count"] == at_once().sum()
    return found


def by_frames(data: Any) -> dict[str, float]:
    """Value a book by grouping legs, as data frames do."""
    import numpy as np  # noqa: PLC0415 - as above
    import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: ICN001, PLC0415 - as above
    import polars  # type: ignore[import-not-found,unused-ignore]  # noqa: ICN001, PLC0415 - as above

    def legs(side: str) -> dict[str, Any]:
        counts = np.diff(data[f"{side}_ptr"])
        rows = np.repeat(np.arange(len(counts)), counts)
        return {"row": rows, "col": data[f"{side}_col"].astype(np.int64), "amount": data[f"{side}_amount"]}

    sides = {side: legs(side) for side in ("collateral", "debt")}
    panda = {side: pandas.DataFrame(each) for side, each in sides.items()}
    polar = {side: polars.DataFrame(each) for side, each in sides.items()}

    def in_pandas() -> None:
        for side, frame in panda.items():
            (frame.amount * data[side][frame.col.to_numpy()]).groupby(frame.row).sum()

    def in_polars() -> None:
        for side, frame in polar.items():
            prices = polars.DataFrame({"col": np.arange(len(data[side])), "price": data[side]})
            joined = frame.join(prices, on="col")
            joined.group_by("row").agg((polars.col("amount") * polars.col("price")).sum())

    return {"pandas_values": median(in_pandas), "polars_values": median(in_polars)}


def by_web3(calls: int = 200) -> dict[str, float]:
    """Ask for one account at a time, of a node that answers at once: what it costs without any network."""
    from web3 import Web3  # noqa: PLC0415 - as above
    from web3.providers import JSONBaseProvider  # noqa: PLC0415 - as above

    names = ("a", "b", "c", "d", "e", "f")
    abi = [
        {
            "type": "function",
            "name": "getUserAccountData",
            "stateMutability": "view",
            "inputs": [{"name": "user", "type": "address"}],
            "outputs": [{"name": name, "type": "uint256"} for name in names],
        }
    ]

    class Canned(JSONBaseProvider):  # type: ignore[misc]
        """Answers whatever is asked with six words."""

        def make_request(self, method: Any, params: Any) -> Any:
            """Return the words as any provider of web3 would."""
            del method, params
            return {"jsonrpc": "2.0", "id": 1, "result": "0x" + "00" * 31 + "01" + "11" * 32 * 5}

    pool = Web3(Canned()).eth.contract(address="0x" + "11" * 20, abi=abi)
    account = "0x" + "22" * 20

    def ask() -> None:
        for _ in range(calls):
            pool.functions.getUserAccountData(account).call()

    return {"web3_per_account": median(ask, 3) / calls}


def main() -> None:
    """Measure and tell."""
    import numpy as np  # noqa: PLC0415 - as above

    data = dict(np.load(sys.argv[1]))
    print(json.dumps({**by_scipy(data), **by_frames(data), **by_web3()}))


if __name__ == "__main__":
    main()
