"""What is kept of alerts whose subject is gone: enough to go on counting for a day, and nothing after it."""

from dataclasses import replace

from tests.support.pool import settings_for
from tests.support.ticking import Ticking, fails

from tocsin.engine.codec import decode_state, encode_state
from tocsin.engine.retired import CAP, KEPT_NS
from tocsin.engine.step import step
from tocsin.ids import fingerprint
from tocsin.model.alert import Labels
from tocsin.model.effect import StateChanged
from tocsin.model.event import Orphan, Ticked
from tocsin.model.settings import Settings
from tocsin.wire import topics


def only(settings: Settings, *names: str) -> Settings:
    chain = settings.chains[0]
    return replace(settings, chains=(replace(chain, nodes=tuple(node for node in chain.nodes if node.name in names)),))


def own_tick(pool: Ticking) -> list[str]:
    """Tick the watchdog itself; return the topics that this clears."""
    event = Ticked(t_ns=pool.now, wall_ns=pool.clock.wall_ns(), chain="")
    effects = step(pool.state, event).effects
    pool.take(event)
    return [effect.topic for effect in effects if isinstance(effect, StateChanged) and effect.document is None]


def troubled() -> tuple[Ticking, str]:
    pool = Ticking(settings_for(("a", "b", "c")))
    pool.rounds(10)
    pool.answers["n0"] = fails()
    pool.rounds(10)
    [alert] = pool.alerts
    return pool, alert.fingerprint


def test_a_node_that_is_back_within_a_day_goes_on_counting() -> None:
    pool, key = troubled()
    whole, gone = pool.settings, pool.nodes.pop("n0")
    pool.reload(only(whole, "n1", "n2"))
    assert pool.state.chains["sim"].alerts.activations == {}
    assert pool.state.retired[key].activation == 1
    pool.state = decode_state(encode_state(pool.state))
    assert own_tick(pool) == []
    pool.clock.advance(ns=KEPT_NS - 10**9)
    assert own_tick(pool) == []
    pool.nodes["n0"] = gone
    pool.reload(whole)
    assert pool.state.retired == {}
    pool.rounds(10)
    assert [(alert.reason, alert.activation) for alert in pool.alerts if alert.fingerprint == key] == [
        ("fired", 1),
        ("unconfigured", 1),
        ("fired", 2),
    ]


def test_after_a_day_it_is_forgotten_and_its_topic_cleared() -> None:
    pool, key = troubled()
    pool.nodes.pop("n0")
    pool.reload(only(pool.settings, "n1", "n2"))
    pool.clock.advance(ns=KEPT_NS)
    assert own_tick(pool) == [topics.alert(key)]
    assert pool.state.retired == {}
    assert own_tick(pool) == []
    assert key not in encode_state(pool.state).decode()


def test_a_chain_that_goes_takes_its_counts_along_and_brings_them_back() -> None:
    pool, key = troubled()
    whole = pool.settings
    pool.reload(replace(whole, chains=()))
    assert pool.state.retired[key].activation == 1
    at_ns = pool.state.retired[key].at_ns
    pool.clock.advance(s=60)
    pool.reload(replace(whole, chains=()))
    assert pool.state.retired[key].at_ns == at_ns, "it is gone since it went, not since the last reload"
    pool.reload(whole)
    assert pool.state.chains["sim"].alerts.activations == {key: 1}
    assert pool.state.retired == {}


def test_what_a_lost_state_left_behind_is_cleared_too() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    labels: Labels = (("chain", "eip155:1337"), ("environment", "test"), ("node", "sim.gone"))
    key = fingerprint("node.lag", labels)
    lost = Orphan(
        fingerprint=key,
        detector="node.lag",
        labels=labels,
        severity="warning",
        summary="was lost",
        activation=7,
        count=3,
        started_wall_ns=0,
        is_open=False,
    )
    pool.restart(orphans=(lost,))
    assert pool.alerts == []
    assert pool.state.retired[key].activation == 7
    pool.clock.advance(ns=KEPT_NS)
    assert own_tick(pool) == [topics.alert(key)]


def test_however_many_nodes_come_and_go_the_memory_is_bounded() -> None:
    pool = Ticking(settings_for(("a", "b", "c")))
    orphans = tuple(
        Orphan(
            fingerprint=fingerprint("node.lag", (("node", f"sim.{number}"),)),
            detector="node.lag",
            labels=(("node", f"sim.{number}"),),
            severity="info",
            summary="",
            activation=1,
            count=1,
            started_wall_ns=0,
        )
        for number in range(CAP + 50)
    )
    pool.restart(orphans=orphans)
    assert len(own_tick(pool)) == 50
    assert len(pool.state.retired) == CAP
    assert pool.state.alerts.activations == {}
