"""What the engine and the journal add to a poll: the same events as a daemon of 20 nodes has, none of them an incident.

Headers are decoded by then: a poll's own row has that. The journal's row is encoding and committing, the writer thread
and the kernel's work for the disk included; sealing comes later and on a thread of its own.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.replay import Source
from tocsin.clock import SystemClock
from tocsin.engine.codec import FORMAT, encode_event
from tocsin.engine.state import EngineState
from tocsin.engine.step import step
from tocsin.model.effect import Fetch
from tocsin.model.event import Event, Polled, Ticked
from tocsin.store import Group, Origin, Record, Store

TURNS = 5


def events_of(seconds: int) -> list[Event]:
    """Return the events of a calm stretch of time, with the answers to what the engine asked."""
    source, state, found = Source(seconds, calm=True), EngineState(), []
    for event in source.events():
        done = step(state, event)
        state = done.state
        source.fetches.extend(effect for effect in done.effects if isinstance(effect, Fetch))
        found.append(event)
    assert not any(chain.alerts.tracked for chain in state.chains.values()), "calm it should be"
    return found


async def shares(*, seconds: int) -> dict[str, float]:
    """Return the CPU time of step with its ticks, and of the journal, in microseconds per poll."""
    events = events_of(seconds)
    polls = sum(isinstance(event, Polled) for event in events)
    steps, journals = [], []
    for _ in range(TURNS):
        state = EngineState()
        start = time.process_time()
        for event in events:
            state = step(state, event).state
        steps.append(time.process_time() - start)
        journals.append(await _journalled(events))
    return {
        "step_us_per_poll": median(steps) * 1e6 / polls,
        "journal_us_per_poll": median(journals) * 1e6 / polls,
        "step_ticks_per_poll": sum(isinstance(event, Ticked) for event in events) / polls,
    }


async def _journalled(events: list[Event]) -> float:
    """Commit all events, a group at each tick as the daemon does, one at a time; return the CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        origin = Origin(code="bench", codec=FORMAT, config_hash="0")
        async with await Store.open(Path(folder), clock=SystemClock(), origin=origin) as store:
            start = time.process_time()
            for group in _groups(events):
                assert (await store.commit(group)).journalled
            return time.process_time() - start


def _groups(events: list[Event]) -> Iterator[Group]:
    records: list[Record] = []
    for number, event in enumerate(events, start=1):
        data, bodies = encode_event(event)
        records.append(Record(event_no=number, data=data, bodies=bodies))
        if isinstance(event, Ticked):
            yield Group(t_ns=event.t_ns, wall_ns=event.wall_ns, effect_no=0, records=tuple(records))
            records = []
