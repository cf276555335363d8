"""Fitting arrivals: what a simulation was made with comes out again, blurred by polls but not shifted."""

import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli.main import run
from tocsin.clock import MS, NS
from tocsin.engine.codec import encode_event, encode_state
from tocsin.engine.state import EngineState
from tocsin.lab import arrivals
from tocsin.lab.detection.watch import CHAIN, Member, settings_of
from tocsin.lab.lognormal import fit
from tocsin.lab.scenario import read
from tocsin.model.event import ConfigRevised, Event, Polled, Ticked
from tocsin.model.observation import LATEST, Fault, FaultKind
from tocsin.store import Group, Origin, Record, RecordingWriter, Snapshot
from tocsin.testing.simstream import SimStream, StreamNode, StreamSpec

KNOWN = {"near": (1_300, 0.35), "mid": (2_000, 0.5), "far": (3_000, 0.8)}
"""Median in ms, sigma."""


def members() -> tuple[Member, ...]:
    return tuple(
        Member(
            node=StreamNode(name=name, median_ns=median * MS, sigma=sigma),
            own=name == "near",
            provider=name,
            client="geth",
        )
        for name, (median, sigma) in KNOWN.items()
    )


def journal(hours: float, *, missed: float = 0.02, poll_ns: int = 2 * NS) -> Iterator[Event]:
    """What a watchdog would have recorded; engine time and wall clock are years apart."""
    t0 = 5 * NS
    yield ConfigRevised(t_ns=t0, settings=settings_of(members()))
    stream = SimStream(StreamSpec(seed=11, missed=missed), [member.node for member in members()], epoch_ns=t0)
    ahead = stream.wall_ns(t0) - t0
    for poll in range(1, int(hours * 3_600 * NS / poll_ns)):
        now = t0 + poll * poll_ns + 700 * MS
        yield Ticked(t_ns=now, wall_ns=now + ahead, chain=CHAIN)
        yield from stream.poll(now, poll, with_slot=False)


def test_known_parameters_come_out_of_a_simulated_journal() -> None:
    [chain] = arrivals.collect(journal(10)).values()
    assert chain.missed == pytest.approx(0.02, abs=0.008)
    for name, (median, sigma) in KNOWN.items():
        fitted = chain.nodes[name].fitted()
        assert fitted is not None
        assert fitted.count > 2_500
        assert fitted.median_s == pytest.approx(median / 1_000, rel=0.06), name
        assert fitted.sigma == pytest.approx(sigma, rel=0.1), name
        assert fitted.low_s < fitted.median_s < fitted.high_s


def test_a_slower_poll_blurs_but_does_not_shift() -> None:
    [chain] = arrivals.collect(journal(10, poll_ns=6 * NS)).values()
    fitted = chain.nodes["far"].fitted()
    assert fitted is not None
    assert fitted.median_s == pytest.approx(3, rel=0.1)


def test_blocks_of_a_time_in_which_the_node_failed_are_left_out() -> None:
    def failing() -> Iterator[Event]:
        refused = Fault(kind=FaultKind.REFUSED, detail="refused")
        for at, event in enumerate(journal(1)):
            is_out = 3_000 < at < 4_000 and getattr(event, "node", "") == "near"
            yield replace(event, parts=(), fault=refused) if is_out else event

    [chain] = arrivals.collect(failing()).values()
    near, mid = chain.nodes["near"], chain.nodes["mid"]
    assert near.left_out > 30
    assert mid.left_out == 0
    fitted = near.fitted()
    assert fitted is not None
    assert fitted.median_s == pytest.approx(1.3, rel=0.15)


def test_a_node_that_stands_still_is_late_and_not_slow() -> None:
    def frozen() -> Iterator[Event]:
        shown: tuple[object, ...] = ()
        for at, event in enumerate(journal(1)):
            if getattr(event, "node", "") != "near":
                yield event
                continue
            shown = event.parts if not 3_000 < at < 4_000 else shown  # type: ignore[union-attr]
            yield replace(event, parts=shown)  # type: ignore[call-arg]

    [chain] = arrivals.collect(frozen()).values()
    near = chain.nodes["near"]
    assert near.late > 20
    fitted = near.fitted()
    assert fitted is not None
    assert fitted.median_s < 1.8


HUGE = 2**62


@cache
def an_hour() -> list[Event]:
    return list(journal(1))


@cache
def as_it_was() -> arrivals.ChainArrivals:
    [chain] = arrivals.collect(an_hour()).values()
    return chain


