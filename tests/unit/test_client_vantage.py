"""k of n watchers: when so many see an alert, when it is over, and when too few are heard to tell."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.messages import ALERT, changed

from tocsin.client import Change, Vantages, Verdict
from tocsin.wire.envelope import Origin, alert_data

A, B, C = "ams/host-a", "ams/host-b", "fra/host-c"
FIRING, RESOLVED, UNKNOWN = Verdict.FIRING, Verdict.RESOLVED, Verdict.UNKNOWN


def said(vantage: str, state: str, *, count: int = 1, activation: int = 1, at: int = 0, mark: str = "f1") -> Any:
    """Return the data of an alert event as the envelope writes it, with what matters here set."""
    site, _, watchdog = vantage.partition("/")
    data = alert_data(changed(ALERT), Origin(site=site, watchdog=watchdog))
    stamp = f"2026-01-01T00:{at // 60:02}:{at % 60:02}.000000Z"
    return {**data, "fingerprint": mark, "state": state, "activation": activation, "count": count, "updated_at": stamp}


def alive(need: int, *names: str) -> Vantages:
    watch = Vantages(need=need, of=names)
    for name in names:
        assert watch.heartbeat(name, 0) == ()
    return watch


def verdicts(changes: tuple[Change, ...]) -> list[Verdict]:
    return [change.verdict for change in changes]


def test_two_of_two_fire_when_the_second_sees_it_and_resolve_when_one_does_not_any_more() -> None:
    watch = alive(2, A, B)
    assert watch.alert(said(A, "firing"), 1) == ()
    [fired] = watch.alert(said(B, "firing"), 2)
    assert (fired.verdict, fired.firing, fired.clear) == (FIRING, (A, B), ())
    assert fired.newest["vantage"] == B
    [over] = watch.alert(said(A, "resolved", count=2, at=3), 3)
    assert (over.verdict, over.before, over.firing, over.clear) == (RESOLVED, FIRING, (B,), (A,))


def test_a_watcher_that_is_silent_makes_it_unknown_and_its_return_known_again() -> None:
    watch = alive(2, A, B)
    watch.alert(said(A, "firing"), 1)
    watch.alert(said(B, "firing"), 1)
    watch.heartbeat(A, 30)
    [lost] = watch.tick(31)
    assert (lost.verdict, lost.unknown) == (UNKNOWN, (B,))
    assert verdicts(watch.heartbeat(B, 40)) == [FIRING]


def test_a_last_will_ends_the_witness_at_once() -> None:
    watch = alive(2, A, B)
    watch.alert(said(A, "firing"), 1)
    watch.alert(said(B, "firing"), 1)
    assert verdicts(watch.lost(B, 2)) == [UNKNOWN]


def test_two_of_three_hold_although_the_third_is_silent() -> None:
    watch = alive(2, A, B, C)
    watch.alert(said(A, "firing"), 1)
    assert verdicts(watch.alert(said(B, "firing"), 1)) == [FIRING]
    assert watch.lost(C, 2) == ()
    assert verdicts(watch.alert(said(A, "resolved", count=2, at=3), 3)) == [UNKNOWN]
    assert verdicts(watch.alert(said(B, "resolved", count=2, at=4), 4)) == [RESOLVED]


def test_what_nobody_claims_is_over_whoever_is_silent() -> None:
    watch = alive(1, A, B)
    watch.alert(said(A, "firing"), 1)
    watch.alert(said(A, "resolved", count=2, at=2), 2)
    assert watch.lost(A, 3) == ()
    assert watch.lost(B, 3) == ()
    assert watch.verdict("f1") is RESOLVED


def test_a_watcher_that_says_unknown_is_no_witness() -> None:
    watch = alive(2, A, B)
    watch.alert(said(A, "firing"), 1)
    assert verdicts(watch.alert(said(B, "unknown"), 1)) == [UNKNOWN]


def test_repetitions_and_late_events_change_nothing() -> None:
    watch = alive(1, A, B)
    assert verdicts(watch.alert(said(A, "firing", at=1), 1)) == [FIRING]
    assert watch.alert(said(A, "firing", at=1), 2) == ()
    assert verdicts(watch.alert(said(A, "resolved", count=2, at=2), 3)) == [RESOLVED]
    assert watch.alert(said(A, "firing", at=1), 4) == ()


def test_a_watcher_that_lost_its_state_is_heard_though_it_counts_anew() -> None:
    watch = alive(1, A)
    watch.alert(said(A, "firing", activation=7, at=1), 1)
    watch.alert(said(A, "resolved", activation=7, count=2, at=2), 2)
    assert verdicts(watch.alert(said(A, "firing", activation=1, at=60), 3)) == [FIRING]


def test_a_watcher_whose_clock_was_set_back_is_heard_though_it_is_younger() -> None:
    watch = alive(1, A)
    watch.alert(said(A, "firing", at=600), 1)
    assert verdicts(watch.alert(said(A, "resolved", count=2, at=1), 2)) == [RESOLVED]


def test_strangers_are_no_witnesses_and_nonsense_is_refused() -> None:
    watch = alive(1, A)
    assert watch.alert(said(C, "firing"), 1) == ()
    for broken in ({}, {**said(A, "firing"), "state": "?"}, {**said(A, "firing"), "count": None}):
        with pytest.raises((KeyError, ValueError, TypeError)):
            watch.alert(broken, 1)
    assert watch.verdict("f1") is RESOLVED


@pytest.mark.parametrize("need", [0, 3])
def test_what_can_never_be_reached_is_refused(need: int) -> None:
    with pytest.raises(ValueError, match="of 2"):
        Vantages(need=need, of=(A, B, A))


def test_memory_is_bounded() -> None:
    watch = Vantages(need=1, of=(A,), most=10)
    for number in range(20):
        watch.alert(said(A, "firing", mark=f"{number}"), 1)
    assert watch.verdict("9") is RESOLVED
    assert watch.verdict("10") is FIRING


steps = st.lists(
    st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["firing", "resolved", "unknown", "lost", "beat"])),
    max_size=40,
)


@given(steps=steps, need=st.integers(1, 3))
def test_the_verdict_is_what_the_last_words_of_those_who_are_heard_add_up_to(
    steps: list[tuple[str, str]], need: int
) -> None:
    watch, last, heard, told = alive(need, A, B, C), {}, {A, B, C}, RESOLVED
    for at, (name, what) in enumerate(steps, 1):
        if what == "lost":
            heard.discard(name)
            changes = watch.lost(name, 1)
        else:
            heard.add(name)
            if what == "beat":
                changes = watch.heartbeat(name, 1)
            else:
                last[name] = what
                changes = watch.alert(said(name, what, count=at, at=at), 1)
        for change in changes:
            assert change.before is told
            assert {*change.firing, *change.clear, *change.unknown} == {A, B, C}
            told = change.verdict
        reachable = set()
        for guess in product(("firing", "resolved"), repeat=3):
            says = {
                one: last.get(one, "resolved") if one in heard and last.get(one) != "unknown" else guessed
                for one, guessed in zip((A, B, C), guess, strict=True)
            }
            reachable.add(list(says.values()).count("firing") >= need)
        expected = UNKNOWN if len(reachable) == 2 else FIRING if reachable == {True} else RESOLVED
        if not set(last.values()) - {"resolved"}:
            expected = RESOLVED
        assert watch.verdict("f1") is expected is told
