"""Recorded events through the same core again: same events, same bytes.

A recording carries the snapshot that it begins from, so it may begin anywhere in the stream. Where it has a gap, the
replay goes on from the snapshot behind the gap, as the live core did not have to: what is published is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tocsin import __version__
from tocsin.engine.codec import decode_event, decode_state
from tocsin.engine.state import EngineState
from tocsin.engine.step import Step, step
from tocsin.errors import CorruptRecord
from tocsin.model.alert import Alert
from tocsin.model.effect import AlertChanged, Effect, Notify, Request
from tocsin.model.event import ConfigRevised, Event
from tocsin.model.settings import Settings
from tocsin.store import Entry, Gap, Recording, SnapshotAt, read_recording
from tocsin.wire.envelope import Message, Origin, render, rfc3339


@dataclass(slots=True)
class Replay:
    """One run over a recording. `warnings` fills while it runs; `events` counts what was stepped."""

    path: Path
    settings: Settings | None = None
    """A configuration to put in the place of every recorded one."""
    prefix: bool = False
    """Take what is sound of a file that was cut short."""
    events: int = 0
    first_wall_ns: int | None = None
    last_wall_ns: int | None = None
    warnings: list[str] = field(default_factory=list)

    def effects(self) -> Iterator[tuple[EngineState, Effect]]:
        """Yield what is decided, in order, with the state it was decided in. Raises CorruptRecord, StoreError."""
        for _, done in self.steps():
            for effect in done.effects:
                yield done.state, effect

    def steps(self) -> Iterator[tuple[Event, Step]]:
        """Yield every event and what it led to. Raises CorruptRecord, StoreError."""
        recording = self._opened()
        state = EngineState()
        pending = self.settings
        for item in recording.items():
            if isinstance(item, SnapshotAt):
                state = self._restored(item, state)
                pending = self.settings
                continue
            if isinstance(item, Gap):
                self.warnings.append(
                    f"events {item.first_event} to {item.last_event} were not recorded ({item.reason})"
                )
                continue
            for event in self._events(item, pending, state):
                done = self._decided(state, event, item)
                state = done.state
                yield event, done
            pending = None if state.settings is not None else pending
            self._count(item)

    def messages(self) -> Iterator[Message]:
        """Yield every message that was published, rendered as it was then."""
        for state, effect in self.effects():
            if isinstance(effect, Request | Notify) or state.settings is None:
                continue
            origin = Origin(site=state.settings.site, watchdog=state.settings.watchdog)
            try:
                messages = tuple(render(effect, origin, state.boot))
            except ValueError as error:  # names that no configuration may have
                raise CorruptRecord(f"{self.path}: what was decided cannot be published: {error}") from error
            yield from messages

    def alerts(self) -> Iterator[Alert]:
        """Yield every change of an alert."""
        for _, effect in self.effects():
            if isinstance(effect, AlertChanged):
                yield effect.alert

    def _opened(self) -> Recording:
        recording = read_recording(self.path, prefix=self.prefix)
        if recording.kept.problem:
            self.warnings.append(f"only the sound part is replayed: {recording.kept.problem}")
        code = recording.header.origin.code
        if code and code != __version__:
            self.warnings.append(f"recorded by version {code}, replayed by {__version__}: the bytes may differ")
        return recording

    def _restored(self, snapshot: SnapshotAt, before: EngineState) -> EngineState:
        try:
            restored = decode_state(snapshot.data)
        except CorruptRecord as error:
            raise CorruptRecord(f"{self.path}: behind event {snapshot.event_no}: {error}") from error
        if self.settings is None or before.settings is None:
            return restored
        # Another configuration has its own alerts and numbers by now; the snapshot's would undo it.
        return before

    def _events(self, entry: Entry, pending: Settings | None, state: EngineState) -> Iterator[Event]:
        try:
            event = decode_event(entry.data, entry.bodies)
        except CorruptRecord as error:
            raise CorruptRecord(f"{self.path}: event {entry.event_no}: {error}") from error
        if self.settings is None:
            yield event
            return
        if pending is not None and state.boot:
            yield ConfigRevised(t_ns=event.t_ns, settings=pending)
        yield ConfigRevised(t_ns=event.t_ns, settings=self.settings) if isinstance(event, ConfigRevised) else event

    def _decided(self, state: EngineState, event: Event, entry: Entry) -> Step:
        try:
            return step(state, event)
        except Exception as error:
            # Nothing that the core itself wrote does that: the file was made by hand, or by another version.
            raise CorruptRecord(f"{self.path}: event {entry.event_no} cannot be decided: {error!r}") from error

    def _count(self, entry: Entry) -> None:
        self.events += 1
        if self.first_wall_ns is None:
            self.first_wall_ns = entry.wall_ns
        self.last_wall_ns = entry.wall_ns


def compare(recorded: Replay, other: Replay) -> Iterator[tuple[str, str]]:
    """Yield every alert change of two runs in order of time: `-` only recorded, `+` only in the other, ` ` in both."""
    left, right = [line(alert) for alert in recorded.alerts()], [line(alert) for alert in other.alerts()]
    ours, theirs = set(left), set(right)
    for text in sorted(ours | theirs):
        mark = " " if text in ours and text in theirs else "-" if text in ours else "+"
        yield mark, text


def line(alert: Alert) -> str:
    """Return a change of an alert as one line that sorts by time: when, what, about whom, how bad."""
    subject = " ".join(f"{key}={value}" for key, value in alert.labels)
    return (
        f"{rfc3339(alert.updated_wall_ns)} {alert.detector} {subject} {alert.severity} {alert.state} ({alert.reason})"
    )