def lying(events: Iterable[Event], node: str, lies: Mapping[int, Mapping[str, int]]) -> Iterator[Event]:
    """The events with fields of the heads changed that a node shows, by the number of the event."""
    for at, event in enumerate(events):
        lie = lies.get(at)
        if lie is None or not isinstance(event, Polled) or event.node != node:
            yield event
            continue
        [part] = [part for part in event.parts if part.call == LATEST]
        body = json.loads(part.result or b"")
        body |= {name: hex(value) for name, value in lie.items()} | {"hash": f"0x{at:064x}"}
        fresh = replace(part, result=json.dumps(body).encode())
        yield replace(event, parts=tuple(fresh if part.call == LATEST else part for part in event.parts))


def fits(chain: arrivals.ChainArrivals) -> dict[str, tuple[float, float]]:
    found = {name: node.fitted() for name, node in chain.nodes.items()}
    return {name: (one.median_s, one.sigma) for name, one in found.items() if one is not None}


@pytest.mark.parametrize(
    "lie",
    [
        {"number": HUGE},
        {"number": 0},
        {"timestamp": HUGE},
        {"timestamp": 1},
        {"number": HUGE, "timestamp": HUGE},
    ],
    ids=str,
)
@pytest.mark.parametrize("often", ["at once", "seldom", "at the end"])
def test_heads_of_no_height_or_time_of_the_chain_are_left_out_and_counted(lie: dict[str, int], often: str) -> None:
    events = an_hour()
    places = [at for at, event in enumerate(events) if isinstance(event, Polled) and event.node == "near"]
    chosen = {"at once": places[:1], "seldom": places[100::300], "at the end": places[-1:]}[often]
    plain = as_it_was()
    [told] = arrivals.collect(lying(events, "near", dict.fromkeys(chosen, lie))).values()
    assert told.missed == pytest.approx(plain.missed, abs=0.01)
    for name, (median, sigma) in fits(plain).items():
        assert fits(told)[name] == (pytest.approx(median, rel=0.05), pytest.approx(sigma, rel=0.1)), name
    if "number" in lie or lie["timestamp"] == HUGE:
        assert told.nodes["near"].implausible == len(chosen)
    assert told.nodes["mid"].implausible == 0


def test_a_node_that_shows_another_height_in_every_poll_takes_no_memory() -> None:
    dice = random.Random(1)  # noqa: S311 - a seeded simulation
    events = an_hour()
    lies = {at: {"number": dice.randrange(HUGE)} for at in range(len(events))}
    collector = arrivals.Collector()
    for event in lying(events, "near", lies):
        collector.take(event)
    [chain] = collector.chains.values()
    near, mid = chain.nodes["near"], chain.nodes["mid"]
    polls = sum(isinstance(event, Polled) and event.node == "near" for event in events)
    assert (near.implausible, near.intervals) == (polls, [])
    assert len(mid.intervals) > 250
    assert chain.missed == pytest.approx(0.02, abs=0.02)
    [kept] = collector._chains.values()
    assert sum(len(line.headers) for line in kept.lines) < 500


