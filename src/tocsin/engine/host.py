"""The host in the core: samples into records, and how well each part of it is observed."""

from collections.abc import Iterable, Mapping

from tocsin.clock import NS
from tocsin.engine.labels import self_labels
from tocsin.engine.state import ChainState, EngineState
from tocsin.engine.timesources import agree_on_time
from tocsin.model.alert import Grade, Labels, Subject
from tocsin.model.event import HostSampled
from tocsin.model.evolve import evolve
from tocsin.model.host import (
    DISK,
    ENDPOINT,
    RESOURCE,
    RESOURCES,
    UNIT,
    CertificateRecord,
    CertificateSample,
    ClockRecord,
    ClockSample,
    DiskRecord,
    DiskSample,
    HeadAges,
    HostRecord,
    HostView,
    UnitRecord,
    UnitSample,
    labels_of,
)
from tocsin.model.settings import HostSettings, Settings

POINT_NS = 600 * NS
MOST_POINTS = 37
"""Six hours of points ten minutes apart: longer than a compaction of a node's database takes, short enough to notice
within a morning that logs run wild."""
LEAST_SPAN_NS = 3600 * NS
"""A slope over less than an hour is noise."""

_HOUR_NS = 3600 * NS
_MOST_RESTARTS = 32
_RESIZED = 10
"""A tenth more or less between two samples is another file system, or one that was resized."""
_MEMORY_NS = 24 * _HOUR_NS
_LOST = 3
"""Samples in a row without data, after which what was known is worth nothing any more."""

MOST_AGES = 16
LEAST_AGES = 8
"""With fewer heads nothing is concluded about our clock."""
_AGREED = (Grade.QUORUM, Grade.MAJORITY, Grade.UNCORROBORATED, Grade.PROVEN)


def sampled(state: EngineState, event: HostSampled) -> EngineState:
    """Return the state with one sample of the host in it; what is configured no longer is left out."""
    wanted = state.settings.host if state.settings is not None else None
    if wanted is None:
        return state
    host, number = state.host, state.host.number + 1
    disks = {each.path: _disk(host.disks.get(each.path), each, number, event.t_ns) for each in event.disks}
    units = {each.unit: _unit(host.units.get(each.unit), each, number, event.t_ns) for each in event.units}
    certificates = {
        each.endpoint: _certificate(host.certificates.get(each.endpoint), each, number) for each in event.certificates
    }
    fresh = HostRecord(
        number=number,
        disks={**host.disks, **disks},
        units={**host.units, **units},
        clock=_clock(host.clock, event.clocks, number) if event.clocks else host.clock,
        certificates={**host.certificates, **certificates},
    )
    return evolve(state, host=_of(fresh, wanted))


def kept(record: HostRecord, settings: Settings) -> HostRecord:
    """Return what is still watched under a new configuration."""
    return HostRecord() if settings.host is None else _of(record, settings.host)


def anew(record: HostRecord) -> HostRecord:
    """Return the record as a new life takes it over: nothing is judged before it was looked at again."""
    disks = {
        path: evolve(disk, sample=DiskSample(path=path, problem="not looked at yet"), missed=0)
        for path, disk in record.disks.items()
    }
    return HostRecord(number=record.number, disks=disks)


def _of(record: HostRecord, wanted: HostSettings) -> HostRecord:
    servers = tuple([one for one in record.clock.samples if one.server in wanted.ntp])
    return evolve(
        record,
        disks={path: record.disks[path] for path in wanted.disks if path in record.disks},
        units={unit: record.units[unit] for unit in wanted.units if unit in record.units},
        clock=record.clock
        if len(servers) == len(record.clock.samples)
        else _clock(record.clock, servers, record.number),
        certificates={name: record.certificates[name] for name in wanted.certificates if name in record.certificates},
    )


def _disk(old: DiskRecord | None, sample: DiskSample, number: int, t_ns: int) -> DiskRecord:
    if sample.problem:
        return DiskRecord(sample=sample, number=number, missed=1) if old is None else _missed(old, sample)
    points = old.points if old is not None and _is_same_size(old.sample.size, sample.size) else ()
    growth = old.growth_per_h if points and old is not None else None
    if not points or t_ns - points[-1][0] >= POINT_NS:
        points = (*points, (t_ns, sample.free))[-MOST_POINTS:]
        growth = _slope(points)
    return DiskRecord(sample=sample, number=number, points=points, growth_per_h=growth)


def _is_same_size(before: int, now: int) -> bool:
    """Tell whether this is the file system of before: one that grew by much says nothing of how fast it fills.

    Where a pool is shared (ZFS), the size goes down with what others take; and a sample that failed has none.
    """
    return not before or abs(now - before) * _RESIZED <= before


def _missed(old: DiskRecord, sample: DiskSample) -> DiskRecord:
    return evolve(old, sample=sample, missed=old.missed + 1)


