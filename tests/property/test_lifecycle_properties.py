import random

from hypothesis import given
from hypothesis import strategies as st

from tocsin.alerting.lifecycle import advance
from tocsin.alerting.tracked import Alerts, Moment
from tocsin.alerting.withdrawal import retire
from tocsin.model.alert import AlertState, Finding, Grade, Labels, Limits, Over, Subject, Under

SECOND = 10**9
SUBJECTS: tuple[Labels, ...] = tuple((("chain", "eip155:1"), ("node", name)) for name in "abc")
LIMITS = Limits(warning=Over(over=2, polls=2), critical=Over(over=5), clear=Under(under=1, polls=2, for_ns=SECOND))
DETECTORS = ("node.lag", "node.syncing", "node.unreachable", "pool.blind")

readings = st.dictionaries(
    st.tuples(st.sampled_from(DETECTORS), st.sampled_from(SUBJECTS)),
    st.integers(0, 8),
)
histories = st.lists(st.tuples(readings, st.sets(st.sampled_from(SUBJECTS))), max_size=40)


def findings(reading: dict[tuple[str, Labels], int], tick: int) -> list[Finding]:
    return [
        Finding(
            detector=detector,
            labels=labels,
            value=value,
            unit="",
            limits=LIMITS,
            sample=tick,
            summary="",
            grade=Grade.QUORUM,
        )
        for (detector, labels), value in reading.items()
    ]


@given(history=histories)
def test_every_firing_ends_in_exactly_one_resolved(
    history: list[tuple[dict[tuple[str, Labels], int], set[Labels]]],
) -> None:
    alerts, open_, activation = Alerts(), set(), {}
    said = []
    for tick, (reading, silent) in enumerate(history):
        samples = {
            subject: Subject(sample=None if subject in silent else tick, lost=subject in silent) for subject in SUBJECTS
        }
        alerts, out = advance(alerts, findings(reading, tick), samples, Moment(now_ns=tick * SECOND, wall_ns=0))
        said += out
    alerts, out = retire(alerts, (), Moment(now_ns=10**15, wall_ns=0))
    for alert in (*said, *out):
        key = alert.fingerprint
        if alert.reason == "fired":
            assert key not in open_
            assert alert.activation == activation.get(key, 0) + 1
            activation[key] = alert.activation
            open_.add(key)
        else:
            assert key in open_, "nothing is said of an alert that does not fire"
            assert alert.activation == activation[key]
        if alert.state is AlertState.RESOLVED:
            open_.remove(key)
    assert not open_
    assert not alerts.tracked


@given(history=histories, seed=st.randoms())
def test_the_order_of_findings_in_a_tick_changes_nothing(
    history: list[tuple[dict[tuple[str, Labels], int], set[Labels]]], seed: random.Random
) -> None:
    left = right = Alerts()
    for tick, (reading, silent) in enumerate(history):
        samples = {
            subject: Subject(sample=None if subject in silent else tick, lost=subject in silent) for subject in SUBJECTS
        }
        moment = Moment(now_ns=tick * SECOND, wall_ns=tick)
        ordered = findings(reading, tick)
        shuffled = ordered.copy()
        seed.shuffle(shuffled)
        left, said_left = advance(left, ordered, samples, moment)
        right, said_right = advance(right, shuffled, samples, moment)
        assert said_left == said_right
        assert left == right
