"""Every payload that is published, made of fixed values: their bytes are pinned in tests/golden/wire.

    python -m tests.support.golden

writes those files anew: look at the difference before it is committed, since within v1 fields are only added.
"""

import dataclasses
from pathlib import Path
from typing import Any, Final

import orjson
from tests.support.messages import (
    ALERT,
    BLOCK,
    BOOT,
    LIFE,
    NOON_NS,
    ORIGIN,
    RESOLVED,
    STANDING,
    STREAM,
    changed,
    golden_messages,
)
from tests.support.samples import ALICE, CALM, account

from tocsin.chain.nodelife import NodeLife, NodeState
from tocsin.engine import documents
from tocsin.engine.sitting import Contracts
from tocsin.engine.state import NOTHING_AGREED, ChainState, EngineState
from tocsin.model.alert import REASONS, AlertState, Exactness, Grade, Severity
from tocsin.model.beacon import BeaconHead, BeaconRecord, Checkpoint
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.contract import Amount, Bounds, ContractSettings, Known, Pinned, Watch, Watched
from tocsin.model.evolve import evolve
from tocsin.model.feed import (
    FeedKind,
    FeedRecord,
    FeedSettings,
    GatewayRecord,
    GatewaySettings,
    Reading,
    Role,
)
from tocsin.model.index import IndexEvent, IndexSample, IndexSeen, IndexSettings
from tocsin.model.market import AccountSettings, MarketSample, MarketSeen, MarketSettings, Mismatch
from tocsin.model.observation import Fault, FaultKind
from tocsin.model.settings import BeaconSettings, ChainSettings, NodeSettings, Settings
from tocsin.model.traits import Capabilities, Reach, Vitals
from tocsin.model.view import Agreement, NodeRecord
from tocsin.mqtt import homeassistant, presence
from tocsin.mqtt.presence import State
from tocsin.runtime import describe
from tocsin.wire import acks, envelope
from tocsin.wire.envelope import Message, cleared

FOLDER: Final = Path(__file__).parents[1] / "golden" / "wire"
INDEX: Final = FOLDER.with_name("wire.json")
"""Under which topic, and how, each of them is published."""

KEY: Final = b"sixteen bytes or more"
_NS: Final = 10**9
_POOL: Final = ContractSettings(
    name="pool", address="0x" + "c0" * 20, watches=(Watch.CODE, Watch.IMPLEMENTATION, Watch.OWNER)
)
_TOKEN: Final = ContractSettings(name="token", address="0x" + "70" * 20, watches=(Watch.PAUSED,))
_HOT: Final = ContractSettings(
    name="hot",
    address="0x" + "80" * 20,
    watches=(Watch.BALANCE,),
    balances=(Amount(name="eth", bounds=Bounds(least=str(10**17), most=str(10**20), decimals=18)),),
)
_DEBTORS: Final = IndexSettings(
    name="debtors",
    start=16_291_127,
    events=(IndexEvent(name="borrow", addresses=(_POOL.address,), topic="0x" + "b3" * 32, account="topic2"),),
)
_HOLDERS: Final = IndexSettings(name="holders", start=0, events=_DEBTORS.events)
_AAVE: Final = MarketSettings(
    name="aave",
    kind="aave-v3",
    pool="0x" + "a1" * 20,
    index="market-aave",
    watched=(AccountSettings(name="treasury", address=ALICE, health_floor_ppm=1_200_000),),
)
_UNKNOWN: Final = MarketSettings(
    name="weth-usdc", kind="morpho-blue", pool="0x" + "bb" * 20, id="0x" + "1d" * 32, index="market-weth-usdc"
)
_ETH: Final = FeedSettings(
    name="eth-usd",
    address="0x" + "fe" * 20,
    prices="eth/usd",
    provider="chainlink",
    heartbeat_ns=3600 * _NS,
    grace_ns=120 * _NS,
    peg="2300",
)
_SPOT: Final = FeedSettings(
    name="spot",
    address="0x" + "f0" * 20,
    kind=FeedKind.SPOT_V3,
    role=Role.MARKET,
    prices="eth/usd",
    provider="pool",
    base="0x" + "e0" * 20,
)
_UPTIME: Final = FeedSettings(name="uptime", address="0x" + "01" * 20, kind=FeedKind.SEQUENCER)
_EXCHANGE: Final = GatewaySettings(
    name="exchange",
    endpoint="https://api.exchange.example",
    prices="eth/usd",
    provider="exchange",
    poll_ns=10 * _NS,
    max_age_ns=60 * _NS,
)
_OTHER: Final = evolve(_EXCHANGE, name="other", endpoint="https://api.other.example", provider="other")
_FINAL: Final = BlockRef(number=20_999_936, hash="0x" + "ef" * 32)
_FRESH: Final = BlockRef(number=21_000_001, hash="0x" + "12" * 32)


