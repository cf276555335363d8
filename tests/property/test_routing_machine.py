"""What people are told, under whatever alerts may do: judged by the messages alone, as a person who gets them could.

The model is a subscriber to the stream of alerts beside each channel: it knows what was said, never the state.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.lengths import at_length

from tocsin.alerting.grouping import MINUTE_NS, MOST_TOLD
from tocsin.alerting.routing import Mail, Routing, routed
from tocsin.alerting.silences import Silences
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, AlertState, Grade, Severity
from tocsin.model.effect import Notify
from tocsin.model.notice import News
from tocsin.model.settings import ChannelSettings, PerSeverity
from tocsin.model.silence import Silence
from tocsin.wire.records import Codec

SECOND = 10**9
TEAM = ChannelSettings(
    name="team",
    floor=Severity.INFO,
    group_by=("chain",),
    wait=PerSeverity(critical=0, warning=30 * SECOND, info=600 * SECOND),
    interval=PerSeverity(critical=30 * SECOND, warning=300 * SECOND, info=600 * SECOND),
    per_minute=2,
)
PAGER = ChannelSettings(
    name="pager", match="detector=node.*", gathers=False, repeat=PerSeverity(critical=3600 * SECOND)
)
SPARE = ChannelSettings(name="spare", is_fallback=True)
CHANNELS = (TEAM, PAGER, SPARE)

SUBJECTS = tuple(
    (detector, (("chain", f"eip155:{chain}"), ("node", node)))
    for detector in ("node.lag", "node.unreachable", "chain.halt")
    for chain in (1, 10, 56)
    for node in "ab"
)
gaps = st.sampled_from([0, SECOND, 5 * SECOND, 29 * SECOND, 31 * SECOND, 61 * SECOND, 301 * SECOND, 3600 * SECOND])
muted = st.sampled_from([(False, None), (False, None), (False, None), (True, None), (False, "0" * 32)])


@dataclass
class Model:
    """What one channel was told."""

    firing: dict[str, Severity] = field(default_factory=dict)
    spoken: dict[str, int] = field(default_factory=dict)
    times: dict[Severity, list[int]] = field(default_factory=dict)
    is_vague: bool = False
    """Whether a message told of some by their number alone: which ones nobody can know who gets it."""


class People(RuleBasedStateMachine):
    """Three channels, and the stream that they are fed from."""

    @initialize()
    def begin(self) -> None:
        self.now = 10**15
        self.routing = Routing()
        self.open: dict[str, Alert] = {}
        self.activations: dict[str, int] = {}
        self.models = {channel.name: Model() for channel in CHANNELS}
        self.silences: tuple[Silence, ...] = ()
        self.number = 0
        self.unheard: set[str] = set()
        self._take()

    def _take(self, *alerts: Alert, unheard: tuple[Alert, ...] = ()) -> None:
        mail = Mail(
            now_ns=self.now,
            wall_ns=self.now,
            site="ams",
            silences=Silences(active=self.silences),
            alerts=alerts,
            unheard=unheard,
        )
        before = self.routing
        self.routing, notices = routed(before, CHANNELS, mail)
        assert routed(before, CHANNELS, mail) == (self.routing, notices), "what was worked out before changes nothing"
        ranks = [notice.severity.rank for notice in notices]
        assert ranks == sorted(ranks, reverse=True), "the worst goes first"
        for notice in notices:
            self.number += 1
            assert notice.number == self.number
            self._told(notice)

    def _told(self, notice: Notify) -> None:
        model, said = self.models[notice.channel], notice.notice
        assert 0 < len(said.told) <= max(1, MOST_TOLD) and said.others >= 0  # noqa: PT018
        if notice.channel == "team":
            self._is_not_too_much(model, notice)
        model.is_vague |= said.others > 0
        for told in said.told:
            assert told.severity is notice.severity
            if notice.channel == "spare" and told.news is News.FIRING:
                assert told.key in self.unheard, "a fallback is told once, of what reached nobody"
                self.unheard.remove(told.key)
            if told.news is News.RESOLVED:
                assert told.key in model.firing or model.is_vague, "only who was told of it is told that it is over"
                model.firing.pop(told.key, None)
            else:
                assert told.news is News.FIRING or notice.channel == "pager"
                assert told.news is News.FIRING or told.key in model.firing or model.is_vague
                model.firing[told.key] = told.severity

    def _is_not_too_much(self, model: Model, notice: Notify) -> None:
        interval = TEAM.interval.of(notice.severity)
        for told in notice.notice.told:
            group = f"{told.severity} {told.labels[0]}"
            last = model.spoken.get(group)
            assert last is None or last == self.now or self.now - last >= interval, "one message per interval"
        for told in notice.notice.told:
            model.spoken[f"{told.severity} {told.labels[0]}"] = self.now
        times = model.times.setdefault(notice.severity, [])
        times.append(self.now)
        assert sum(self.now - at < MINUTE_NS for at in times) <= TEAM.per_minute

    def _alert(self, detector: str, labels: tuple[tuple[str, str], ...], severity: Severity) -> Alert:
        key = fingerprint(detector, labels)
        self.activations[key] = self.activations.get(key, 0) + 1
        return Alert(
            fingerprint=key,
            activation=self.activations[key],
            detector=detector,
            severity=severity,
            state=AlertState.FIRING,
            labels=labels,
            summary="it is so",
            value=1,
            limit=1,
            unit="",
            grade=Grade.QUORUM,
            block=None,
            evidence={},
            started_wall_ns=self.now,
            updated_wall_ns=self.now,
            resolved_wall_ns=None,
            count=1,
            reason="fired",
        )

    @rule(
        subjects=st.lists(st.sampled_from(SUBJECTS), unique=True, max_size=9), bad=st.sampled_from(Severity), how=muted
    )
    def fire(
        self, subjects: list[tuple[str, tuple[tuple[str, str], ...]]], bad: Severity, how: tuple[bool, str]
    ) -> None:
        said = []
        for detector, labels in subjects:
            if fingerprint(detector, labels) not in self.open:
                alert = self._alert(detector, labels, bad)
                self.open[alert.fingerprint] = alert
                said.append(replace(alert, silenced=how[0], inhibited_by=how[1]))
        self._take(*said)

    @rule(
        data=st.data(),
        how=muted,
        reason=st.sampled_from(["raised", "changed", "reminder", "acked", "data-missing", "flapping"]),
    )
    def change(self, data: st.DataObject, how: tuple[bool, str], reason: str) -> None:
        if not self.open:
            return
        alert = self.open[data.draw(st.sampled_from(sorted(self.open)))]
        worse = Severity.CRITICAL if reason == "raised" else alert.severity
        acked = "ann" if reason == "acked" else alert.acked_by
        state = AlertState.UNKNOWN if reason == "data-missing" else AlertState.FIRING
        alert = replace(alert, severity=worse, reason=reason, acked_by=acked, state=state)
        self.open[alert.fingerprint] = alert
        self._take(replace(alert, silenced=how[0], inhibited_by=how[1]))

    @rule(data=st.data(), silenced=st.booleans())
    def resolve(self, data: st.DataObject, silenced: bool) -> None:  # noqa: FBT001
        if not self.open:
            return
        keys = data.draw(st.lists(st.sampled_from(sorted(self.open)), unique=True, min_size=1))
        self._take(*[self._ended(key, silenced=silenced) for key in keys])

    def _ended(self, key: str, *, silenced: bool) -> Alert:
        alert = self.open.pop(key)
        return replace(alert, state=AlertState.RESOLVED, reason="cleared", silenced=silenced, resolved_wall_ns=self.now)

    @rule(data=st.data())
    def nobody_hears(self, data: st.DataObject) -> None:
        if not self.open:
            return
        alert = self.open[data.draw(st.sampled_from(sorted(self.open)))]
        key = f"{alert.fingerprint}:{alert.activation}"
        if alert.severity is Severity.CRITICAL and key not in self.models["spare"].firing:
            self.unheard.add(key)
        self._take(unheard=(replace(alert, reason="nobody"),))

    @rule(match=st.sampled_from(["", "detector=*", "node=a", "chain=eip155:1"]))
    def silence(self, match: str) -> None:
        self.silences = (
            ()
            if not match
            else (Silence(id="s", match=match, by="a", reason="b", from_wall_ns=0, until_wall_ns=2**62, critical=True),)
        )

    @rule(gap=gaps)
    def wait(self, gap: int) -> None:
        self.now += gap
        self._take()

    @rule()
    def restart(self) -> None:
        codec = Codec()
        body = codec.encode(Routing, self.routing, {})
        self.routing = codec.decode(Routing, body, {})
        assert codec.encode(Routing, self.routing, {}) == body

    @rule(gap=gaps)
    def all_ends(self, gap: int) -> None:
        """Every firing that people were told of is told over, and nothing critical waits for long."""
        self.silences = ()
        self._take(*[self._ended(key, silenced=False) for key in sorted(self.open)])
        for _ in range(20):
            self.now += 61 * SECOND
            self._take()
        for model in self.models.values():
            assert not model.firing or model.is_vague
            model.firing, model.is_vague = {}, False
        assert self.routing.due_ns is None
        self.now += gap

    @invariant()
    def critical_is_told(self) -> None:
        """What is critical waits for its own kind alone: half a minute, and for room in a minute."""
        if not hasattr(self, "routing") or self.silences:
            return
        for group in self.routing.channels["team"].waiting.values():
            assert group.severity is not Severity.CRITICAL or group.due_ns <= self.now + 60 * SECOND

    @invariant()
    def nothing_is_overdue(self) -> None:
        """The time at which something is due is in the future, else it was told."""
        due = getattr(self, "routing", Routing()).due_ns
        assert due is None or due > self.now


TestPeople = People.TestCase
TestPeople.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestPeopleAtLength = at_length(People, examples=60, steps=40)


def test_the_machine_reaches_all_that_it_speaks_of() -> None:
    """A fixed path past each kind of message, so that the rules above are known to be about something."""
    machine = People()
    machine.begin()
    notices: list[Notify] = []
    machine._told = notices.append  # type: ignore[method-assign]
    machine.fire(list(SUBJECTS), Severity.CRITICAL, (False, None))
    [merged, *pages] = (
        [one for one in notices if one.channel == "team"],
        [one for one in notices if one.channel == "pager"],
    )
    assert [(one.notice.groups, one.notice.firing, len(one.notice.told)) for one in merged] == [(3, 18, MOST_TOLD)]
    assert len(pages[0]) == 12
    assert merged[0].notice.detectors == (("chain.halt", 6), ("node.lag", 6), ("node.unreachable", 6))
    notices.clear()
    alert = machine.open[min(machine.open)]
    machine._take(replace(alert, reason="acked", acked_by="ann"))
    machine._take(unheard=(replace(alert, reason="late"),))
    machine.now += 31 * SECOND
    machine._take(*[machine._ended(key, silenced=True) for key in sorted(machine.open)])
    said = {(one.channel, told.news) for one in notices for told in one.notice.told}
    wanted = {("team", News.RESOLVED), ("pager", News.RESOLVED), ("spare", News.FIRING), ("spare", News.RESOLVED)}
    assert said - {("pager", News.SEEN)} == wanted


def test_what_gets_worse_before_it_was_told_is_told_once_as_bad_as_it_is() -> None:
    machine = People()
    machine.begin()
    notices: list[Notify] = []
    machine._told = notices.append  # type: ignore[method-assign]
    machine.fire([SUBJECTS[0]], Severity.WARNING, (False, None))
    [alert] = machine.open.values()
    machine._take(replace(alert, severity=Severity.CRITICAL, reason="raised"))
    for _ in range(12):
        machine.wait(301 * SECOND)
    assert [told.severity for one in notices if one.channel == "team" for told in one.notice.told] == [
        Severity.CRITICAL
    ]


def _storm(channel: ChannelSettings, already: int) -> tuple[int, int]:
    """Return how many calls it takes to be told of 25 alerts more, and of a second without news, after so many."""
    routing, now, alerts = Routing(), 10**15, [_syncing(number) for number in range(already + 25)]
    for at in range(0, already, 25):
        routing, _ = routed(routing, (channel,), _news(now, alerts[at : at + 25]))
    with _counted() as gathering:
        routing, _ = routed(routing, (channel,), _news(now, alerts[already:]))
    with _counted() as waiting:
        routed(routing, (channel,), _news(now + SECOND, alerts[:1]))
    return gathering[0], waiting[0]


def _syncing(number: int) -> Alert:
    return Alert(
        fingerprint=f"{number:032x}",
        activation=1,
        detector="node.syncing",
        severity=Severity.WARNING,
        state=AlertState.FIRING,
        labels=(("chain", f"eip155:{number // 25}"), ("node", f"n{number}")),
        summary="it is catching up",
        value=1,
        limit=1,
        unit="flag",
        grade=Grade.QUORUM,
        block=None,
        evidence={},
        started_wall_ns=number,
        updated_wall_ns=number,
        resolved_wall_ns=None,
        count=1,
        reason="fired",
    )


def _news(now: int, alerts: list[Alert]) -> Mail:
    return Mail(now_ns=now, wall_ns=now, site="ams", alerts=alerts)


@contextlib.contextmanager
def _counted() -> Iterator[list[int]]:
    """Count calls, of Python and of C: they do not depend on how fast a machine is."""
    calls = [0]

    def count(_: object, event: str, __: object) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("group_by", [("detector",), ("chain", "detector"), ("node",)])
def test_a_step_of_a_storm_costs_what_is_new_and_not_what_came_before(group_by: tuple[str, ...]) -> None:
    channel = replace(TEAM, group_by=group_by)
    few, many = _storm(channel, 100), _storm(channel, 5_000)
    assert many[0] < 1.5 * few[0]
    assert many[1] < 1.5 * few[1] + 50


def test_a_message_about_thousands_takes_a_few_calls_for_each() -> None:
    channel = replace(TEAM, group_by=("node",))
    routing, _ = routed(Routing(), (channel,), _news(10**15, [_syncing(number) for number in range(5_000)]))
    with _counted() as calls:
        _, [notice] = routed(routing, (channel,), _news(10**15 + 30 * SECOND, []))
    assert (notice.notice.firing, notice.notice.groups) == (5_000, 5_000)
    assert calls[0] < 40 * 5_000


def test_an_alert_that_became_worse_while_it_was_silenced_is_told_of_as_what_it_is() -> None:
    machine = People()
    machine.begin()
    machine.silence("detector=*")
    machine.fire([SUBJECTS[6]], Severity.WARNING, (False, None))
    machine.silence("")
    [alert] = machine.open.values()
    machine._take(replace(alert, severity=Severity.CRITICAL, reason="raised"))
    assert machine.models["pager"].firing == {f"{alert.fingerprint}:1": Severity.CRITICAL}
