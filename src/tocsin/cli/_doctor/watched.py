"""What the daemon watches of this host, looked at once by the same code and held against the same limits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from tocsin.cli._doctor import host
from tocsin.cli._doctor.result import Result, fail, ok, skip, warn
from tocsin.clock import MS, NS, EngineClock, SystemClock
from tocsin.config.load import Loaded
from tocsin.config.resolve import tls_endpoints
from tocsin.detect.host_cert import CertParams, when
from tocsin.detect.host_clock import off
from tocsin.detect.host_disk import DiskParams
from tocsin.detect.self_clock_skew import ClockSkewParams, skew_by_heads
from tocsin.engine.timesources import agree_on_time, usable
from tocsin.model.event import HostSampled
from tocsin.model.host import CertificateSample, ClockSample, DiskSample, HeadAges, UnitSample
from tocsin.model.settings import HostSettings
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.host import HostWatch

_DAY_S: Final = 86_400
_SET_IT: Final = "set it by NTP: apt install chrony, or timedatectl set-ntp true"


async def examine(loaded: Loaded, environ: Mapping[str, str]) -> list[Result]:
    """Look at disks, units, time servers and certificates; the latter also where the daemon is not told to."""
    mono = SystemClock()
    clock, resolver = EngineClock(mono), Resolver(mono)
    wanted = replace(loaded.settings.host or HostSettings(), certificates=tuple(tls_endpoints(loaded.tree)))
    watch = HostWatch(clock=clock, mono=mono, resolver=resolver, emit=lambda _: None, environ=environ)
    watch.apply(wanted, loaded.tree)
    try:
        found = await watch.sample(wanted)
    finally:
        await resolver.close()
    return list(_results(found, loaded.settings.detectors))


def _results(found: HostSampled, params: Mapping[str, Any]) -> Iterator[Result]:
    yield from (_disk(one, params.get("host.disk") or DiskParams()) for one in found.disks)
    yield from (_unit(one) for one in found.units)
    yield from _servers(found.clocks, params.get("self.clock_skew") or ClockSkewParams())
    now_s = found.wall_ns // NS
    yield from (_certificate(one, now_s, params.get("host.cert") or CertParams()) for one in found.certificates)


def _disk(one: DiskSample, params: DiskParams) -> Result:
    if one.problem:
        return warn(f"disk {one.path}", one.problem, "mend the path in [host], or the mount")
    used = max(one.used_permille, one.inodes_permille)
    said = f"{one.used_permille / 10:.0f} % of its space used, {one.inodes_permille / 10:.0f} % of its inodes"
    if params.critical is not None and used >= params.critical.over:
        return fail(f"disk {one.path}", said, "make room before the node's database suffers")
    if params.warning is not None and used >= params.warning.over:
        return warn(f"disk {one.path}", said, "make room")
    return ok(f"disk {one.path}", said)


def _unit(one: UnitSample) -> Result:
    if one.problem:
        return skip(f"unit {one.unit}", one.problem)
    if one.active == "active":
        return ok(f"unit {one.unit}", f"active ({one.sub})")
    return fail(f"unit {one.unit}", f"{one.load}, {one.active} ({one.sub})", f"look at journalctl -u {one.unit}")


def _servers(found: tuple[ClockSample, ...], params: ClockSkewParams) -> Iterator[Result]:
    """Yield what each time server that cannot be used says, and the verdict of the others."""
    if not found:
        yield host.synchronised()
        return
    for one in found:
        if one.problem:
            yield warn(f"time server {one.server}", one.problem, "name another one, or let UDP port 123 out")
    verdict = agree_on_time(found)
    for server in verdict.false:
        yield warn(f"time server {server}", "the others contradict it", "name another one")
    if verdict.offset_ns is None:
        yield warn("clock", f"{len(usable(found))} time servers give no majority", "name three in [host] ntp")
        return
    said = f"{off(verdict.offset_ns)}, give or take {verdict.distance_ns // MS} ms, by time servers"
    yield _skewed(abs(verdict.offset_ns) - verdict.distance_ns, said, params)


def clock_by_heads(ages: tuple[HeadAges, ...]) -> Result:
    """Hold our clock against the newest block of each chain: it cannot be from the future."""
    if not ages:
        return warn("clock by heads", "no node answered to compare it with", "mend the nodes first")
    params = ClockSkewParams()
    skew_ns = skew_by_heads(ages, params.lateness_ns) or 0
    if skew_ns <= 0:
        return ok("clock by heads", "no chain's newest block is from the future")
    return _skewed(skew_ns, f"the newest blocks are {skew_ns // MS} ms in the future: the clock is behind", params)


def _skewed(least_ns: int, said: str, params: ClockSkewParams) -> Result:
    """Hold what is certain of the clock's error against the limits of `self.clock_skew`."""
    if params.critical is not None and least_ns >= params.critical.over * MS:
        return fail("clock", said, _SET_IT)
    if params.warning is not None and least_ns >= params.warning.over * MS:
        return warn("clock", said, _SET_IT)
    return ok("clock", said)


def _certificate(one: CertificateSample, now_s: int, params: CertParams) -> Result:
    subject = f"certificate of {one.endpoint}"
    if one.problem or one.not_after_s is None:
        return warn(subject, one.problem, "it could not be looked at")
    left_s = one.not_after_s - now_s
    days, said = left_s // _DAY_S, f"it {when(left_s)}"
    if days <= (params.critical_days if params.critical_days is not None else -1):
        return fail(subject, said, "renew it, or ask its owner to")
    if one.distrust:
        return fail(subject, f"it cannot be trusted: {one.distrust}", "check ca, and that it names the host")
    if params.warning_days is not None and days <= params.warning_days:
        return warn(subject, said, "renew it, or ask its owner to")
    return ok(subject, said)
