"""A file system that is full, out of inodes, or about to be full at the rate at which it fills.

A node whose disk is full corrupts its database more often than it stops cleanly, and a disk that fills at night is full
in the morning: so the rate counts too. It is the median slope over six hours, which a compaction does not move.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.host import DISK, RESOURCE, DiskRecord, labels_of
from tocsin.model.view import SelfView

ID = "host.disk"
_PERMILLE = "per mille used"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskParams:
    """In thousandths of a file system that are taken, for space and for inodes; and in hours until it is full."""

    warning: Over | None = Over(over=900, polls=2)
    critical: Over | None = Over(over=950, polls=2)
    clear: Under = Under(under=880, polls=2)
    full_in_warning: int | None = 72
    """Hours."""
    full_in_critical: int | None = 12
    """Hours."""
    full_in_clear: int = 96
    """Hours; what is further off is no news."""


def host_disk(view: SelfView, params: DiskParams) -> Iterator[Finding]:
    """Yield findings per file system: `value` in thousandths used, and in hours that it will be full too early."""
    if view.host is None:
        return
    for path, disk in view.host.record.disks.items():
        sample = disk.sample
        if sample.problem:
            continue
        used, inodes = sample.used_permille, sample.inodes_permille
        if used >= params.clear.under:
            said = f"{path} has {_size(sample.free)} left, {_percent(1000 - used)} of it"
            yield _used(view, params, disk, "space", used, said)
        if inodes >= params.clear.under:
            said = f"{path} has {sample.inodes_free} inodes left, {_percent(1000 - inodes)} of them"
            yield _used(view, params, disk, "inodes", inodes, said)
        hours = disk.full_in_h
        if hours is not None and hours < params.full_in_clear:
            yield _filling(view, params, disk, hours)


def _used(view: SelfView, params: DiskParams, disk: DiskRecord, resource: str, value: int, said: str) -> Finding:
    return Finding(
        detector=ID,
        labels=labels_of(view.labels, (DISK, disk.sample.path), (RESOURCE, resource)),
        value=value,
        unit=_PERMILLE,
        limits=Limits(warning=params.warning, critical=params.critical, clear=params.clear),
        sample=disk.number,
        summary=said,
        grade=Grade.PROVEN,
        evidence=_evidence(disk),
    )


def _filling(view: SelfView, params: DiskParams, disk: DiskRecord, hours: int) -> Finding:
    path, clear = disk.sample.path, params.full_in_clear
    left, going = _size(disk.sample.free), _size(disk.growth_per_h or 0)
    return Finding(
        detector=ID,
        labels=labels_of(view.labels, (DISK, path), (RESOURCE, "filling")),
        value=clear - hours,
        unit=f"hours short of {clear}",
        limits=Limits(
            warning=_within(params.full_in_warning, clear),
            critical=_within(params.full_in_critical, clear),
            clear=Under(under=1, polls=2),
        ),
        sample=disk.number,
        summary=f"{path} will be full in {hours} h: {left} left, {going} go in an hour",
        grade=Grade.PROVEN,
        evidence=_evidence(disk),
    )


def _within(hours: int | None, clear: int) -> Over | None:
    """Return the limit that is reached when fewer hours than this are left."""
    return None if hours is None else Over(over=max(1, clear - hours + 1), polls=2)


def _evidence(disk: DiskRecord) -> dict[str, object]:
    sample = disk.sample
    return {
        "size": sample.size,
        "free": sample.free,
        "inodes": sample.inodes,
        "inodes_free": sample.inodes_free,
        "growth_per_h": disk.growth_per_h,
    }


def _percent(permille: int) -> str:
    return f"{permille // 10}.{permille % 10} %"


def _size(count: int) -> str:
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= scale:
            return f"{count // scale}.{count % scale * 10 // scale} {unit}"
    return f"{count // 1000} kB"


DETECTOR = SelfDetector(id=ID, params=DiskParams, run=host_disk)
