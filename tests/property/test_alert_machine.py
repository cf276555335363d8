"""The whole life of alerts under whatever may happen to them: what is said is right by itself, whoever reads it.

The model knows the messages and what was done, never the state: it checks what a subscriber could check.
"""

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.lengths import at_length

from tocsin.alerting.lifecycle import acknowledge, advance
from tocsin.alerting.silences import Silences
from tocsin.alerting.takeover import resumed, revived
from tocsin.alerting.tracked import Alerts, Moment
from tocsin.alerting.withdrawal import retire, withdraw
from tocsin.ids import fingerprint
from tocsin.model.alert import Alert, AlertState, Finding, Grade, Labels, Limits, Over, Severity, Subject, Under
from tocsin.model.settings import AlertRules
from tocsin.model.silence import Silence
from tocsin.wire.records import Codec

SECOND = 10**9
CHAIN: Labels = (("chain", "eip155:1"),)
PROVIDER: Labels = (("chain", "eip155:1"), ("provider", "p"))
NODES: tuple[Labels, ...] = tuple((("chain", "eip155:1"), ("node", name)) for name in "ab")
SUBJECTS = (CHAIN, PROVIDER, *NODES)
KINDS = (
    ("pool.blind", CHAIN),
    ("provider.unreachable", PROVIDER),
    *((detector, node) for detector in ("node.unreachable", "node.errors", "node.lag") for node in NODES),
)
LIMITS = (
    Limits(warning=Over(over=1), critical=Over(over=3)),
    Limits(info=Over(over=1), warning=Over(over=2, polls=2), clear=Under(under=1, polls=2)),
    Limits(warning=Over(over=2, for_ns=30 * SECOND), clear=Under(under=2, for_ns=30 * SECOND)),
    Limits(warning=Over(over=1, blocks=2), clear=Under(under=2, blocks=1)),
    Limits(warning=Over(over=2), keep_firing_ns=60 * SECOND),
    Limits(critical=Over(over=2), latched=True),
    Limits(warning=Over(over=2), critical=Over(over=3), at_most=Severity.WARNING),
)
RULES = (
    AlertRules(),
    AlertRules(flap_transitions=2, flap_within_ns=120 * SECOND, flap_quiet_ns=60 * SECOND, remind_info_ns=(SECOND,)),
    AlertRules(flap_transitions=3, remind_critical_ns=(60 * SECOND, 120 * SECOND), remind_warning_ns=(90 * SECOND,)),
    AlertRules(flap_transitions=0, remind_critical_ns=(), remind_warning_ns=()),
)
MATCHES = ("detector=*", "detector=node.*", "severity<=warning", "node=a", "provider!=")
ENDS = frozenset({"cleared", "acked", "unconfigured", "maintenance"})

values = st.sampled_from([0, 0, 1, 2, 2, 3, 3])
readings = st.dictionaries(st.sampled_from(KINDS), values, max_size=len(KINDS))
gaps = st.sampled_from([0, SECOND, SECOND, 10 * SECOND, 60 * SECOND, 61 * SECOND, 601 * SECOND, 3700 * SECOND])


@dataclass
class Told:
    """What a subscriber knows of one alert that is open."""

    activation: int
    count: int
    severity: Severity
    said_ns: int
    acked: bool = False
    heard: bool = False
    hushed: bool = False
    flapping_ns: int | None = None
    reminders: int = 0
    states: list[AlertState] = field(default_factory=list)


