"""Log indexes in the core: how far each is, and nodes that told wrong logs or receipts, by the bytes alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from tests.support.pool import settings_for
from tests.support.statepool import StatePool, world

from tocsin.cli._chains import chain_lines
from tocsin.cli._indexes import lines
from tocsin.cli.index import chosen_of
from tocsin.detect.index_stuck import IndexStuckParams
from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.recheck import Verdict, rechecked
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.errors import ControlError
from tocsin.ids import digest
from tocsin.model.alert import AlertState, Grade, Over, Severity
from tocsin.model.block import BlockRef
from tocsin.model.contract import Charge
from tocsin.model.effect import StateChanged
from tocsin.model.event import ConfigRevised, IndexSampled, LogsRefuted, SoundLogs
from tocsin.model.index import IndexEvent, IndexSample, IndexSettings
from tocsin.model.logquery import LogFilter, LogsAt, logs
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.reading import Pin, ReceiptsOf, reading
from tocsin.model.settings import Settings
from tocsin.mqtt.models import Index
from tocsin.testing import ChainSpec
from tocsin.testing.simstate import Change, SimLog
from tocsin.wire.envelope import EVIDENCE_LIMIT, evidence, evidence_bytes

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/reference/cli-status.schema.json").read_text())
POOL, TOPIC = b"\xa1" * 20, b"\xe1" * 32
WANTED = LogFilter(addresses=(POOL,), topics=(TOPIC,))
EVENT = IndexEvent(name="borrow", addresses=(f"0x{POOL.hex()}",), topic=f"0x{TOPIC.hex()}", account="topic1")
DEBTORS = IndexSettings(name="debtors", start=0, events=(EVENT,))


def keeping(*indexes: IndexSettings, providers: tuple[str, ...] = ("self", "b", "c")) -> Settings:
    settings = settings_for(providers)
    return replace(settings, chains=(replace(settings.chains[0], indexes=indexes),))


class IndexPool(StatePool):
    """A pool whose chain logs, and has an index."""

    def __init__(self, settings: Settings | None = None, *, transactions: int = 1) -> None:
        super().__init__(settings or keeping(DEBTORS), spec=ChainSpec(history=200, world=world()))
        log = SimLog(address=POOL, topics=(TOPIC, bytes(32)), data=b"")
        self.chain.send(*(Change(logs=(log,)) for _ in range(transactions)))
        self.rounds(14)
        self.block = self.chain.head()
        while not self.block.changes:
            assert self.block.parent is not None
            self.block = self.block.parent
        self.ref = BlockRef(number=self.block.number, hash=self.block.hash)
        self.keep_events = True
        node = self.nodes["n0"]
        self.header = orjson.dumps(node.call("eth_getBlockByHash", [self.block.hash, False]))
        self.receipts = orjson.dumps(node.call("eth_getBlockReceipts", [hex(self.block.number)]))
        self.logs = orjson.dumps(node.call("eth_getLogs", [{"blockHash": self.block.hash}]))

    def refute(self, **change: Any) -> None:
        event = LogsRefuted(
            t_ns=self.now,
            chain="sim",
            index="debtors",
            node="n1",
            charge=Charge.LOGS,
            block=self.ref,
            question=logs(LogsAt(block=self.ref, wanted=WANTED)),
            told=b"[]",
            header=self.header,
            receipts=self.receipts,
        )
        self.take(replace(event, **change))

    def refute_receipts(self, **change: Any) -> None:
        told = self.receipts.replace(b'"cumulativeGasUsed":"0x', b'"cumulativeGasUsed":"0x1')
        assert told != self.receipts
        question = reading(self.ref, Pin.HASH, (ReceiptsOf(),))
        self.refute(charge=Charge.RECEIPTS, told=told, receipts=b"", question=question, **change)

    def sample(self, sample: IndexSample, *sound: SoundLogs, index: str = "debtors") -> None:
        self.take(IndexSampled(t_ns=self.now, chain="sim", index=index, sample=sample, sound=sound))

    @property
    def accused(self) -> set[str]:
        return set(self.state.chains["sim"].contracts.accused)


def test_wrong_logs_are_held_against_the_node_with_evidence_that_proves_it() -> None:
    pool = IndexPool()
    pool.refute()
    pool.rounds(2)
    [alert] = pool.about("node.call_mismatch")
    assert "n1 gives a wrong result for index debtors at block" in alert.summary
    assert "logs left-out: 1 of 1 left out" in alert.summary
    assert alert.block == pool.ref
    assert ("node", "sim.n1") in alert.labels
    assert rechecked(orjson.loads(orjson.dumps(alert.evidence))).verdict is Verdict.PROVES
    assert alert.evidence["index"] == "debtors"


def test_wrong_receipts_are_held_against_the_node_with_evidence_that_proves_it() -> None:
    pool = IndexPool()
    pool.refute_receipts()
    pool.rounds(2)
    [alert] = pool.about("node.proof_invalid")
    assert "n1 gives a wrong proof of index debtors" in alert.summary
    assert alert.evidence["kind"] == "receipts"
    assert rechecked(orjson.loads(orjson.dumps(alert.evidence))).verdict is Verdict.PROVES
    assert not pool.about("node.call_mismatch")


def test_evidence_that_is_too_long_for_an_alert_is_kept_once_and_by_its_digest() -> None:
    pool = IndexPool(transactions=300)
    pool.refute()
    pool.refute_receipts()
    pool.rounds(2)
    [logs_alert], [receipts_alert] = pool.about("node.call_mismatch"), pool.about("node.proof_invalid")
    for alert, kind in ((logs_alert, "logs"), (receipts_alert, "receipts")):
        travels = evidence(alert)
        assert len(orjson.dumps(travels)) <= EVIDENCE_LIMIT < len(alert.whole)
        assert (travels["truncated"], travels["size"], travels["kind"]) == (True, len(alert.whole), kind)
        assert travels["digest"] == digest(evidence_bytes(alert))
        assert travels["header"]
        assert rechecked(orjson.loads(evidence_bytes(alert))).verdict is Verdict.PROVES
    # Two lots of evidence, and of each its bytes alone: in what is remembered, in the alert and in a snapshot.
    state = pool.state.chains["sim"]
    tracked = {id(one.finding.whole) for one in state.alerts.tracked.values() if one.finding.whole}
    assert tracked == {id(one.whole) for one in state.contracts.accused.values()}
    snapshot = encode_state(pool.state)
    small = encode_state(IndexPool().state)
    lone = len(logs_alert.whole) + len(receipts_alert.whole)
    assert len(snapshot) - len(small) < 1.5 * lone, "quotes are escaped: an eighth more"
    after = decode_state(snapshot)
    assert after == pool.state
    assert {one.whole for one in after.chains["sim"].contracts.accused.values()} == {
        logs_alert.whole,
        receipts_alert.whole,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"told": "logs"},
        {"told": b"{}"},
        {"receipts": b"[]"},
        {"header": b"null"},
        {"question": "finalized"},
        {"question": logs(LogsAt(block=BlockRef(number=1, hash="0x" + "11" * 32), wanted=WANTED))},
        {"charge": Charge.VALUE},
        {"charge": Charge.RECEIPTS, "told": "receipts"},
        {"charge": Charge.RECEIPTS, "told": b"[]"},
        {"node": "n9"},
        {"index": "lenders"},
        {"chain": "other"},
    ],
)
def test_what_the_bytes_do_not_show_accuses_nobody(change: dict[str, Any]) -> None:
    pool = IndexPool()
    told = change.get("told")
    pool.refute(**({**change, "told": getattr(pool, told)} if isinstance(told, str) else change))
    assert not pool.accused


def test_a_block_that_is_not_of_the_chain_accuses_nobody_and_one_that_is_final_does() -> None:
    pool = IndexPool()
    pool.chain.reorg(pool.chain.head().number - pool.block.number + 1)
    pool.rounds(10)
    pool.refute()
    assert not pool.accused
    pool = IndexPool()
    pool.rounds(6 * 80)
    final = pool.state.chains["sim"].finalized.block
    assert final is not None
    assert final.number > pool.block.number
    pool.refute()
    assert pool.accused == {"logs/n1"}


def test_an_accusation_ends_with_sound_answers_of_its_own_kind() -> None:
    pool = IndexPool()
    pool.refute()
    pool.rounds(2)
    pool.sample(IndexSample(), SoundLogs(node="n1", logs=19, receipts=500), SoundLogs(node="n2", logs=50, receipts=0))
    pool.rounds(2)
    assert "node.call_mismatch" in {alert.detector for alert in pool.alerts if alert.state.value == "firing"}
    assert pool.about("node.call_mismatch")[-1].state.value == "firing"
    pool.sample(IndexSample(), SoundLogs(node="n1", logs=1, receipts=0))
    pool.rounds(2)
    assert pool.about("node.call_mismatch")[-1].state.value == "resolved"


def test_an_acknowledgement_lets_go_of_what_was_said_of_logs_and_receipts() -> None:
    pool = IndexPool()
    pool.refute()
    pool.refute_receipts()
    pool.rounds(2)
    assert pool.accused == {"logs/n1", "receipts/n1"}
    pool.ack("node.call_mismatch")
    assert pool.accused == {"receipts/n1"}
    pool.ack("node.proof_invalid")
    assert not pool.accused


FAR = IndexSample(
    through=BlockRef(number=50, hash=""),
    target=199,
    tail=None,
    logs=1234,
    accounts=77,
    grade=Grade.QUORUM,
    blocks_per_min=150,
    logs_per_min=90,
    eta_s=3720,
    audited=3,
    unreadable=2,
    stuck="blocks 51 to 60: 1 of 2 groups that are needed answer",
    problem="there is no code at 0x11",
)


def test_how_far_an_index_is_goes_to_its_topic_and_the_status() -> None:
    pool = IndexPool()
    before = status(pool.state, pool.now)["chains"][0]["indexes"]  # type: ignore[index]
    assert (before[0]["name"], before[0]["stuck"]) == ("debtors", "it was not looked at yet")
    pool.sample(FAR)
    pool.rounds(1)
    told = [effect for effect in pool.effects if isinstance(effect, StateChanged) and effect.kind == "index"]
    assert [effect.topic for effect in told] == ["index/sim/debtors"]
    Index.model_validate_json(orjson.dumps(told[0].document))
    [row] = status(pool.state, pool.now)["chains"][0]["indexes"]  # type: ignore[index]
    jsonschema.validate(row, {**SCHEMA["$defs"]["index"], "$defs": SCHEMA["$defs"]})
    assert (row["done"], row["blocks_per_s"], row["logs_per_s"]) == (0.255, 2.5, 1.5)
    assert row["through"] == {"number": 50, "hash": None}
    page = "\n".join(lines("sim", row))
    assert page.splitlines() == [
        "debtors on sim, from block 0",
        "  block 50 of 199 (25.5 %); 1,234 logs name 77 accounts, quorum",
        "  2.5 blocks/s, 1.5 logs/s, 1 h 02 min left",
        "  3 blocks held against their receipts since the start",
        "  2 logs name no account where one should stand: check account of its events",
        "  waits: blocks 51 to 60: 1 of 2 groups that are needed answer",
        "  problem: there is no code at 0x11",
    ]
    assert "; 1 log names 1 account, quorum" in "\n".join(lines("sim", {**row, "logs": 1, "accounts": 1}))
    whole = "\n".join(chain_lines(status(pool.state, pool.now), 0, colour=False))
    assert "\n  index debtors, block 50 of 199 (25.5 %), 1 h 02 min left; waits: blocks 51" in whole


def test_a_topic_is_said_again_when_the_index_grows_and_not_when_only_its_tail_moves() -> None:
    pool = IndexPool()

    def told() -> int:
        return sum(isinstance(effect, StateChanged) and effect.kind == "index" for effect in pool.effects)

    pool.sample(FAR)
    pool.rounds(1)
    assert told() == 1
    pool.sample(replace(FAR, tail=pool.ref, eta_s=9))
    pool.rounds(1)
    assert told() == 1
    pool.sample(replace(FAR, through=BlockRef(number=60, hash="")))
    pool.rounds(1)
    assert told() == 2


def test_a_reload_keeps_an_index_that_stays_what_it_is_and_clears_the_topic_of_one_that_is_gone() -> None:
    pool = IndexPool()
    pool.sample(FAR)
    pool.rounds(1)
    wider = replace(DEBTORS, span=9, audit_one_in=7)
    after = step(pool.state, ConfigRevised(t_ns=pool.now, settings=keeping(wider))).state
    assert after.chains["sim"].indexes["debtors"].sample == FAR
    other = replace(DEBTORS, start=7)
    after = step(pool.state, ConfigRevised(t_ns=pool.now, settings=keeping(other))).state
    assert not after.chains["sim"].indexes
    done = step(pool.state, ConfigRevised(t_ns=pool.now, settings=keeping()))
    cleared = [one for one in done.effects if isinstance(one, StateChanged) and one.document is None]
    assert [one.topic for one in cleared] == ["index/sim/debtors"]


def test_an_index_that_is_not_configured_is_not_noted() -> None:
    pool = IndexPool()
    pool.sample(FAR, index="lenders")
    assert not pool.state.chains["sim"].indexes


def test_the_share_that_is_done_counts_from_the_first_block() -> None:
    def done(**change: Any) -> object:
        pool.sample(replace(FAR, **change))
        [row] = status(pool.state, pool.now)["chains"][0]["indexes"]  # type: ignore[index]
        return row["done"]

    pool = IndexPool(keeping(replace(DEBTORS, start=100)))
    assert done(through=BlockRef(number=99, hash="")) == 0.0
    assert done(through=BlockRef(number=149, hash="")) == 0.5
    assert done(through=BlockRef(number=199, hash="0x" + "11" * 32)) == 1.0
    assert done(target=50) == 1.0
    assert done(target=None) is None


def test_an_index_that_is_not_there_is_told_with_those_that_are() -> None:
    known: list[Any] = [("sim", {"name": "debtors"}), ("base", {"name": "debtors"})]
    assert chosen_of(known, "", "") == known
    assert chosen_of(known, "debtors", "base") == known[1:]
    with pytest.raises(ControlError, match="no index is called 'x'; there are debtors on base, debtors on sim"):
        chosen_of(known, "x", "")
    with pytest.raises(ControlError, match="there is no index on op"):
        chosen_of(known, "", "op")


# -- an index that does not get on

WAITS = IndexSample(through=BlockRef(number=7, hash=""), target=40, stuck="1 of 2 groups that are needed answer")
MOVES = replace(WAITS, through=BlockRef(number=9, hash=""), stuck="")
MINUTE = 30
"""In rounds."""


class WaitingPool(IndexPool):
    """A pool whose index is an alert after two minutes."""

    def __init__(self, *indexes: IndexSettings) -> None:
        super().__init__(self.configured(*(indexes or (DEBTORS,))))

    @staticmethod
    def configured(*indexes: IndexSettings) -> Settings:
        settings = keeping(*indexes)
        params = {"index.stuck": IndexStuckParams(warning=Over(over=120))}
        return replace(settings, chains=(replace(settings.chains[0], detectors=params),))


def test_an_index_that_does_not_get_on_is_an_alert_until_it_does() -> None:
    assert IndexStuckParams().warning == Over(over=600)
    pool = WaitingPool()
    pool.sample(WAITS)
    pool.rounds(MINUTE)
    pool.sample(replace(WAITS, stuck="2 of 3 groups that are needed answer"))
    pool.rounds(MINUTE - 1)
    assert not pool.about("index.stuck")
    pool.rounds(2)
    [alert] = pool.about("index.stuck")
    assert (alert.severity, alert.state, alert.value, alert.unit) == (Severity.WARNING, AlertState.FIRING, 120, "s")
    assert dict(alert.labels) == {"chain": "eip155:1337", "environment": "test", "index": "debtors"}
    said = (
        "debtors has not got on for 120 s at block 7, 33 below the finalized one: 2 of 3 groups that are needed answer"
    )
    assert alert.summary == said
    reason = "2 of 3 groups that are needed answer"
    assert alert.evidence == {"reason": reason, "through": 7, "finalized": 40, "tail": None}
    pool.sample(MOVES)
    pool.rounds(2)
    assert pool.about("index.stuck")[-1].state is AlertState.RESOLVED


def test_an_index_that_gets_on_now_and_then_is_not_stuck() -> None:
    pool = WaitingPool()
    for at in range(3):
        pool.sample(replace(WAITS, through=BlockRef(number=at, hash="")))
        pool.rounds(2 * MINUTE - 2)
        pool.sample(replace(MOVES, through=BlockRef(number=at + 1, hash="")))
        pool.rounds(1)
    assert not pool.about("index.stuck")


@pytest.mark.parametrize("through", [None, BlockRef(number=-1, hash="")])
def test_an_index_that_has_nothing_yet_says_why_alone(through: BlockRef | None) -> None:
    pool = WaitingPool()
    pool.sample(IndexSample(through=through, stuck="i.db: the log index is of chain 1, and chain 10 is configured"))
    pool.rounds(2 * MINUTE + 1)
    [alert] = pool.about("index.stuck")
    assert alert.summary.startswith("debtors has not got on for 120 s: i.db: the log index is of chain 1")


@pytest.mark.parametrize("after", [(), (replace(DEBTORS, start=5),)])
def test_the_alert_about_an_index_ends_with_the_index_and_with_its_rules(after: tuple[IndexSettings, ...]) -> None:
    pool = WaitingPool()
    pool.sample(WAITS)
    pool.rounds(2 * MINUTE + 1)
    assert len(pool.about("index.stuck")) == 1
    pool.reload(WaitingPool.configured(*after))
    pool.rounds(2)
    assert pool.about("index.stuck")[-1].state is AlertState.RESOLVED


def test_while_nobody_answers_no_index_is_an_alert_of_its_own() -> None:
    pool = WaitingPool()
    for node in pool.answers:
        pool.answers[node] = lambda *_: Fault(kind=FaultKind.TIMEOUT, detail="no answer")
    pool.rounds(MINUTE)
    pool.sample(replace(WAITS, stuck="no head is agreed"))
    pool.rounds(3 * MINUTE)
    assert pool.about("pool.blind")
    assert not pool.about("index.stuck")


def test_since_when_an_index_waits_outlives_a_restart() -> None:
    pool = WaitingPool()
    pool.sample(WAITS)
    pool.rounds(MINUTE)
    pool.restart(down_s=50)
    pool.rounds(10)
    assert len(pool.about("index.stuck")) == 1