def golden() -> dict[str, Message]:
    """Return every message by the name of its file. Events of the stream stand for their retained twins too."""
    return {
        **golden_messages(),
        **{f"alert-{reason}": _alert(reason) for reason in REASONS if reason != "fired"},
        "alert-silenced": _stream(silenced=True, inhibited_by="fedcba9876543210fedcba9876543210"),
        "alert-not-durable": _not_durable(),
        "alert-retained": envelope.alert_messages(changed(ALERT, 41, stream=STREAM), ORIGIN)[1],
        "alert-retained-resolved": envelope.alert_messages(changed(RESOLVED, 42, stream=STREAM), ORIGIN)[1],
        "alert-topic-cleared": cleared(ORIGIN.root + f"alert/{ALERT.fingerprint}"),
        **{f"status-{state}": presence.status(LIFE, state, NOON_NS) for state in State},
        "status-will": _will(),
        "description": presence.description(LIFE, _description(), NOON_NS),
        **_reply(),
        **_state(),
        **_home(),
        "ack": _ack(),
    }


# -- the stream


def _stream(**change: Any) -> Message:
    return envelope.alert_messages(changed(dataclasses.replace(ALERT, **change), 41, stream=STREAM), ORIGIN)[0]


def _alert(reason: str) -> Message:
    common: dict[str, Any] = {"reason": reason, "count": 2, "previous": AlertState.FIRING}
    over = {"state": AlertState.RESOLVED, "resolved_wall_ns": NOON_NS}
    changes: dict[str, dict[str, Any]] = {
        "raised": {"severity": Severity.CRITICAL, "value": 15, "limit": 15},
        "flapping": {"flapping": True},
        "data-missing": {"state": AlertState.UNKNOWN},
        "data-back": {"previous": AlertState.UNKNOWN},
        "cleared": {**over, "value": 0},
        "acked": {"acked_by": "alice"},
        "unconfigured": over,
        "maintenance": over,
        "detector-suspect": over,
        "state-lost": {"state": AlertState.UNKNOWN, "value": None, "limit": None, "block": None, "evidence": {}},
        "test": {"detector": "self.test", "severity": Severity.INFO, "silenced": True},
    }
    return _stream(**{**common, **changes.get(reason, {})})


def _not_durable() -> Message:
    message = _stream()
    return dataclasses.replace(message, payload=envelope.not_durable(message.payload))


# -- who we are


def _will() -> Message:
    will = presence.will(LIFE, NOON_NS)
    return Message(topic=will.topic, payload=will.payload, retain=True, content_type=will.content_type)


def _description() -> dict[str, object]:
    return {**describe.description(_settings()), "version": "0.1.0", "detectors": ["node.lag", "pool.split"]}


def _reply() -> dict[str, Message]:
    return {
        f"reply-{reason}": acks.reply(ORIGIN, BOOT, "reply/pager/7", reason=reason, standing=STANDING, wall_ns=NOON_NS)
        for reason in acks.Refusal
    }