class Lifecycle(RuleBasedStateMachine):
    """One scope of alerts, and a subscriber to it."""

    @initialize(rules=st.sampled_from(RULES))
    def begin(self, rules: AlertRules) -> None:
        self.alerts = Alerts()
        self.rules = rules
        self.limits = LIMITS[0]
        self.silences: tuple[Silence, ...] = ()
        self.watched = list(SUBJECTS)
        self.now = 10**15
        self.height = 100
        self.sample = 0
        self.open: dict[str, Told] = {}
        self.activations: dict[str, int] = {}

    # -- what happens

    @property
    def moment(self) -> Moment:
        return Moment(
            now_ns=self.now,
            wall_ns=self.now,
            height=self.height,
            rules=self.rules,
            silences=Silences(active=self.silences),
        )

    def take(self, result: tuple[Alerts, tuple[Alert, ...]]) -> None:
        self.alerts, said = result
        assert len({alert.fingerprint for alert in said}) == len(said), "one word about each in a look"
        for alert in said:
            self.hear(alert)

    @rule(reading=readings, silent=st.sets(st.sampled_from(SUBJECTS), max_size=2), lost=st.booleans(), gap=gaps)
    def look(
        self,
        reading: dict[tuple[str, Labels], int],
        silent: set[Labels],
        lost: bool,  # noqa: FBT001
        gap: int,
    ) -> None:
        self.now += gap
        self.sample += 1
        subjects = {
            labels: Subject(
                sample=None if labels in silent else self.sample,
                lost=lost and labels in silent,
                part_of=(("provider", "p"),) if labels in NODES else (),
            )
            for labels in self.watched
        }
        findings = [
            Finding(
                detector=detector,
                labels=labels,
                value=value,
                unit="",
                limits=self.limits,
                sample=self.sample,
                summary=f"{value}",
                grade=Grade.QUORUM,
            )
            for (detector, labels), value in reading.items()
            if labels in self.watched and labels not in silent
        ]
        self.take(advance(self.alerts, findings, subjects, self.moment))

    @rule(key=st.sampled_from(KINDS), turns=st.integers(1, 6), gap=st.sampled_from([SECOND, 20 * SECOND]))
    def comes_and_goes(self, key: tuple[str, Labels], turns: int, gap: int) -> None:
        for _ in range(turns):
            self.look({key: 3}, set(), False, gap)  # noqa: FBT003
            self.look({}, set(), False, gap)  # noqa: FBT003

    @rule(blocks=st.integers(1, 3))
    def blocks_come(self, blocks: int) -> None:
        self.height += blocks

    @rule(data=st.data())
    def is_acknowledged(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.open) or ["none"]))
        self.take(acknowledge(self.alerts, key, "ann", self.moment))

    def is_acknowledged_by_all(self) -> None:
        for key in sorted(self.open):
            self.take(acknowledge(self.alerts, key, "ann", self.moment))

    @rule(match=st.sampled_from(MATCHES), critical=st.booleans())
    def is_silenced(self, match: str, critical: bool) -> None:  # noqa: FBT001
        one = Silence(id="s", match=match, by="a", reason="b", from_wall_ns=0, until_wall_ns=10**18, critical=critical)
        self.silences = (*self.silences[-1:], one)

    @rule()
    def silences_end(self) -> None:
        self.silences = ()

    @rule(labels=st.sampled_from(SUBJECTS))
    def is_taken_out_of_judgement(self, labels: Labels) -> None:
        self.take(
            withdraw(self.alerts, lambda one: one.finding.labels == labels, self.moment, "maintenance"),
        )

    @rule(
        gone=st.sets(st.sampled_from(SUBJECTS), max_size=2),
        limits=st.sampled_from(LIMITS),
        rules=st.sampled_from(RULES),
    )
    def is_configured_anew(self, gone: set[Labels], limits: Limits, rules: AlertRules) -> None:
        self.watched = [labels for labels in SUBJECTS if labels not in gone]
        self.limits, self.rules = limits, rules
        self.take(retire(self.alerts, self.watched, self.moment))

    @rule(gap=gaps)
    def is_started_anew(self, gap: int) -> None:
        self.snapshots_change_nothing()
        self.now += gap
        self.alerts = revived(self.alerts, self.now)

    @rule(gap=gaps)
    def stood_still(self, gap: int) -> None:
        self.now += gap
        self.alerts = resumed(self.alerts, gap)

    # -- what is heard

    def hear(self, alert: Alert) -> None:
        assert alert.state is not AlertState.PENDING
        told = self.begun(alert) if alert.reason == "fired" else self.open[alert.fingerprint]
        assert (alert.activation, alert.count) == (told.activation, told.count + 1), "counted without a hole"
        assert alert.reason != "steady" or told.flapping_ns is not None
        self.check_silence(alert, told)
        self.check_flapping(alert, told)
        if alert.reason == "reminder":
            gaps = self.rules.reminders(alert.severity)
            assert gaps
            assert not told.acked
            assert self.now - told.said_ns >= gaps[min(told.reminders, len(gaps) - 1)]
            told.reminders += 1
        if alert.severity is not told.severity:
            assert alert.reason == "raised"
            assert alert.severity.rank > told.severity.rank
            told.reminders = 0
        told.count, told.severity, told.said_ns = alert.count, alert.severity, self.now
        told.acked = told.acked or alert.reason == "acked"
        if alert.state is AlertState.RESOLVED:
            assert alert.reason in ENDS
            del self.open[alert.fingerprint]

    def begun(self, alert: Alert) -> Told:
        assert alert.fingerprint not in self.open, "never two firings without an end between"
        number = self.activations.get(alert.fingerprint, 0) + 1
        self.activations[alert.fingerprint] = number
        assert alert.state is AlertState.FIRING
        assert alert.inhibited_by is None, "what is covered does not begin"
        told = Told(activation=number, count=0, severity=alert.severity, said_ns=self.now)
        self.open[alert.fingerprint] = told
        return told

    def check_silence(self, alert: Alert, told: Told) -> None:
        covered = Silences(active=self.silences).covers(alert.detector, alert.severity, alert.labels)
        if alert.state is AlertState.RESOLVED:
            assert alert.silenced is not told.heard, "who heard that it began hears that it ended"
            return
        assert alert.silenced is covered
        if alert.reason == "unsilenced":
            assert told.hushed
        told.hushed = covered and (told.hushed or alert.reason in ("fired", "raised", "changed"))
        told.heard = told.heard or not covered

    def check_flapping(self, alert: Alert, told: Told) -> None:
        if alert.reason == "flapping":
            assert told.flapping_ns is None, "it is said once"
            told.flapping_ns = self.now
        elif told.flapping_ns is not None and alert.reason in ("cleared", "steady"):
            assert self.now - told.flapping_ns >= self.rules.flap_quiet_ns, "it ends when it was quiet"
            told.flapping_ns = None
        if alert.state is not AlertState.RESOLVED:
            assert alert.flapping is (told.flapping_ns is not None)

    # -- what always holds

    @invariant()
    def what_is_open_is_what_was_said_to_be(self) -> None:
        held = {
            key: (one.activation, one.count, one.severity)
            for key, one in self.alerts.tracked.items()
            if one.state is not AlertState.PENDING
        }
        assert held == {key: (told.activation, told.count, told.severity) for key, told in self.open.items()}

    @invariant()
    def nobody_is_kept_in_the_dark(self) -> None:
        """What people may hear of and have not is told at the next look: nothing is due twice, nothing for ever."""
        for key, one in self.alerts.tracked.items():
            assert one.is_hushed is (key in self.open and self.open[key].hushed)

    @invariant()
    def little_is_remembered(self) -> None:
        assert all(0 < len(each) <= 100 for each in self.alerts.turns.values())
        assert set(self.alerts.turns) <= {fingerprint(detector, labels) for detector, labels in KINDS}

    @invariant()
    def snapshots_change_nothing(self) -> None:
        blobs: dict[str, bytes] = {}
        again: Alerts = CODEC.decode(Alerts, CODEC.encode(Alerts, self.alerts, blobs), blobs)
        assert again == self.alerts
        self.alerts = again

    def teardown(self) -> None:
        if not hasattr(self, "alerts"):
            return
        self.now += SECOND
        self.take(retire(self.alerts, (), self.moment))
        assert not self.open
        assert not self.alerts.tracked
        assert not self.alerts.turns or set(self.alerts.turns) <= set(self.activations)


