"""Whatever becomes of the bytes of a snapshot, it is refused as damaged, or the engine goes on from it.

A digest keeps accidents out. These mutations carry the right digest, as a file from somewhere else may: what they must
not do is end the program that reads them in another way, or keep it busy for ever.
"""

import copy
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from tests.support.beacons import BeaconPool, with_beacons
from tests.support.feedpool import EVERY, ORACLE, gateway, world
from tests.support.samples import ALICE, BOB, CALM, WETH, account
from tests.support.statepool import PLAIN, PROXY
from tests.support.ticking import fails

from tocsin.clock import NS
from tocsin.detect import CHAIN_DETECTORS, SELF_DETECTORS
from tocsin.engine.codec import FORMAT, decode_state, encode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.errors import CorruptRecord
from tocsin.ids import digest
from tocsin.model.event import (
    Booted,
    Commanded,
    ConfigRevised,
    Event,
    GatewayPolled,
    HostSampled,
    MarketValued,
    PeerHeard,
    PeersListened,
    Ticked,
    Woken,
)
from tocsin.model.host import DiskSample, UnitSample
from tocsin.model.market import AccountSettings, MarketSample, Mismatch
from tocsin.model.observation import CHAIN_ID, FINALIZED, GENESIS, LATEST, SAFE, SYNCING
from tocsin.model.settings import BaseFeeRule, HostSettings, Settings
from tocsin.model.trust import Trust
from tocsin.testing import ChainSpec
from tocsin.testing.simfeeds import PHASE, answered, install

Path = tuple[str | int, ...]
DISK = DiskSample(path="/", size=100, free=10, inodes=10, inodes_free=2)
UNIT = UnitSample(unit="a.service", active="active")


OWN = AccountSettings(
    name="treasury", address=ALICE, health_floor_ppm=1_200_000, most_leverage_ppm=5_000_000,
    most_asset_ppm=(("WETH", 500_000),), most_market="1000.5",
)  # fmt: skip
SICK: dict[str, Any] = {
    "liquidatable": 2,
    "blocked": 1,
    "near": (account(BOB, "0.9", blocked="it is paused"), account(ALICE, None, unknown="no price")),
    "near_count": 2,
    "watched": (account(ALICE, "0.99"),),
    "mismatches": 1,
    "mismatched": (Mismatch(account=BOB, what="healthFactor", ours="1", chain="2"),),
    "parameters": (("WETH.paused", "yes"),),
}


def everything(slot_ns: int) -> Settings:
    """Settings with whatever may stand in settings."""
    settings = with_beacons(("a", "b", "c"), ("a", "b"), execution=("n0", "n1"))
    chain = replace(
        settings.chains[0],
        block_time_ns=slot_ns,
        detectors={detector.id: detector.params() for detector in CHAIN_DETECTORS},
        trust={"node.lag": Trust.WARN},
        finality_slots=95,
        epoch_slots=32,
        genesis_time_s=1_700_000_000 % 12 if slot_ns == 12 * NS else None,
        base_fee=BaseFeeRule(denominator=8, elasticity=2),
        forks=(("cancun", 1710338135),),
        contracts=(PROXY, PLAIN),
        feeds=EVERY,
        gateways=(gateway(),),
        markets=(replace(WETH, watched=(OWN,)),),
    )
    return replace(
        settings,
        chains=(chain,),
        peers=("x/y",),
        detectors={detector.id: detector.params() for detector in SELF_DETECTORS},
        host=HostSettings(disks=("/",), units=("a.service",), ntp=("t",), certificates=("https://h:443",)),
    )


@dataclass(frozen=True)
class Sample:
    """A real snapshot, where its values are, and what happens next."""

    head: dict[str, Any]
    body: bytes
    shapes: tuple[tuple[Path, ...], ...]
    paths: tuple[Path, ...]
    news: tuple[Event, ...]


@lru_cache(maxsize=2)
def sample(slot_ns: int) -> Sample:
    spec = ChainSpec(history=60, slot_ns=slot_ns, world=world(1_700_000_000 - 600))
    pool = BeaconPool(everything(slot_ns), spec=spec, late_ticks=0)
    install(pool.chain)
    pool.take(GatewayPolled(t_ns=pool.now, wall_ns=1, started_ns=1, gateway="exchange", poll=1, price="2000"))
    pool.rounds(8)
    pool.chain.send(answered(ORACLE, PHASE + 6, 10**11, 1_700_000_000))
    pool.take(PeersListened(t_ns=pool.now, connected=True, peers=("x/y",)))
    pool.take(PeerHeard(t_ns=pool.now, peer="x/y", boot="b", period_ns=10 * NS))
    pool.take(HostSampled(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), number=1, disks=(DISK,), units=(UNIT,)))
    pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))
    pool.chain.fork("bad")
    pool.nodes["n2"].view.branch = "bad"
    pool.rounds(12)
    for change in {}, SICK:
        pool.take(valued(pool, pool.now, **change))
    pool.answers["n1"] = fails()
    pool.rounds(6)
    pool.take(pool._poll("n0", (CHAIN_ID, LATEST)))
    return taken(pool.state, tuple(_news(pool)))