def _ack() -> Message:
    claim = acks.claim(1_790_000_000_123, 41, [7, 9], [(7, 7)], stream=STREAM)
    payload = acks.encode(claim, ORIGIN.source, "pager", KEY)
    return Message(topic=ORIGIN.root + "ack/pager", payload=payload, content_type="application/json")


# -- chains and nodes


def _settings() -> Settings:
    nodes = tuple(
        NodeSettings(
            name=name,
            id=f"ams.{name}",
            endpoint=f"http://{name}.example",
            own=name == "geth",
            provider="self" if name == "geth" else "alchemy",
            operator="self" if name == "geth" else "alchemy",
            client=name,
            region="eu",
            host="",
        )
        for name in ("geth", "reth", "lighthouse")
    )
    chain = ChainSettings(
        name="ethereum",
        id=1,
        block_time_ns=12 * _NS,
        poll_ns=2 * _NS,
        tick_ns=_NS // 4,
        vote_by=("provider", "operator"),
        nodes=nodes[:2],
        beacons=(BeaconSettings(node=nodes[2], execution="geth"),),
        contracts=(_POOL, _TOKEN, _HOT),
        indexes=(_DEBTORS, _HOLDERS),
        markets=(_AAVE, _UNKNOWN),
        feeds=(_ETH, _SPOT, _UPTIME),
        gateways=(_EXCHANGE, _OTHER),
    )
    return Settings(site="ams", watchdog="host-a", environment="test", config_hash="c0ffee", chains=(chain,))


def _header(ref: BlockRef) -> Header:
    return Header(
        number=ref.number,
        hash=ref.hash,
        parent_hash="0x" + "00" * 32,
        timestamp=NOON_NS // _NS,
        state_root="0x" + "00" * 32,
        verification=Verification.MATCH,
    )


def _records() -> dict[str, NodeRecord]:
    reach = {"state": Reach(depth=128), "headers": Reach(depth=21_000_000, whole=True), "proofs": Reach(missing=True)}
    return {
        "geth": NodeRecord(
            head=_header(BLOCK),
            latency_ns=4_200_000,
            vitals=Vitals(client="Geth/v1.16.0", peers=50),
            capabilities=Capabilities(number=3, reach=reach, pins={"state": True}, offered={"receipts": 15_537_393}),
        ),
        "reth": NodeRecord(),
    }


def _lives() -> dict[str, NodeLife]:
    flag = ("node.unreachable", "reth does not answer: connection refused")
    return {
        "geth": NodeLife(state=NodeState.HEALTHY, number=2, reason="sound"),
        "reth": NodeLife(state=NodeState.UNREACHABLE, number=1, reason=flag[1], flags=(flag,)),
    }


def _beacon() -> BeaconRecord:
    return BeaconRecord(
        polls=9,
        answers=9,
        latency_ns=7_000_000,
        head=BeaconHead(slot=12_000_000, root="0x" + "34" * 32, payload=BLOCK),
        finals=(Checkpoint(epoch=374_998, root="0x" + "56" * 32, payload=_FINAL),),
        syncing=False,
        optimistic=False,
        el_offline=False,
        peers=70,
        version="Lighthouse/v7.1.0",
    )


def _contracts() -> Contracts:
    code, owners = "0x" + "ab" * 32, ("0x" + "11" * 20, "0x" + "22" * 20)
    proxy = Watched(
        identity=_POOL.identity,
        latest={
            "code": Known(value=code, grade=Grade.PROVEN, block=BLOCK),
            "owner": Known(value=owners[1], grade=Grade.QUORUM, block=BLOCK, votes=2, groups=3),
        },
        baseline={
            "code": Pinned(value=code, grade=Grade.PROVEN, block=_FINAL, is_final=True),
            "owner": Pinned(value=owners[0], grade=Grade.QUORUM, block=_FINAL, by="alice", why="the new timelock"),
        },
        samples=7,
        block=BLOCK,
        audited=_FINAL,
        problem="no node tells implementation",
    )
    eth = Known(value=str(10**18 + 1), grade=Grade.PROVEN, block=BLOCK)
    hot = Watched(identity=_HOT.identity, latest={"balance.eth": eth}, samples=7, block=BLOCK)
    return Contracts(watched={"pool": proxy, "token": Watched(identity=_TOKEN.identity), "hot": hot})


