"""Tables that say how the watchdog proves that alerts would get out."""

from pydantic import Field, model_validator

from tocsin.clock import NS
from tocsin.config.table import Table
from tocsin.config.values import DurationOrZero
from tocsin.units import DurationNs


class SelfTestTable(Table):
    """An alert that always fires, `self.test`, and is heard back from the broker: the way of all alerts, walked."""

    every_ns: DurationOrZero = Field(DurationNs(60 * NS), alias="every")
    """How often it is said, from 1s to 1h; 0s for never. Without [mqtt] it never is."""

    @model_validator(mode="after")
    def _consistent(self) -> "SelfTestTable":
        if self.every_ns and not NS <= self.every_ns <= 3600 * NS:
            raise ValueError("every must be between 1s and 1h, or 0s for never")
        return self
