"""Evidence against real nodes, as `tocsin verify` sees it: what it is worth, also once it was changed."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from tests.support.artifacts import call_data
from tests.support.realpool import BLOCK_AND_A_POLL, RealPool, real_pool
from tests.support.untruths import VALUE, Untruth, flipped, telling

from tocsin.chain.keccak import keccak256
from tocsin.cli import main
from tocsin.engine import readback
from tocsin.model.contract import Charge
from tocsin.model.reading import CallOf, Pin, reading, requests
from tocsin.state.compiled import aggregate
from tocsin.state.readaudit import Doubt
from tocsin.wire import aggregator
from tocsin.wire.envelope import evidence_bytes

Verify = Callable[[Mapping[str, Any]], tuple[int, str]]
_PLACE: Final = f"0x{aggregator.PLACE.hex()}"


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(evidence: Mapping[str, Any]) -> tuple[int, str]:
        file = tmp_path / "evidence.json"
        file.write_bytes(orjson.dumps(evidence))
        code = main.run(["verify", str(file)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture(scope="module")
def accused(anvil_binary: str) -> Iterator[dict[str, Any]]:
    """What shows that a node lied in calls that were made as one, by code that was put in place for them."""
    with real_pool(anvil_binary) as pool:
        pool.rounds(20)
        contracts = [bytes.fromhex(one.address[2:]) for one in pool.settings.chains[0].contracts[:2]]
        calls = [CallOf(to=address, data=call_data("owner()")) for address in contracts]
        doubt = doubted(pool, aggregate(calls, aggregator.PLACE, aggregator.CODE))
        pool.run(pool.virtual["n1"].add(telling(Untruth("eth_call", flipped, VALUE), _PLACE)))
        pool.take(doubt.told("sim", pool.now))
        pool.rounds(BLOCK_AND_A_POLL)
        [alert] = [alert for alert in pool.alerts if alert.reason == "fired"]
        assert (alert.detector, dict(alert.labels)["node"]) == (VALUE, "sim.n1")
        yield orjson.loads(evidence_bytes(alert))


def doubted(pool: RealPool, item: CallOf) -> Doubt:
    """Return what an audit says of a node that others contradict."""
    state = pool.state.chains["sim"]
    assert state.head.block is not None
    header = state.tree.headers[state.tree.headers[state.head.block.hash].parent_hash]
    [part] = pool.asked_of("n0", *requests(reading(header.ref, Pin.OBJECT, (item,))))
    right = readback.value_of(item, part)
    assert right is not None
    return Doubt(
        charge=Charge.VALUE,
        node="n1",
        block=header.ref,
        root=header.state_root,
        item=item,
        expected=right,
        agreed=("n0", "n2", "n3"),
    )


def test_a_call_with_code_of_ours_cannot_be_decided_and_it_is_said_how_to_ask_for_it(
    accused: dict[str, Any], verify: Verify
) -> None:
    code, out = verify(accused)
    assert code == 2, out
    assert "holds answer: it says 0x" in out
    assert "n0, n2, n3 said; that is the watchdog's word" in out
    assert f"as if the code at {_PLACE} were the {len(aggregator.CODE)} bytes" in out
    assert f"keccak 0x{keccak256(aggregator.CODE).hex()}" in out


def of_question(change: Callable[[str], str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda evidence: {"question": change(evidence["question"])}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda e: {"answer": flipped(e["answer"])}, "fails answer: it says 0x"),
        (lambda e: {"said": flipped(e["said"])}, "fails answer: it says 0x"),
        (lambda _: {"answer": "0x"}, "fails answer: it says 0x, not 0x"),
        (lambda e: {"expected": e["said"]}, "fails value: what the node said is what is held to be right"),
        (of_question(lambda text: text.replace("call,", "code,")), "fails question: none that reads one thing"),
        (of_question(lambda text: text.replace("8da5cb5b", "8da5cb5c")), "fails question: about something else than"),
        (lambda e: {"header": {**e["header"], "gasUsed": "0x1"}}, "fails header: its fields do not hash to"),
        (lambda e: {"block": {**e["block"], "number": 1}}, "fails header: of block"),
    ],
)
def test_it_proves_nothing_once_it_was_changed(
    accused: dict[str, Any], verify: Verify, change: Callable[[dict[str, Any]], dict[str, Any]], why: str
) -> None:
    code, out = verify({**accused, **change(accused)})
    assert code == 1, out
    assert why in out