def _indexes() -> dict[str, IndexSeen]:
    far = IndexSample(
        through=BlockRef(number=18_000_000, hash=""),
        target=_FINAL.number,
        logs=1_234_567,
        accounts=45_678,
        unreadable=2,
        grade=Grade.QUORUM,
        blocks_per_min=150_750,
        logs_per_min=109_200,
        eta_s=1194,
        audited=1709,
        problem="there is no code at 0x" + "70" * 20 + " on this chain: check the address",
    )
    done = IndexSample(through=_FINAL, target=_FINAL.number, tail=BLOCK, grade=Grade.PROVEN, stuck="1 of 2 groups")
    return {
        "debtors": IndexSeen(identity=_DEBTORS.identity, sample=far, at_ns=0),
        "holders": IndexSeen(identity=_HOLDERS.identity, sample=done, at_ns=0),
    }


def _markets() -> dict[str, MarketSeen]:
    own = account("0x" + "a" * 40, "1.25")
    near = (
        account("0x" + "b" * 40, "0.98", blocked="the sequencer has just come back"),
        account("0x" + "c" * 40, None, unknown="no price of WETH", exactness=Exactness.UNVERIFIED),
    )
    wrong = Mismatch(account="0x" + "b" * 40, what="healthFactor", ours="1", chain="2")
    well = evolve(
        CALM,
        block=BLOCK,
        liquidatable=1,
        blocked=1,
        unknown=1,
        near=near,
        near_count=2,
        watched=(own,),
        mismatched=(wrong,),
        mismatches=1,
        problem="no price is known of WETH: sums in USD are without it",
    )
    nothing = MarketSample(identity=_UNKNOWN.identity, problem="its accounts are being looked for: block 7 of 9")
    accepted = (("WETH.liquidation_threshold", "8250"), *CALM.parameters[1:])
    return {
        "aave": MarketSeen(sample=well, at_ns=0, number=3, accepted=accepted),
        "weth-usdc": MarketSeen(sample=nothing, at_ns=0),
    }


