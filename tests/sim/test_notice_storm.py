"""A storm of ten thousand distinct alerts in ten seconds: a few messages, the worst at once, and all ends are told."""

from collections import Counter
from dataclasses import replace

from tests.property.test_routing_machine import People

from tocsin.alerting.grouping import MINUTE_NS
from tocsin.alerting.routing import Mail, Routing, routed
from tocsin.model.alert import Alert, AlertState, Severity
from tocsin.model.effect import Notify
from tocsin.model.settings import ChannelSettings

SECOND = 10**9
TEAM = ChannelSettings(name="team", floor=Severity.INFO)
NODES = ChannelSettings(name="nodes", group_by=("node",))


def storm() -> list[list[Alert]]:
    """Return what comes in each quarter of a second."""
    source = People()
    source.begin()
    ticks = []
    for tick in range(40):
        source.now = 10**15 + tick * SECOND // 4
        ticks.append(
            [
                source._alert(
                    "node.lag", (("chain", f"eip155:{at % 7}"), ("node", f"{tick}-{at}")), list(Severity)[at % 3]
                )
                for at in range(250)
            ]
        )
    return ticks


def test_a_storm_is_few_messages_critical_ones_at_once_and_every_end_is_told() -> None:
    routing, said, now = Routing(), list[tuple[int, Notify]](), 10**15
    start, ticks = now, storm()

    def take(*alerts: Alert) -> None:
        nonlocal routing
        mail = Mail(now_ns=now, wall_ns=now, site="ams", alerts=alerts)
        routing, notices = routed(routing, (TEAM, NODES), mail)
        said.extend((now, notice) for notice in notices)

    for alerts in ticks:
        take(*alerts)
        now += SECOND // 4
    first = next(at for at, notice in said if notice.severity is Severity.CRITICAL)
    assert first == start, "nothing critical waits"
    for _ in range(250):
        now += 15 * SECOND
        take()
    team = [(at, notice) for at, notice in said if notice.channel == "team"]
    for severity in Severity:
        counted = sum(notice.notice.firing for _, notice in team if notice.severity is severity)
        assert counted == sum(alert.severity is severity for alerts in ticks for alert in alerts)
    _hold_to_one_message_per_interval(team, TEAM)
    for name, channel in (("team", TEAM), ("nodes", NODES)):
        times = [at // MINUTE_NS for at, notice in said if notice.channel == name]
        assert max(Counter(times).values()) <= 3 * 2 * channel.per_minute
    assert len(said) < 60
    said.clear()
    over = [replace(one, state=AlertState.RESOLVED, reason="cleared") for alerts in ticks for one in alerts]
    take(*over)
    for _ in range(250):
        now += 15 * SECOND
        take()
    assert sum(notice.notice.resolved for _, notice in said if notice.channel == "team") == 10_000
    assert not any(channel.heard or channel.waiting for channel in routing.channels.values())


def _hold_to_one_message_per_interval(said: list[tuple[int, Notify]], settings: ChannelSettings) -> None:
    last: dict[tuple[Severity, str], int] = {}
    for at, notice in said:
        for chain in {dict(told.labels)["chain"] for told in notice.notice.told}:
            key = (notice.severity, chain)
            assert key not in last or at == last[key] or at - last[key] >= settings.interval.of(notice.severity)
            last[key] = at