def test_a_node_that_syncs_from_the_beginning_is_left_out_until_it_has_caught_up() -> None:
    events = an_hour()
    heights = {at: {"number": at // 40} for at in range(len(events) // 2)}
    [chain] = arrivals.collect(lying(events, "near", heights)).values()
    assert chain.nodes["near"].implausible > 120
    assert chain.nodes["near"].late == 0
    assert fits(chain)["near"][0] == pytest.approx(1.3, rel=0.2)


def drawn(mu: float, sigma: float, width: float, count: int, seed: int) -> list[tuple[float, float]]:
    dice = random.Random(seed)  # noqa: S311 - a seeded simulation
    found = []
    for _ in range(count):
        value, phase = math.exp(mu + sigma * dice.gauss(0, 1)), dice.random() * width
        low = math.floor((value - phase) / width) * width + phase
        found.append((max(0.0, low), low + width))
    return found


@given(median=st.floats(0.3, 8), sigma=st.floats(0.2, 1.0), width=st.floats(0.05, 2.5), seed=st.integers(0, 2**32))
def test_the_fit_finds_the_distribution_of_which_only_intervals_are_known(
    median: float, sigma: float, width: float, seed: int
) -> None:
    fitted = fit(drawn(math.log(median), sigma, width, 1_500, seed))
    assert fitted is not None
    # Six standard errors: what chance alone may do in a thousand examples, and what a bias of a tenth may not.
    error = math.log(fitted.high_s / fitted.median_s) / 1.96
    assert abs(math.log(fitted.median_s / median)) < 6 * error + 0.005
    assert abs(fitted.sigma - sigma) < 6 * fitted.sigma_error + 0.01


def test_middles_of_intervals_would_be_wrong_where_the_likelihood_is_right() -> None:
    intervals = drawn(math.log(0.5), 0.4, 2.0, 4_000, 1)
    middles = sorted((low + high) / 2 for low, high in intervals)
    fitted = fit(intervals)
    assert fitted is not None
    assert fitted.median_s == pytest.approx(0.5, rel=0.12)
    assert middles[len(middles) // 2] > 0.7


def test_too_little_is_said_to_be_too_little_and_nonsense_is_refused() -> None:
    assert fit([]) is None
    assert fit([(0.0, 1.0)]) is None
    with pytest.raises(ValueError, match="ends above 0"):
        fit([(0.0, 1.0), (2.0, 1.0)])


def recording(path: Path, hours: float, events: Iterable[Event] | None = None) -> Path:
    with RecordingWriter(path, origin=Origin()) as out:
        for number, event in enumerate(journal(hours) if events is None else events, 1):
            data, bodies = encode_event(event)
            out.append(
                Group(
                    t_ns=event.t_ns,
                    wall_ns=event.t_ns,
                    effect_no=0,
                    records=(Record(event_no=number, data=data, bodies=bodies),),
                    snapshot=Snapshot(event_no=number, data=encode_state(EngineState())) if number == 1 else None,
                )
            )
    return path


def test_the_command_prints_a_table_json_and_a_fragment_that_a_scenario_includes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording(tmp_path / "r.tsj", 1)
    fragment = tmp_path / "measured.toml"
    assert run(["calibrate", "arrivals", str(file), "--out", str(fragment)]) == 0
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines()[3:]] == ["far", "mid", "near"]
    assert run(["calibrate", "arrivals", str(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["chain"]["missed"] < 0.1
    near = next(node for node in document["nodes"] if node["node"] == "near")
    assert near["median_95_s"][0] <= near["median_s"] <= near["median_95_s"][1]
    scenario = tmp_path / "s.toml"
    scenario.write_text(
        'schema = 1\ntitle = "t"\nduration = "1m"\ninclude = ["measured.toml"]\n'
        '[[node]]\nname = "a"\narrival = "near"\n'
    )
    loaded = read(scenario)
    assert loaded.arrival(loaded.table.nodes[0]).sigma == near["sigma"]
    assert loaded.table.chain.missed == pytest.approx(document["chain"]["missed"], abs=1e-4)
    assert run(["calibrate", "arrivals", str(file), "--out", str(fragment)]) == 3


def test_the_command_says_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = list(journal(0.5))
    lies = {at: {"number": HUGE} for at in range(100, 140)}
    file = recording(tmp_path / "r.tsj", 0, lying(events, "near", lies))
    assert run(["calibrate", "arrivals", str(file)]) == 0
    out = capsys.readouterr().out
    assert "of near; their height or time is none that the chain had then" in out.splitlines()[-1]
    assert run(["calibrate", "arrivals", str(file), "--json"]) == 0
    nodes = json.loads(capsys.readouterr().out)["nodes"]
    assert {node["node"]: bool(node["implausible"]) for node in nodes} == {"near": True, "mid": False, "far": False}


def test_a_chain_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(tmp_path / "r.tsj", 0.1)
    assert run(["calibrate", "arrivals", str(file), "--chain", "gnosis"]) == 3
    assert f"it has {CHAIN}" in capsys.readouterr().err


def test_a_recording_made_by_hand_is_refused_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = replace(settings_of(members()).chains[0], block_time_ns=0)
    wrong = replace(settings_of(members()), chains=(chain,))
    ours = encode_event(ConfigRevised(t_ns=1, settings=wrong))[0]
    for at, data in enumerate((ours, b"{}", b"no JSON")):
        path = tmp_path / f"{at}.tsr"
        with RecordingWriter(path, origin=Origin(code="0")) as out:
            out.append(Group(t_ns=1, wall_ns=1, effect_no=0, records=(Record(event_no=1, data=data),)))
        assert run(["calibrate", "arrivals", str(path)]) == 1
        said = capsys.readouterr().err
        assert f"{path}: event 1: " in said
        assert len(said.splitlines()) == 1