def taken(state: EngineState, news: tuple[Event, ...]) -> Sample:
    """Take a snapshot; it is followed by this."""
    head, _, body = encode_state(state).partition(b"\n")
    paths = tuple(_paths(orjson.loads(body)))
    shapes = defaultdict(list)
    for path in paths:
        shapes[tuple("" if isinstance(key, int) else key for key in path)].append(path)
    return Sample(
        head=orjson.loads(head),
        body=body,
        shapes=tuple(tuple(alike) for alike in shapes.values()),
        paths=paths,
        news=news,
    )


def valued(pool: BeaconPool, t_ns: int, **change: Any) -> MarketValued:
    """A valuation of the market at the agreed head."""
    sample: MarketSample = replace(CALM, block=pool.state.chains["sim"].head.block, **change)
    return MarketValued(t_ns=t_ns, chain="sim", market="aave", sample=sample)


def _paths(plain: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in items:
        yield from _paths(value, (*path, key))


def _news(pool: BeaconPool) -> Iterator[Event]:
    """What happens next: polls, ticks, whatever else there is, and a new life."""
    t_ns, wall_ns = pool.now, pool.clock.wall_ns()
    polls = [
        pool._poll("n0", (CHAIN_ID, LATEST, SAFE, FINALIZED, SYNCING, GENESIS)),
        pool._poll("n2", (CHAIN_ID, LATEST)),
        pool.polled("b0"),
    ]
    for second in (1, 2, 3, 8):
        later = second * NS
        if second == 8:
            yield PeerHeard(t_ns=t_ns + later, peer="x/y", boot="b", period_ns=10 * NS)
            yield valued(pool, t_ns + later)
            yield HostSampled(t_ns=t_ns + later, wall_ns=wall_ns + later, number=2, disks=(DISK,), units=(UNIT,))
            args = (("fingerprint", "x"),)
            yield Commanded(t_ns=t_ns + later, wall_ns=wall_ns + later, verb="ack", args=args, by="me")
            yield ConfigRevised(t_ns=t_ns + later, settings=pool.settings)
            yield Booted(t_ns=t_ns + later, wall_ns=wall_ns + later, boot="b2", version="t")
        for poll in polls:
            yield replace(poll, t_ns=t_ns + later, started_ns=t_ns + later - 10**6)
        yield Woken(t_ns=t_ns + later, chain="sim", node="n0", number=99, hash="0x" + "1" * 64)
        yield Ticked(t_ns=t_ns + later, wall_ns=wall_ns + later, chain="sim")
        yield Ticked(t_ns=t_ns + later, wall_ns=wall_ns + later, chain="")


NUMBERS = (0, 1, -1, 10**5, 10**7, 10**9, 10**18, 2**62, -(2**62), 2**63 - 1, -(2**63))
TEXTS = ("", "0x", "0x" + "0" * 64, "a" * 1000, "=", "#")
OTHERS: tuple[Any, ...] = (None, 0, -1, 1.5, "", True, [], {})


def _other(value: Any, chance: random.Random) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice((*NUMBERS, value + 1, -value))
    if isinstance(value, str):
        return chance.choice((*TEXTS, value + "x", value[:-1]))
    return value * 2 if isinstance(value, list) else {}


def _mutate(parent: Any, key: str | int, plain: Any, paths: tuple[Path, ...], chance: random.Random) -> None:
    """Change one value: into another, into nothing, into one from elsewhere."""
    match chance.choice("sssssogcrn"):
        case "s":
            parent[key] = _other(parent[key], chance)
        case "o":
            parent[key] = chance.choice(OTHERS)
        case "g":
            del parent[key]
        case "c":
            parent[key] = copy.deepcopy(_at(plain, chance.choice(paths)))
        case "r" if isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
        case "n" if isinstance(parent[key], list):
            parent[key] = []
        case _:
            parent[key] = None


def _at(plain: Any, path: Path) -> Any:
    for key in path:
        plain = plain[key]
    return plain


def mutated(one: Sample, chance: random.Random) -> bytes:
    plain = orjson.loads(one.body)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        path = chance.choice(chance.choice(one.shapes))
        try:
            _mutate(_at(plain, path[:-1]), path[-1], plain, one.paths, chance)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took it away
    return orjson.dumps(plain)


def stamped(one: Sample, body: bytes) -> bytes:
    return orjson.dumps({**one.head, "digest": digest(body)}) + b"\n" + body


def goes_on(one: Sample, snapshot: bytes) -> EngineState | None:
    """The state after what happens next; None where the snapshot is refused."""
    try:
        state = decode_state(snapshot)
    except CorruptRecord:
        return None
    for event in one.news:
        state = step(state, event).state
    return state


SLOTS = (12 * NS, NS // 4)


@pytest.mark.parametrize("slot_ns", SLOTS)
def test_the_snapshot_itself_goes_on(slot_ns: int) -> None:
    one = sample(slot_ns)
    assert goes_on(one, stamped(one, one.body)) is not None


@pytest.mark.parametrize("slot_ns", SLOTS)
@pytest.mark.parametrize("count", [60, pytest.param(3_000, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])])
def test_a_changed_state_with_the_right_digest_is_refused_or_goes_on(slot_ns: int, count: int) -> None:
    one = sample(slot_ns)
    outcomes = set()
    for number in range(count):
        chance = random.Random(f"{slot_ns}/{number}")  # noqa: S311 - repeatable on purpose
        outcomes.add(goes_on(one, stamped(one, mutated(one, chance))) is None)
    assert outcomes == {True, False}, "some are refused, some are states like any other"


@hypothesis(max_examples=150, deadline=None)
@given(at=st.integers(0, 10**6), gone=st.integers(0, 40), put=st.binary(max_size=40), fits=st.booleans())
@example(at=0, gone=0, put=b"[" * 40, fits=True)
def test_changed_bytes_are_refused_or_change_nothing_that_counts(at: int, gone: int, put: bytes, fits: bool) -> None:  # noqa: FBT001
    one = sample(SLOTS[0])
    whole = stamped(one, one.body)
    if fits:
        place = at % (len(one.body) + 1)
        goes_on(one, stamped(one, one.body[:place] + put + one.body[place + gone :]))
        return
    place = at % (len(whole) + 1)
    changed = whole[:place] + put + whole[place + gone :]
    state = goes_on(one, changed)
    # Only what stands before the body is not covered by the digest, and it is space or an unknown key at most.
    assert state is None or (changed.partition(b"\n")[2] == one.body and state == goes_on(one, whole))


def chain_of(plain: Any) -> Any:
    return plain["chains"]["sim"]


DOUBT = {"hash": "0x" + "ab" * 32, "request": 1, "polls": 1, "tries": 1}

TOLD = {"value": "0x" + "1" * 40, "grade": "quorum", "block": {"number": 7, "hash": "0x" + "ab" * 32}}


def told_of(plain: Any, name: str = "owner", contract: str = "vault", **changes: Any) -> None:
    """Let an alert have told of a value of a contract."""
    watched = chain_of(plain)["contracts"]["watched"]
    seen = watched.setdefault(contract, copy.deepcopy(watched["vault"]))
    seen["told"] = {name: {**TOLD, **changes}}


def pinned_to(plain: Any, name: str, **changes: Any) -> None:
    chain_of(plain)["contracts"]["watched"]["vault"]["baseline"] = {name: {**TOLD, **changes}}


def own_of(plain: Any) -> Any:
    return plain["settings"]["chains"][0]["markets"][0]["watched"][0]


CONTRADICTIONS = {
    "no such chain": lambda plain: plain["chains"].pop("sim"),
    "another chain": lambda plain: plain["chains"].update(other=chain_of(plain)),
    "no settings": lambda plain: plain.pop("settings"),
    "a node is missing": lambda plain: chain_of(plain)["nodes"].pop("n1"),
    "a beacon node is missing": lambda plain: chain_of(plain)["beacons"].pop("b1"),
    "no ability": lambda plain: chain_of(plain)["surveys"]["n0"].update(subject="flying"),
    "a question about nothing": lambda plain: chain_of(plain)["surveys"]["n0"].update(subject="", call="state:5"),
    "a doubt about nobody": lambda plain: chain_of(plain).update(doubts={"n9": DOUBT}),
    "a doubt that never ends": lambda plain: chain_of(plain).update(doubts={"n0": {**DOUBT, "tries": 4}}),
    "a doubt that never began": lambda plain: chain_of(plain).update(doubts={"n0": {**DOUBT, "tries": 0}}),
    "no event": lambda plain: plain["inbox"].append(None),
    "limits of another": lambda plain: plain["settings"]["chains"][0]["detectors"].update(
        {"node.fork": plain["settings"]["chains"][0]["detectors"]["node.lag"]}
    ),
    "time stands still": lambda plain: plain["settings"]["chains"][0].update(poll_ns=0),
    "no rule of fees": lambda plain: plain["settings"]["chains"][0]["base_fee"].update(elasticity=0),
    "no such tag": lambda plain: plain["settings"]["chains"][0].update(vote_by=["star sign"]),
    "a price that is no number": lambda plain: chain_of(plain)["feeds"]["eth-usd"]["latest"].update(value="x"),
    "a round that is no number": lambda plain: chain_of(plain)["feeds"]["eth-usd"]["rounds"][0].update(number="-1"),
    "a feed of nobody": lambda plain: chain_of(plain)["feeds"].update(other=chain_of(plain)["feeds"]["eth-usd"]),
    "a gateway without a price": lambda plain: plain["gateways"]["exchange"].update(price="1.0"),
    "a pool without a token": lambda plain: plain["settings"]["chains"][0]["feeds"][1].update(base=""),
    "an alert told of a contract that is not watched": lambda plain: told_of(plain, contract="nobody"),
    "an alert told of what is no value": lambda plain: told_of(plain, "weather"),
    "an alert told of an amount in words": lambda plain: told_of(plain, "supply", value="much"),
    "an alert told of more than there can be": lambda plain: told_of(plain, "balance.hot", value="9" * 79),
    "an alert told what nobody knew": lambda plain: told_of(plain, grade="blind"),
    "an alert told as it is never known": lambda plain: told_of(plain, grade="certain"),
    "an alert told of no block": lambda plain: told_of(plain, block={"number": 7, "hash": "0x12"}),
    "an alert told of a block below the first": lambda plain: told_of(plain, block={**TOLD["block"], "number": -1}),
    "an alert told without a value": lambda plain: told_of(plain, value=None),
    "an alert told of a book": lambda plain: told_of(plain, value="0" * 70_000),
    "an alert told of a value alone": lambda plain: chain_of(plain)["contracts"]["watched"]["vault"].update(
        told={"owner": TOLD["value"]}
    ),
    "an alert told before of what is no value": lambda plain: chain_of(plain)["contracts"]["watched"]["vault"].update(
        kept={"weather": TOLD}
    ),
    "pinned to what is no value": lambda plain: pinned_to(plain, "weather"),
    "pinned to what nobody knew": lambda plain: pinned_to(plain, "owner", grade="split"),
    "a market in words": lambda plain: chain_of(plain)["markets"]["aave"]["sample"].update(debt="much"),
    "a market of less than nobody": lambda plain: chain_of(plain)["markets"]["aave"]["sample"].update(liquidatable=-1),
    "an account in words": lambda plain: chain_of(plain)["markets"]["aave"]["sample"]["near"][0].update(debt="-1"),
    "a market of no place": lambda plain: plain["settings"]["chains"][0]["markets"][0].update(pool="0x12"),
    "an account of no place": lambda plain: own_of(plain).update(address="me"),
    "a limit below nothing": lambda plain: own_of(plain).update(most_leverage_ppm=0),
    "a limit in words": lambda plain: own_of(plain).update(most_market="much"),
    "a period that is none": lambda plain: plain["peers"]["known"]["x/y"].update(period_ns=-1),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_state_that_contradicts_itself_is_refused(what: str) -> None:
    one = sample(SLOTS[0])
    plain = orjson.loads(one.body)
    CONTRADICTIONS[what](plain)
    with pytest.raises(CorruptRecord):
        decode_state(stamped(one, orjson.dumps(plain)))


def test_a_state_that_knows_what_an_alert_told_is_read() -> None:
    one = sample(SLOTS[0])
    plain = orjson.loads(one.body)
    told_of(plain)
    state = goes_on(one, stamped(one, orjson.dumps(plain)))
    assert state is not None
    assert state.chains["sim"].contracts.watched["vault"].told["owner"].block.number == 7


def test_a_snapshot_of_another_format_is_refused() -> None:
    one = sample(SLOTS[0])
    snapshot = orjson.dumps({**one.head, "format": 1}) + b"\n" + one.body
    with pytest.raises(CorruptRecord, match=f"has format 1, this version reads {FORMAT}"):
        decode_state(snapshot)


def test_a_state_with_a_header_in_doubt_is_read() -> None:
    one = sample(SLOTS[0])
    plain = orjson.loads(one.body)
    chain_of(plain).update(doubts={"n0": {**DOUBT, "tries": 3}})
    state = goes_on(one, stamped(one, orjson.dumps(plain)))
    assert state is not None


def test_a_head_of_millions_of_values_is_refused_before_they_are_made_and_long_texts_are_no_values() -> None:
    one = sample(SLOTS[0])
    bomb = b'{"format":%d,"results":{"a":[' % FORMAT + b"[]," * 2_500_000 + b"[]]}}\n" + one.body
    with pytest.raises(CorruptRecord, match="at most"):
        decode_state(bomb)
    text = "[" + "0," * 2_500_000 + '"\\"]'
    head = {**one.head, "results": {**one.head["results"], digest(text.encode()): text}}
    assert decode_state(orjson.dumps(head) + b"\n" + one.body) == decode_state(stamped(one, one.body))
