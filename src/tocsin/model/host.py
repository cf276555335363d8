"""The host that the watchdog runs on: samples of it as they come in, and what is remembered of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.model.alert import Labels
from tocsin.model.settings import HostSettings

DISK, UNIT, ENDPOINT, RESOURCE = "disk", "unit", "endpoint", "resource"
"""Labels that tell the subjects of a host apart."""

RESOURCES = ("space", "inodes", "filling")
"""What of a disk is judged, each on its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSample:
    """A file system, in bytes and inodes; `free` is what users other than root may still take.

    With a `problem` it could not be looked at and the rest is 0.
    """

    path: str
    size: int = 0
    free: int = 0
    inodes: int = 0
    """0 where the file system has no fixed number of them."""
    inodes_free: int = 0
    problem: str = ""

    @property
    def used_permille(self) -> int:
        """How much of it is taken or reserved, in thousandths."""
        return (self.size - self.free) * 1000 // self.size if self.size else 0

    @property
    def inodes_permille(self) -> int:
        """How many of its inodes are taken, in thousandths; 0 where it has no fixed number of them."""
        return (self.inodes - self.inodes_free) * 1000 // self.inodes if self.inodes else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSample:
    """A systemd unit in the words of `systemctl show`. With a `problem` nothing is known of it."""

    unit: str
    load: str = ""
    active: str = ""
    sub: str = ""
    result: str = ""
    restarts: int = 0
    """Automatic restarts since it was last started by somebody (NRestarts)."""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSample:
    """One time server: how far its clock is ahead of ours, and how far off that may be (root distance, RFC 5905)."""

    server: str
    offset_ns: int = 0
    distance_ns: int = 0
    stratum: int = 0
    problem: str = ""
    """Why it gave no time that can be used; empty if it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSample:
    """The certificate that an endpoint shows. `not_after_s` is Unix time, None where none was seen.

    `distrust` says why its chain cannot be verified, `problem` why there was no handshake at all.
    """

    endpoint: str
    not_after_s: int | None = None
    distrust: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRecord:
    """The newest sample of a file system and how fast it fills."""

    sample: DiskSample
    number: int
    """Of the sample; the same for all records of a host."""
    missed: int = 0
    """Samples in a row that told nothing."""
    points: tuple[tuple[int, int], ...] = ()
    """Engine ns and bytes free, some minutes apart, oldest first."""
    growth_per_h: int | None = None
    """Bytes that go in an hour: the median slope between points; None while they span too little time."""

    @property
    def full_in_h(self) -> int | None:
        """Hours until it is full at this rate; None where it does not fill, or nothing is known of that."""
        return (
            self.sample.free // self.growth_per_h if self.growth_per_h is not None and self.growth_per_h > 0 else None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRecord:
    """The newest sample of a unit and when it was restarted."""

    sample: UnitSample
    number: int
    missed: int = 0
    restarts: tuple[tuple[int, int], ...] = ()
    """Engine ns and how many restarts were new then, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRecord:
    """What the time servers said together. `offset_ns` is how far they are ahead of us, None without a majority."""

    samples: tuple[ClockSample, ...] = ()
    number: int = 0
    missed: int = 0
    offset_ns: int | None = None
    distance_ns: int = 0
    false: tuple[str, ...] = ()
    """Servers that the majority contradicts (falsetickers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """The newest sample of an endpoint's certificate."""

    sample: CertificateSample
    number: int
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What is known of the host. `number` is that of the newest sample."""

    number: int = 0
    disks: Mapping[str, DiskRecord] = field(default_factory=dict)
    units: Mapping[str, UnitRecord] = field(default_factory=dict)
    clock: ClockRecord = field(default_factory=ClockRecord)
    certificates: Mapping[str, CertificateRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """The host at one tick of the watchdog itself."""

    settings: HostSettings
    record: HostRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAges:
    """How old the newest agreed heads of a chain were, by our clock and their own timestamps, when they were agreed."""

    chain: str
    ages_ns: tuple[int, ...]
    pace_ns: int
    """The longest that a healthy chain's head takes to be seen: a block time, or a poll where that is longer."""
    by_slot: bool = False
    """Whether the time of a block is its slot's, and no later."""


def labels_of(own: Labels, *pairs: tuple[str, str]) -> Labels:
    """Return the labels of a part of the host: those of the watchdog, and what tells the part apart."""
    return tuple(sorted((*own, *pairs)))
