"""Tables that say how the watchdog proves that alerts would get out."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tocsin.clock import NS
from tocsin.config.secrets import ConfiguredUrl
from tocsin.config.table import Table
from tocsin.config.values import Duration, DurationOrZero, Within
from tocsin.units import DurationNs


class PingUrl(ConfiguredUrl):
    """Where a dead man's switch is told that all is well."""

    __slots__ = ()


class SelfTestTable(Table):
    """An alert that always fires, `self.test`, and is heard back from the broker: the way of all alerts, walked."""

    every_ns: DurationOrZero = Field(DurationNs(60 * NS), alias="every")
    """How often it is said, from 1s to 1h; 0s for never. Without [mqtt] it never is."""

    @model_validator(mode="after")
    def _consistent(self) -> "SelfTestTable":
        if self.every_ns and not NS <= self.every_ns <= 3600 * NS:
            raise ValueError("every must be between 1s and 1h, or 0s for never")
        return self


class DeadmanTable(Table):
    """A ping outward while all is well, to a switch that calls people when it stays away."""

    url: PingUrl
    """http or https, such as the ping URL of a check at healthchecks.io; a secret."""
    every_ns: Annotated[Duration, Within("1s", "1d")] = Field(DurationNs(60 * NS), alias="every")
    """How often, while every part of a full pass is fresh; else it is withheld."""
    method: Literal["GET", "POST"] = "GET"
    """A POST says who pings, as JSON."""
    timeout_ns: Annotated[Duration, Within("1s", "1m")] = Field(DurationNs(10 * NS), alias="timeout")
    """After this an attempt has failed."""
