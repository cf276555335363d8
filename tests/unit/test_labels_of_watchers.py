"""Two watchers that watch the same nodes raise the same alerts: nothing of the watcher is in their identity."""

from dataclasses import replace

from tests.support.pool import Pool, settings_for

from tocsin.ids import fingerprint
from tocsin.model.event import Ticked
from tocsin.model.settings import Settings


def raised(settings: Settings) -> dict[str, str]:
    """Return what a watcher raises of a pool with a silent node, by fingerprint, and of a stall of its own."""
    pool = Pool(settings)
    pool.rounds(10)
    pool.nodes["n1"].view.freeze()
    pool.rounds(60)
    for seconds in (1, 60):
        pool.clock.advance(s=seconds)
        pool.take(Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain=""))
    assert all(alert.fingerprint == fingerprint(alert.detector, alert.labels) for alert in pool.alerts)
    return {alert.fingerprint: alert.detector for alert in pool.alerts}


def test_alerts_of_nodes_and_chains_are_one_for_all_watchers_and_those_of_a_watcher_are_its_own() -> None:
    here = settings_for(("a", "b", "c"))
    there = replace(here, site="fra", watchdog="other")
    ours, theirs = raised(here), raised(there)
    shared = {mark: detector for mark, detector in ours.items() if mark in theirs}
    assert "node.stale" in shared.values()
    assert {detector for mark, detector in ours.items() if mark not in shared} == {"self.heartbeat"}
