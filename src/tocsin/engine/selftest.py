"""The self-test alert: always firing, said again every minute, and heard back by the daemon itself.

It is no reading of a detector, so nothing of what happens to alerts happens to it: it is not reminded of, does not
flap, cannot be acknowledged or inhibited. It is marked silenced, since it is not meant for people. A new word is said
only while the broker is there, and ever more rarely while none comes back: what nobody hears must not pile up.
"""

from typing import Final

from tocsin.clock import MS, NS
from tocsin.engine.labels import self_labels
from tocsin.engine.state import EngineState
from tocsin.engine.stream import numbered
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, AlertState, Grade, Severity
from tocsin.model.effect import AlertChanged
from tocsin.model.event import Echoed, Orphan
from tocsin.model.evolve import evolve
from tocsin.model.selftest import ID, EchoView, SaidWord, SelfTest
from tocsin.model.settings import Settings

MOST_WAITING: Final = 16
"""Words that may still be heard back; an echo of an older one says nothing of now."""
_PATIENT: Final = 2
_SLOWEST: Final = 8
"""After two words in vain the gap doubles, up to this many times the usual one."""


def look(state: EngineState, settings: Settings, t_ns: int) -> tuple[EngineState, tuple[AlertChanged, ...]]:
    """Say the next word of the self-test if it is due."""
    test = state.self_test
    connected = state.delivery is not None and state.delivery.connected
    if not settings.self_test_ns or not connected or not _is_due(test, settings.self_test_ns, t_ns):
        return state, ()
    spoken = _next(test, settings, state.wall_ns, t_ns)
    state, effects = numbered(state, (_alert(spoken, state.wall_ns),), state.wall_ns)
    word = SaidWord(seq=effects[0].seq, said_ns=t_ns)
    waiting = (*test.waiting, word)[-MOST_WAITING:]
    return evolve(state, self_test=evolve(spoken, waiting=waiting, unanswered=test.unanswered + 1)), effects


def echoed(state: EngineState, event: Echoed) -> EngineState:
    """Note that a word was heard back; of one that is not awaited nothing follows."""
    test = state.self_test
    word = next((word for word in test.waiting if word.seq == event.seq), None)
    if word is None:
        return state
    return evolve(
        state,
        self_test=evolve(
            test,
            waiting=tuple([one for one in test.waiting if one.seq > event.seq]),
            unanswered=sum(one.seq > event.seq for one in test.waiting),
            echo_ns=max(0, state.t_ns - word.said_ns),
            echoed_ns=state.t_ns,
        ),
    )


def anew(test: SelfTest, t_ns: int) -> SelfTest:
    """Return the self-test at the start of a life: a word is due at once, and silence counts from here."""
    return evolve(test, said_ns=None, since_ns=t_ns, unanswered=0)


def resumed(test: SelfTest, t_ns: int) -> SelfTest:
    """Return the self-test after a time in which nobody looked: nobody could have heard an echo then."""
    return evolve(test, since_ns=t_ns)


def view(state: EngineState, settings: Settings, t_ns: int) -> EchoView | None:
    """Return how the self-test stands; None where there is none."""
    if not settings.self_test_ns:
        return None
    test = state.self_test
    return EchoView(
        every_ns=settings.self_test_ns,
        silent_ns=t_ns - max(test.since_ns, test.echoed_ns or 0),
        connected=state.delivery is not None and state.delivery.connected,
        unanswered=test.unanswered,
        echo_ns=test.echo_ns,
    )


def configured(
    state: EngineState, before: Settings | None, settings: Settings
) -> tuple[EngineState, tuple[Alert, ...]]:
    """Take a new configuration: where there is no self-test any more, or another one, the alert ends."""
    test = state.self_test
    was_on = before is not None and before.self_test_ns > 0
    if settings.self_test_ns and not was_on:
        test = evolve(test, since_ns=state.t_ns)
    if not test.fingerprint or (settings.self_test_ns and test.labels == self_labels(settings)):
        return evolve(state, self_test=test), ()
    ended = evolve(test, count=test.count + 1)
    alert = _alert(ended, state.wall_ns, over=True)
    kept = evolve(ended, fingerprint="", waiting=(), unanswered=0, said_ns=None)
    return evolve(state, self_test=kept), (alert,)


def adopted(state: EngineState, orphan: Orphan) -> EngineState:
    """Go on counting where a lost state had stopped."""
    test = state.self_test
    known = (test.activation, test.count) if test.labels == orphan.labels else (0, 0)
    if known >= (orphan.activation, orphan.count):
        return state
    lost = evolve(
        test,
        fingerprint=orphan.fingerprint if orphan.is_open else "",
        labels=orphan.labels,
        activation=orphan.activation,
        count=orphan.count,
        started_wall_ns=orphan.started_wall_ns,
    )
    return evolve(state, self_test=lost)


def row(state: EngineState, t_ns: int) -> dict[str, object] | None:
    """Return the self-test as `status` shows it; None where there is none. Milliseconds, and seconds of silence."""
    seen = view(state, state.settings, t_ns) if state.settings is not None else None
    if seen is None:
        return None
    return {
        "every_s": seen.every_ns // NS,
        "echo_ms": echo_ms(state),
        "silent_s": seen.silent_ns // NS,
        "unanswered": seen.unanswered,
    }


def echo_ms(state: EngineState) -> int | None:
    """Return how long the last word took that was heard back, in milliseconds, at least 1; None before one was."""
    return _echo_ms(state.self_test)


def _echo_ms(test: SelfTest) -> int | None:
    return None if test.echo_ns is None else max(1, test.echo_ns // MS)


def _is_due(test: SelfTest, every_ns: int, t_ns: int) -> bool:
    if test.said_ns is None:
        return True
    slower = min(1 << max(0, test.unanswered - _PATIENT), _SLOWEST)
    return t_ns - test.said_ns >= every_ns * slower


def _next(test: SelfTest, settings: Settings, wall_ns: int, t_ns: int) -> SelfTest:
    """Return the self-test with one word more."""
    if test.fingerprint:
        return evolve(test, count=test.count + 1, said_ns=t_ns)
    labels = self_labels(settings)
    return evolve(
        test,
        fingerprint=fingerprint(ID, labels),
        labels=labels,
        activation=test.activation + 1 if labels == test.labels else 1,
        count=1,
        started_wall_ns=wall_ns,
        said_ns=t_ns,
    )


def _alert(test: SelfTest, wall_ns: int, *, over: bool = False) -> Alert:
    reason = "unconfigured" if over else "fired" if test.count == 1 else "test"
    took_ms = _echo_ms(test)
    took = "none was heard back yet" if took_ms is None else f"the one heard back last took {took_ms} ms"
    return Alert(
        fingerprint=test.fingerprint,
        activation=test.activation,
        detector=ID,
        severity=Severity.INFO,
        state=AlertState.RESOLVED if over else AlertState.FIRING,
        labels=test.labels,
        summary=f"self-test of the way that alerts take: {took}; nothing is wrong",
        value=took_ms,
        limit=None,
        unit="ms",
        grade=Grade.PROVEN,
        block=None,
        evidence={},
        started_wall_ns=test.started_wall_ns,
        updated_wall_ns=wall_ns,
        resolved_wall_ns=wall_ns if over else None,
        count=test.count,
        reason=reason,
        previous=None if test.count == 1 else AlertState.FIRING,
        silenced=True,
    )