CODEC = Codec()

TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestLifecycleAtLength = at_length(Lifecycle, examples=60, steps=40)


def test_the_machine_reaches_all_that_it_speaks_of() -> None:
    """A fixed path through every reason, so that the rules above are known to be about something."""
    machine = Lifecycle()
    machine.begin(RULES[1])
    heard: list[str] = []
    hear = machine.hear
    machine.hear = lambda alert: (heard.append(alert.reason), hear(alert))[1]  # type: ignore[method-assign]
    lag = ("node.lag", NODES[0])
    machine.is_silenced("detector=*", True)  # noqa: FBT003
    machine.look({lag: 1}, set(), False, SECOND)  # noqa: FBT003
    machine.silences_end()
    machine.look({lag: 1}, set(), False, SECOND)  # noqa: FBT003
    machine.look({lag: 3}, set(), False, SECOND)  # noqa: FBT003
    machine.look({}, set(NODES), True, SECOND)  # noqa: FBT003
    machine.look({lag: 3}, set(), False, SECOND)  # noqa: FBT003
    machine.rules = replace(machine.rules, remind_critical_ns=(SECOND,))
    machine.look({lag: 3}, set(), False, 3700 * SECOND)  # noqa: FBT003
    machine.is_acknowledged_by_all()
    machine.look({}, set(), False, SECOND)  # noqa: FBT003
    machine.comes_and_goes(lag, 3, SECOND)
    machine.look({lag: 3}, set(), False, SECOND)  # noqa: FBT003
    machine.look({lag: 3}, set(), False, 61 * SECOND)  # noqa: FBT003
    machine.is_taken_out_of_judgement(NODES[0])
    machine.teardown()
    wanted = "fired unsilenced raised data-missing data-back reminder acked cleared flapping steady maintenance"
    assert set(heard) == set(wanted.split())
