"""A small valid configuration to break in tests, and a registry of detectors that exists nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from tocsin.config.load import Loaded, load
from tocsin.detect.chain_basefee import BasefeeParams
from tocsin.detect.chain_timestamp import TimestampParams
from tocsin.errors import ConfigError
from tocsin.model.alert import Over, Under
from tocsin.units import DurationNs

CANARY = "canary-7f3a91c2d5"
"""Stands wherever a secret can stand; no output may ever hold it."""

MINIMAL = """\
schema = 1
[watchdog]
site = "ams"
name = "host-a"
[[chain]]
name = "ethereum"
profile = "ethereum"
[[chain.node]]
name = "geth"
url = "http://127.0.0.1:8545"
own = true
[[chain.node]]
name = "alchemy"
url = "https://eth.alchemy.example"
"""


class Colour(StrEnum):
    """For an enumeration in Params."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """For a table of its own inside Params."""

    low: int
    high: int = 10
    hold_ns: int = 0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@dataclass(frozen=True, slots=True, kw_only=True)
class LagParams:
    """The usual shape."""

    warning: Over | None = Over(over=3, polls=2)
    critical: Over | None = Over(over=15, polls=2)
    clear: Under = Under(under=2, polls=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class OddParams:
    """Every other kind of field."""

    age: DurationNs = DurationNs(48 * 10**9)
    wait_ns: int = 0
    count: int = 3
    strict: bool = True
    text: str = "plain"
    colour: Colour = Colour.RED
    mode: Literal["fast", "slow"] = "fast"
    steps: tuple[int, ...] = (1, 2)
    pair: tuple[str, DurationNs] = ("a", DurationNs(10**9))
    band: Band = Band(low=1)
    pause: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfParams:
    """Of a detector that watches the watchdog."""

    warning: Over | None = Over(over=250)


PROMOTED = {"chain.basefee": BasefeeParams, "chain.timestamp": TimestampParams}
"""What the profile of Ethereum has a word about."""

REGISTRY: Mapping[str, type[Any]] = {
    **PROMOTED,
    "node.lag": LagParams,
    "node.odd": OddParams,
    "self.loop_lag": SelfParams,
}


def loaded(folder: Path, text: str = MINIMAL, environ: Mapping[str, str] | None = None, **options: Any) -> Loaded:
    """Write a configuration and load it."""
    file = folder / "tocsin.toml"
    file.write_text(text)
    file.chmod(0o640)
    return load(file, registry=REGISTRY, environ=environ or {}, **options)


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Write a broken configuration, and return what is said about it, each line without the folder."""
    try:
        loaded(folder, text, environ)
    except ConfigError as error:
        # A cause or context would be printed with the traceback, and pydantic's has the values in it.
        if error.__cause__ is not None or error.__context__ is not None:
            raise AssertionError("the error carries another one") from error
        return [line.replace(f"{folder}/", "") for line in error.problems]
    return []
