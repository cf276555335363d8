"""The host through the whole core: what can be wrong with it gives its alert, clears, and survives a restart."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from tests.support.pool import Pool, settings_for

from tocsin.clock import MS, NS
from tocsin.engine.codec import decode_event, decode_state, encode_event, encode_state
from tocsin.engine.host import MOST_POINTS
from tocsin.engine.state import EngineState
from tocsin.engine.status import status
from tocsin.engine.step import step
from tocsin.model.alert import Alert
from tocsin.model.event import Booted, ConfigRevised, Event, HostSampled, Ticked
from tocsin.model.host import CertificateSample, ClockSample, DiskSample, UnitSample
from tocsin.model.settings import HostSettings, Settings

HOUR_NS = 3600 * NS
DAY_S = 86_400
HOST = HostSettings(
    disks=("/data", "/var"), units=("geth.service",), ntp=("a:123", "b:123", "c:123"), certificates=("https://n:443",)
)
SETTINGS = replace(settings_for(("a", "b", "c")), host=HOST)
TB = 10**12


@dataclass
class Host:
    """A core without nodes that is fed samples; time goes by hand."""

    settings: Settings = SETTINGS
    t_ns: int = 10**15
    wall_ns: int = 1_800_000_000 * NS
    alerts: list[Alert] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.state = EngineState()
        self.take(Booted(t_ns=self.t_ns, wall_ns=self.wall_ns, boot="b0", version="test"))
        self.take(ConfigRevised(t_ns=self.t_ns, settings=self.settings))

    def take(self, event: Event) -> None:
        self.events.append(event)
        done = step(self.state, event)
        self.state = done.state
        # Time goes in leaps here, and ticks that are missed are another alert's matter.
        said = [effect.alert for effect in done.effects if hasattr(effect, "alert")]
        self.alerts += [alert for alert in said if alert.detector != "self.heartbeat"]

    def pass_ns(self, ns: int) -> None:
        self.t_ns += ns
        self.wall_ns += ns

    def sample(self, times: int = 1, *, every_ns: int = 30 * NS, **parts: object) -> None:
        """Look some times, and judge after each look."""
        for _ in range(times):
            self.number += 1
            self.take(HostSampled(t_ns=self.t_ns, wall_ns=self.wall_ns, number=self.number, **parts))  # type: ignore[arg-type]
            self.tick()
            self.pass_ns(every_ns)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.take(Ticked(t_ns=self.t_ns, wall_ns=self.wall_ns, chain=""))
            self.pass_ns(NS)

    def said(self) -> list[tuple[str, str, str]]:
        """What is wrong (detector and what tells its subject apart), state and severity."""
        return [
            (f"{alert.detector} {_subject(alert)}".strip(), alert.state.value, alert.severity.value)
            for alert in self.alerts
        ]


def _subject(alert: Alert) -> str:
    labels = dict(alert.labels)
    return " ".join(labels[key] for key in ("disk", "resource", "unit", "endpoint") if key in labels)


def disk(free: int, *, inodes_free: int = 10**6, size: int = TB, path: str = "/data") -> tuple[DiskSample, ...]:
    return (DiskSample(path=path, size=size, free=free, inodes=10**6, inodes_free=inodes_free),)


def unit(active: str = "active", *, restarts: int = 0, load: str = "loaded", **more: str) -> tuple[UnitSample, ...]:
    return (UnitSample(unit="geth.service", load=load, active=active, restarts=restarts, **more),)  # type: ignore[arg-type]


def clocks(*offsets_ms: int | str) -> tuple[ClockSample, ...]:
    return tuple(
        ClockSample(server=f"{name}:123", problem=each)
        if isinstance(each, str)
        else ClockSample(server=f"{name}:123", offset_ns=each * MS, distance_ns=5 * MS, stratum=2)
        for name, each in zip("abc", offsets_ms, strict=False)
    )


def certificate(host: Host, days: float, **more: str) -> tuple[CertificateSample, ...]:
    ends = host.wall_ns // NS + int(days * DAY_S)
    return (CertificateSample(endpoint="https://n:443", not_after_s=ends, **more),)  # type: ignore[arg-type]


# -- disks


@pytest.mark.parametrize(
    ("free_permille", "severity"), [(101, None), (100, "warning"), (51, "warning"), (50, "critical"), (0, "critical")]
)
def test_a_full_disk_is_told_in_two_samples(free_permille: int, severity: str | None) -> None:
    host = Host()
    host.sample(disks=disk(TB * free_permille // 1000))
    assert host.said() == []
    host.sample(disks=disk(TB * free_permille // 1000))
    assert host.said() == ([("host.disk /data space", "firing", severity)] if severity else [])


def test_a_disk_is_well_again_only_well_below_the_limit() -> None:
    host = Host()
    host.sample(2, disks=disk(TB * 90 // 1000))
    host.sample(5, disks=disk(TB * 115 // 1000))
    assert len(host.alerts) == 1
    host.sample(2, disks=disk(TB * 125 // 1000))
    assert host.said()[1:] == [("host.disk /data space", "resolved", "warning")]


def test_inodes_run_out_too_and_a_file_system_without_them_does_not() -> None:
    host = Host()
    host.sample(2, disks=disk(TB // 2, inodes_free=20_000))
    assert host.said() == [("host.disk /data inodes", "firing", "critical")]
    other = Host()
    other.sample(3, disks=(DiskSample(path="/data", size=TB, free=TB // 2, inodes=0, inodes_free=0),))
    assert other.said() == []


def fill(host: Host, per_h: int, *, hours: float, free: int, noise: Sequence[int] = (0,)) -> int:
    """Let a disk fill for some hours; return what is free at the end."""
    for at in range(int(hours * 6)):
        host.sample(disks=disk(free + noise[at % len(noise)]), every_ns=600 * NS)
        free -= per_h // 6
    return free


@pytest.mark.parametrize(
    ("hours_left", "severity"), [(100, None), (80, None), (70, "warning"), (14, "warning"), (11, "critical")]
)
def test_a_disk_that_fills_is_told_by_the_time_that_is_left(hours_left: int, severity: str | None) -> None:
    host, per_h = Host(), 4 * 10**9
    host.sample(disks=disk(per_h * (hours_left + 2)), every_ns=0)
    fill(host, per_h, hours=2.4, free=per_h * (hours_left + 2))
    told = [level for subject, _, level in host.said() if subject == "host.disk /data filling"]
    assert told[-1:] == ([severity] if severity else [])


def test_an_hour_says_nothing_about_the_rate() -> None:
    host = Host()
    fill(host, 10**11, hours=1, free=TB // 2)
    assert host.said() == []


def test_a_compaction_is_no_trend() -> None:
    """Ten gigabytes that come and go every half hour, on a disk with 200 left."""
    host = Host()
    fill(host, 0, hours=12, free=2 * 10**11, noise=(0, -4 * 10**9, -(10**10), 0, -3 * 10**9, -9 * 10**9))
    assert host.said() == []


def test_a_disk_that_was_emptied_is_forgiven() -> None:
    host = Host()
    free = fill(host, 6 * 10**9, hours=3, free=3 * 10**11)
    assert host.said() == [("host.disk /data filling", "firing", "warning")]
    fill(host, 0, hours=7, free=free + 2 * 10**11)
    assert host.said()[-1] == ("host.disk /data filling", "resolved", "warning")


def test_another_file_system_has_no_past() -> None:
    host = Host()
    free = fill(host, 6 * 10**9, hours=3, free=3 * 10**11)
    record = host.state.host.disks["/data"]
    assert record.growth_per_h is not None
    host.sample(disks=disk(free, size=4 * TB))
    assert host.state.host.disks["/data"].growth_per_h is None
    assert len(host.state.host.disks["/data"].points) == 1


def test_the_past_of_a_disk_is_bounded() -> None:
    host = Host()
    fill(host, 10**6, hours=24, free=TB // 2)
    assert len(host.state.host.disks["/data"].points) == MOST_POINTS


def test_a_disk_that_cannot_be_looked_at_is_unknown_and_not_well() -> None:
    host = Host()
    host.sample(2, disks=disk(0))
    host.sample(5, disks=(DiskSample(path="/data", problem="it does not answer within 5 s"),))
    assert host.said()[1:] == [("host.disk /data space", "unknown", "critical")]
    host.sample(1, disks=disk(0))
    assert host.said()[2:] == [("host.disk /data space", "firing", "critical")]


# -- units


def test_a_failed_unit_is_critical_and_over_when_it_runs() -> None:
    host = Host()
    host.sample(2, units=unit("failed", result="exit-code"))
    assert host.said() == [("host.unit geth.service", "firing", "critical")]
    assert "exit-code" in host.alerts[0].summary
    host.sample(2, units=unit())
    assert host.said()[1:] == [("host.unit geth.service", "resolved", "critical")]


@pytest.mark.parametrize("state", [("inactive", "loaded"), ("deactivating", "loaded"), ("inactive", "not-found")])
def test_a_unit_that_does_not_run_warns(state: tuple[str, str]) -> None:
    host = Host()
    host.sample(1, units=unit(state[0], load=state[1]))
    host.sample(1, units=unit())
    assert host.said() == []
    host.sample(2, units=unit(state[0], load=state[1]))
    assert host.said() == [("host.unit geth.service", "firing", "warning")]


def test_restarts_within_the_hour_warn_and_those_before_us_do_not() -> None:
    host = Host()
    host.sample(3, units=unit(restarts=40))
    assert host.said() == []
    host.sample(2, units=unit("activating", restarts=41))
    assert host.said() == []
    host.sample(1, units=unit(restarts=42))
    assert host.said() == [("host.unit geth.service", "firing", "warning")]
    host.sample(125, units=unit(restarts=42))
    assert host.said()[1:] == [("host.unit geth.service", "resolved", "warning")]


def test_a_unit_that_somebody_started_anew_counts_from_there() -> None:
    host = Host()
    host.sample(1, units=unit(restarts=7))
    host.sample(3, units=unit(restarts=0))
    assert host.said() == []


def test_without_systemd_nothing_is_said() -> None:
    host = Host()
    host.sample(10, units=(UnitSample(unit="geth.service", problem="systemctl is not here"),))
    assert host.said() == []
    told = status(host.state, host.t_ns)["host"]
    assert isinstance(told, dict)
    assert told["units"][0]["active"] == "unknown"


# -- the clock


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("offset_ms", "told"),
    [
        (90, set()),
        (110, {("host.clock", "warning")}),
        (400, {("host.clock", "warning")}),
        (510, {("self.clock_skew", "warning")}),
        (2100, {("self.clock_skew", "warning"), ("self.clock_skew", "critical")}),
    ],
)
def test_a_clock_that_is_off_is_told_once(offset_ms: int, told: set[tuple[str, str]], sign: int) -> None:
    host = Host()
    host.sample(4, clocks=clocks(sign * offset_ms, sign * offset_ms, sign * offset_ms), every_ns=64 * NS)
    assert {(subject, level) for subject, _, level in host.said()} <= told
    assert {subject for subject, _, _ in host.said()} == {subject for subject, _ in told}
    if told:
        assert ("behind" if sign > 0 else "ahead") in host.alerts[0].summary


def test_a_clock_that_was_set_is_forgiven_after_two_minutes() -> None:
    host = Host()
    host.sample(4, clocks=clocks(800, 800, 800), every_ns=64 * NS)
    host.sample(1, clocks=clocks(1, 2, 3), every_ns=0)
    host.tick(100)
    assert len(host.alerts) == 1
    host.tick(60)
    assert host.said()[1:] == [("self.clock_skew", "resolved", "warning")]


def test_a_falseticker_moves_nothing_and_a_draw_says_nothing() -> None:
    host = Host()
    host.sample(5, clocks=clocks(2, 9000, 3), every_ns=64 * NS)
    assert host.said() == []
    told = status(host.state, host.t_ns)["host"]
    assert isinstance(told, dict)
    assert (told["clock"]["state"], told["clock"]["false"]) == ("known", ["b:123"])
    host.sample(5, clocks=clocks("no answer", 9000, 3), every_ns=64 * NS)
    assert host.said() == []
    told = status(host.state, host.t_ns)["host"]
    assert isinstance(told, dict)
    assert told["clock"]["state"] == "unknown"


def test_after_a_jump_of_the_clock_its_offset_is_unknown_until_servers_are_asked_again() -> None:
    host = Host()
    host.sample(3, clocks=clocks(2, 3, 4), every_ns=64 * NS)
    told = status(host.state, host.t_ns)["host"]
    assert isinstance(told, dict)
    assert told["clock"]["state"] == "known"
    host.wall_ns += 3600 * NS
    host.tick()
    told = status(host.state, host.t_ns)["host"]
    assert isinstance(told, dict)
    assert (told["clock"]["state"], told["clock"]["offset_ms"]) == ("unknown", None)


def test_what_the_way_may_add_is_no_skew() -> None:
    host = Host()
    far = tuple(replace(one, distance_ns=700 * MS) for one in clocks(650, 650, 650))
    host.sample(5, clocks=far, every_ns=64 * NS)
    assert host.said() == []


def own_pool(step_s: float, *, genesis_time_s: int | None = None) -> Pool:
    """A pool that is watched by a clock that is off from the start, without time servers."""
    settings = settings_for(("a", "b", "c"))
    chain = replace(settings.chains[0], genesis_time_s=genesis_time_s)
    pool = Pool(replace(settings, chains=(chain,)))
    pool.clock.step_wall(s=step_s)
    for _ in range(130):
        pool.round()
        pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))
    return pool


@pytest.mark.parametrize(("step_s", "severity"), [(0, None), (-1, None), (-5, None), (-20, "critical"), (60, None)])
def test_heads_from_the_future_tell_that_the_clock_is_behind(step_s: float, severity: str | None) -> None:
    """Without a slot clock a maker of blocks may write them 15 s ahead."""
    said = {(alert.detector, alert.severity.value) for alert in own_pool(step_s).alerts}
    assert said == ({("self.clock_skew", severity)} if severity else set())


@pytest.mark.parametrize(("step_s", "severity"), [(0, None), (-1, None), (-5, "critical"), (-20, "critical")])
def test_heads_from_a_slot_to_come_tell_it_without_allowance(step_s: float, severity: str | None) -> None:
    said = {(alert.detector, alert.severity.value) for alert in own_pool(step_s, genesis_time_s=1).alerts}
    assert {each for each in said if each[0] == "self.clock_skew"} == (
        {("self.clock_skew", severity)} if severity else set()
    )


@pytest.mark.parametrize(("step_s", "severity"), [(0, None), (8, None), (60, "warning")])
def test_heads_that_are_steadily_late_hint_at_a_clock_that_is_ahead(step_s: float, severity: str | None) -> None:
    said = {(alert.detector, alert.severity.value) for alert in own_pool(step_s, genesis_time_s=1).alerts}
    assert {each for each in said if each[0] == "self.clock_skew"} == (
        {("self.clock_skew", severity)} if severity else set()
    )


# -- certificates


@pytest.mark.parametrize(
    ("days", "severity"),
    [(30, None), (15.5, None), (14.5, "warning"), (4.5, "warning"), (3.5, "critical"), (-2, "critical")],
)
def test_a_certificate_that_ends_soon_is_told(days: float, severity: str | None) -> None:
    host = Host()
    host.sample(certificates=certificate(host, days, distrust="certificate has expired" if days < 0 else ""))
    assert host.said() == ([("host.cert https://n:443", "firing", severity)] if severity else [])


def test_a_certificate_gets_worse_with_time_alone_and_well_when_renewed() -> None:
    host = Host()
    host.sample(certificates=certificate(host, 15.5))
    assert host.said() == []
    host.pass_ns(2 * DAY_S * NS)
    host.tick()
    assert host.said() == [("host.cert https://n:443", "firing", "warning")]
    host.pass_ns(10 * DAY_S * NS)
    host.tick()
    assert host.said()[1:] == [("host.cert https://n:443", "firing", "critical")]
    host.sample(certificates=certificate(host, 90))
    assert host.said()[2:] == [("host.cert https://n:443", "resolved", "critical")]


def test_a_certificate_that_cannot_be_trusted_warns_as_what_it_is() -> None:
    host = Host()
    host.sample(certificates=certificate(host, 300, distrust="self-signed certificate"))
    assert host.said() == [("host.cert https://n:443", "firing", "warning")]
    assert "self-signed" in host.alerts[0].summary


def test_an_endpoint_that_does_not_answer_is_not_accused() -> None:
    host = Host()
    host.sample(5, certificates=(CertificateSample(endpoint="https://n:443", problem="no connection"),))
    assert host.said() == []


# -- all of it


def trouble(host: Host) -> None:
    host.sample(3, disks=disk(0), units=unit("failed"), clocks=clocks(900, 900, 900), certificates=certificate(host, 1))


def test_what_is_watched_no_longer_resolves_as_unconfigured() -> None:
    host = Host()
    trouble(host)
    assert len({alert.fingerprint for alert in host.alerts}) == 4
    host.take(ConfigRevised(t_ns=host.t_ns, settings=replace(SETTINGS, host=None)))
    gone = [alert for alert in host.alerts if alert.reason == "unconfigured"]
    assert {alert.detector for alert in gone} == {"host.disk", "host.unit", "host.cert"}
    host.sample(3, disks=disk(0))
    assert host.state.host.disks == {}
    assert status(host.state, host.t_ns)["host"] is None


def test_a_sample_of_what_is_not_configured_is_left_out() -> None:
    host = Host()
    host.sample(3, disks=disk(0, path="/else"))
    assert host.said() == []
    assert host.state.host.disks == {}


def test_after_a_restart_alerts_stay_open_until_the_host_was_looked_at_again() -> None:
    host = Host()
    trouble(host)
    before = len(host.alerts)
    host.state = decode_state(encode_state(host.state))
    host.take(Booted(t_ns=host.t_ns, wall_ns=host.wall_ns, boot="b1", version="test"))
    host.take(ConfigRevised(t_ns=host.t_ns, settings=SETTINGS))
    host.tick(3)
    told = status(host.state, host.t_ns)["host"]
    assert isinstance(told, dict)
    assert (told["disks"][0]["problem"], told["clock"]["state"]) == ("not looked at yet", "unknown")
    assert told["units"][0]["active"] == "unknown"
    assert [alert for alert in host.alerts[before:] if alert.state.value == "resolved"] == []
    host.sample(
        3,
        disks=disk(TB // 2),
        units=unit(),
        clocks=clocks(0, 0, 0),
        certificates=certificate(host, 90),
        every_ns=64 * NS,
    )
    resolved = {alert.detector for alert in host.alerts[before:] if alert.state.value == "resolved"}
    assert resolved == {"host.disk", "host.unit", "host.cert", "self.clock_skew"}


def test_a_replay_ends_in_the_same_bytes_and_a_state_comes_back_from_its_own() -> None:
    host = Host()
    fill(host, 6 * 10**9, hours=4, free=3 * 10**11)
    trouble(host)
    state = EngineState()
    for event in host.events:
        state = step(state, decode_event(*encode_event(event))).state
    assert encode_state(state) == encode_state(host.state)
    assert decode_state(encode_state(host.state)) == host.state