def _slope(points: tuple[tuple[int, int], ...]) -> int | None:
    """Return the median slope between any two points in bytes per hour (Theil-Sen): a third of them may be wild."""
    if points[-1][0] - points[0][0] < LEAST_SPAN_NS:
        return None
    slopes = sorted(
        (earlier[1] - later[1]) * _HOUR_NS // (later[0] - earlier[0])
        for at, earlier in enumerate(points)
        for later in points[at + 1 :]
        if later[0] > earlier[0]
    )
    return slopes[len(slopes) // 2] if slopes else None


def _unit(old: UnitRecord | None, sample: UnitSample, number: int, t_ns: int) -> UnitRecord:
    if old is None:
        return UnitRecord(sample=sample, number=number, missed=1 if sample.problem else 0)
    recent = tuple([each for each in old.restarts if t_ns - each[0] <= _MEMORY_NS])
    if sample.problem:
        return evolve(old, sample=evolve(sample, restarts=old.sample.restarts), missed=old.missed + 1, restarts=recent)
    fresh = sample.restarts - old.sample.restarts
    restarts = (*recent, (t_ns, fresh))[-_MOST_RESTARTS:] if fresh > 0 else recent
    return UnitRecord(sample=sample, number=number, restarts=restarts)


def _clock(old: ClockRecord, samples: Iterable[ClockSample], number: int) -> ClockRecord:
    found = tuple(sorted(samples, key=lambda one: one.server))
    verdict = agree_on_time(found)
    return ClockRecord(
        samples=found,
        number=number,
        missed=old.missed + 1 if verdict.offset_ns is None else 0,
        offset_ns=verdict.offset_ns,
        distance_ns=verdict.distance_ns,
        false=verdict.false,
    )


def _certificate(old: CertificateRecord | None, sample: CertificateSample, number: int) -> CertificateRecord:
    missed = (old.missed if old is not None else 0) + 1 if sample.problem else 0
    return CertificateRecord(sample=sample, number=number, missed=missed)


# -- at a tick


def view(state: EngineState, settings: Settings) -> HostView | None:
    """Return the host as detectors see it."""
    return None if settings.host is None else HostView(settings=settings.host, record=state.host)


def subjects(state: EngineState, settings: Settings) -> dict[Labels, Subject]:
    """Return how well each part of the host is observed."""
    own, record = self_labels(settings), state.host
    found: dict[Labels, Subject] = {}
    for path, disk in record.disks.items():
        for resource in RESOURCES:
            found[labels_of(own, (DISK, path), (RESOURCE, resource))] = _subject(disk, disk.sample.problem)
    for name, unit in record.units.items():
        found[labels_of(own, (UNIT, name))] = _subject(unit, unit.sample.problem)
    for endpoint, certificate in record.certificates.items():
        found[labels_of(own, (ENDPOINT, endpoint))] = _subject(certificate, certificate.sample.problem)
    return found


def _subject(record: DiskRecord | UnitRecord | CertificateRecord, problem: str) -> Subject:
    return Subject(sample=None if problem else record.number, lost=record.missed >= _LOST)


def own_subjects(settings: Settings) -> list[Labels]:
    """Return the labels of all that is watched besides chains."""
    own, host = self_labels(settings), settings.host or HostSettings()
    return [
        own,
        *(labels_of(own, (DISK, path), (RESOURCE, resource)) for path in host.disks for resource in RESOURCES),
        *(labels_of(own, (UNIT, unit)) for unit in host.units),
        *(labels_of(own, (ENDPOINT, endpoint)) for endpoint in host.certificates),
    ]


# -- what the heads of the chains say about our clock


def aged(before: ChainState, after: ChainState, wall_ns: int) -> ChainState:
    """Return the state with the age of its agreed head noted, where that is higher than before."""
    block, old = after.head.block, before.head.block
    if block is None or block is old or (old is not None and block.number <= old.number):
        return after
    header = after.tree.headers.get(block.hash)
    if header is None or after.head.grade not in _AGREED:
        return after
    return evolve(after, ages_ns=(*after.ages_ns, wall_ns - header.timestamp * NS)[-MOST_AGES:])


def ages(state: EngineState, settings: Settings) -> tuple[HeadAges, ...]:
    """Return the ages of each chain that has enough of them and whose head is agreed now."""
    return tuple(
        HeadAges(
            chain=chain.name,
            ages_ns=known.ages_ns,
            pace_ns=chain.pace_ns,
            by_slot=chain.genesis_time_s is not None,
        )
        for chain in settings.chains
        if (known := _known(state.chains, chain.name)) is not None
    )


def _known(chains: Mapping[str, ChainState], name: str) -> ChainState | None:
    chain = chains.get(name)
    if chain is None or chain.head.grade not in _AGREED or len(chain.ages_ns) < LEAST_AGES:
        return None
    return chain
