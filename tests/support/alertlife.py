"""One scope of alerts, driven second by second."""

from collections.abc import Iterable

from tocsin.alerting.lifecycle import acknowledge, advance
from tocsin.alerting.silences import Silences
from tocsin.alerting.tracked import Alerts, Moment
from tocsin.alerting.withdrawal import retire
from tocsin.model.alert import Alert, Finding, Grade, Labels, Limits, Over, Subject, Under
from tocsin.model.settings import AlertRules

SECOND = 10**9
NODE: Labels = (("chain", "eip155:1"), ("node", "ams.a"))
CHAIN: Labels = (("chain", "eip155:1"),)
LAG = Limits(warning=Over(over=3, polls=2), critical=Over(over=15, polls=2), clear=Under(under=2, polls=3))


def finding(
    value: int, sample: int, *, detector: str = "node.lag", labels: Labels = NODE, limits: Limits = LAG
) -> Finding:
    return Finding(
        detector=detector,
        labels=labels,
        value=value,
        unit="blocks",
        limits=limits,
        sample=sample,
        summary=f"value {value}",
        grade=Grade.QUORUM,
    )


SILENT = AlertRules(remind_critical_ns=(), remind_warning_ns=(), flap_transitions=0)


class Life:
    """One scope of alerts, driven second by second."""

    def __init__(self, rules: AlertRules = SILENT) -> None:
        self.rules = rules
        self.silences = Silences()
        self.alerts = Alerts()
        self.now = 0
        self.height: int | None = None

    def tick(
        self, *findings: Finding, sample: int | None = None, seconds: int = 1, height: int | None = None
    ) -> list[tuple[str, str]]:
        self.now += seconds
        self.height = height
        subject = Subject(sample=self.now if sample is None else sample)
        samples = dict.fromkeys((NODE, CHAIN), subject)
        return self._take(advance(self.alerts, findings, samples, self._moment()))

    def silence(self, *, lost: bool = True) -> list[tuple[str, str]]:
        self.now += 1
        return self._take(advance(self.alerts, (), {NODE: Subject(sample=None, lost=lost)}, self._moment()))

    def ack(self, key: str) -> list[tuple[str, str]]:
        return self._take(acknowledge(self.alerts, key, "uid 0", self._moment()))

    def retire(self, subjects: Iterable[Labels]) -> list[tuple[str, str]]:
        return self._take(retire(self.alerts, subjects, self._moment()))

    def _moment(self) -> Moment:
        return Moment(
            now_ns=self.now * SECOND,
            wall_ns=self.now * SECOND,
            height=self.height,
            rules=self.rules,
            silences=self.silences,
        )

    def _take(self, result: tuple[Alerts, tuple[Alert, ...]]) -> list[tuple[str, str]]:
        self.alerts, out = result
        self.last = out
        return [(alert.state.value, alert.reason) for alert in out]
