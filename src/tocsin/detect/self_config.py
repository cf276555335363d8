"""The configuration on disk was refused: the watchdog runs on with the one before."""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over
from tocsin.model.view import SelfView

ID = "self.config"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigParams:
    """In problems found by the last reload."""

    warning: Over | None = Over(over=1)


def self_config(view: SelfView, params: ConfigParams) -> Iterator[Finding]:
    """Yield a finding while the last reload was refused; `value` in problems."""
    if view.config_problems:
        yield Finding(
            detector=ID,
            labels=view.labels,
            value=len(view.config_problems),
            unit="problems",
            limits=Limits(warning=params.warning),
            sample=view.tick,
            summary=f"the new configuration was refused, the old one stays: {view.config_problems[0]}",
            grade=Grade.PROVEN,
            evidence={"problems": list(view.config_problems[:50])},
        )


DETECTOR = SelfDetector(id=ID, params=ConfigParams, run=self_config)