def _feeds() -> dict[str, FeedRecord]:
    number = str((6 << 64) + 21_154)
    read = {"block": BLOCK, "grade": Grade.QUORUM, "votes": 2, "groups": 3, "at_s": NOON_NS // _NS}
    said = Reading(value="2297.50276106", round=number, updated_s=NOON_NS // _NS - 600, started_s=1, **read)
    fixed = {"decimals": "8", "description": "ETH / USD", "aggregator": "0x" + "a9" * 20, "low": "1", "high": "10" * 8}
    spot = Reading(value="2301.120000000000031", liquidity="1517882343751509868544", **read)
    return {
        "eth-usd": FeedRecord(identity=_ETH.identity, latest=said, fixed=fixed, samples=3, block=BLOCK, read_ns=_NS),
        "spot": FeedRecord(identity=_SPOT.identity, latest=spot, samples=3, block=BLOCK, read_ns=_NS),
        "uptime": FeedRecord(identity=_UPTIME.identity, samples=3, problem="it gives no round: check the address"),
    }


def _gateways() -> dict[str, GatewayRecord]:
    well = GatewayRecord(polls=7, answers=7, price="2300.1", price_wall_ns=NOON_NS - 2 * _NS, latency_ns=81_000_000)
    fault = Fault(kind=FaultKind.TIMEOUT, detail="no answer after 5000 ms")
    return {"exchange": well, "other": evolve(well, polls=12, missed=5, fault=fault, price="2299.75")}


def _agreed(grade: Grade, block: BlockRef | None, explanation: str = "") -> Agreement:
    return Agreement(grade=grade, block=block, since_ns=0, votes=2, voting_groups=2, groups=2, explanation=explanation)


def _told(head: Agreement, finalized: Agreement, fresh: BlockRef | None = None) -> dict[str, Message]:
    chain = ChainState(
        started_ns=0,
        nodes=_records(),
        lives=_lives(),
        beacons={"lighthouse": _beacon()},
        head=head,
        finalized=finalized,
        fresh=fresh,
        contracts=_contracts(),
        indexes=_indexes(),
        markets=_markets(),
        feeds=_feeds(),
    )
    state = EngineState(settings=_settings(), chains={"ethereum": chain}, gateways=_gateways())
    _, effects = documents.changed(state, NOON_NS, 6 * _NS, "ethereum")
    return {effect.topic: envelope.state_message(effect, ORIGIN, BOOT) for effect in effects}


def _state() -> dict[str, Message]:
    well = _told(_agreed(Grade.QUORUM, BLOCK), _agreed(Grade.QUORUM, _FINAL), _FRESH)
    split = _told(_agreed(Grade.SPLIT, BLOCK, "one group against one"), NOTHING_AGREED)
    blind = _told(NOTHING_AGREED, NOTHING_AGREED)
    head = "chain/ethereum/head"
    return {
        "head-quorum": well[head],
        "head-split": split[head],
        "head-blind": blind[head],
        "node-healthy": well["node/ethereum/geth"],
        "node-unreachable": well["node/ethereum/reth"],
        "node-beacon": well["node/ethereum/lighthouse"],
        "contract": well["contract/ethereum/pool"],
        "index": well["index/ethereum/debtors"],
        "index-waiting": well["index/ethereum/holders"],
        "index-topic-cleared": cleared(ORIGIN.root + "index/ethereum/holders"),
        "risk": well["risk/ethereum/aave"],
        "risk-unknown": well["risk/ethereum/weth-usdc"],
        "risk-topic-cleared": cleared(ORIGIN.root + "risk/ethereum/weth-usdc"),
        "feed-aggregator": well["feed/ethereum/eth-usd"],
        "feed-pool": well["feed/ethereum/spot"],
        "feed-unknown": well["feed/ethereum/uptime"],
        "gateway-ok": well["gateway/exchange"],
        "gateway-unreachable": well["gateway/other"],
        "contract-amounts": well["contract/ethereum/hot"],
        "contract-topic-cleared": cleared(ORIGIN.root + "contract/ethereum/token"),
        "node-topic-cleared": cleared(ORIGIN.root + "node/ethereum/reth"),
    }


def _home() -> dict[str, Message]:
    told = homeassistant.documents(homeassistant.Announced(origin=ORIGIN, version="0.1.0"), _settings())
    return {
        f"homeassistant-{name}": Message(topic=topic, payload=payload, retain=True, content_type="application/json")
        for name, (topic, payload) in zip(("watchdog", "chain", "geth", "reth", "beacon"), told.items(), strict=True)
    }


# -- the files


def index() -> bytes:
    """Return how each message is published."""
    rows = {
        name: {
            "topic": message.topic,
            "qos": message.qos,
            "retain": message.retain,
            "expiry_s": message.expiry_s,
            "content_type": message.content_type,
        }
        for name, message in golden().items()
    }
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def write() -> None:
    """Write every file, and take away those of messages that are gone."""
    wanted = {f"{name}.json": message.payload + b"\n" for name, message in golden().items()}
    for file in FOLDER.glob("*.json"):
        if file.name not in wanted:
            file.unlink()
    for name, content in wanted.items():
        (FOLDER / name).write_bytes(content)
    INDEX.write_bytes(index())


if __name__ == "__main__":
    write()
