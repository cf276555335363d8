"""How often alerts fired whose subject is configured no longer: remembered for a day, then forgotten for good.

A node that comes back within that day goes on counting where it stopped, so that nobody who still sees the old alert
takes the new one for it. After the day the broker has let the old one expire; its topic is then cleared, and what the
state and the store kept of it goes. Without that both would grow with every node that ever was.
"""

from collections.abc import Iterable, Mapping

from tocsin.detect import CHAIN_DETECTORS, SELF_DETECTORS
from tocsin.engine.state import EngineState, Retired
from tocsin.ids import fingerprint
from tocsin.model.alert import Labels
from tocsin.model.effect import StateChanged
from tocsin.model.event import Orphan
from tocsin.model.evolve import evolve
from tocsin.wire import topics

KEPT_NS = 25 * 3600 * 10**9
"""An hour longer than a resolved alert stays on the broker."""
CAP = 1_024
_OWN = ""


def parted(
    before: EngineState,
    after: EngineState,
    subjects: Mapping[str, Iterable[Labels]],
    own: Iterable[Labels],
    orphans: Iterable[Orphan],
) -> EngineState:
    """Return the state after a new configuration with each count where its subject is watched, the rest retired.

    `subjects` are those of each chain, `own` those of the watchdog itself.
    """
    counts = _counts(before, after, orphans)
    if not counts:
        return after
    homes = _homes(after, subjects, own)
    scopes: dict[str, dict[str, int]] = {_OWN: {}, **{name: {} for name in after.chains}}
    retired: dict[str, Retired] = {}
    for key, count in sorted(counts.items()):
        if key in homes:
            scopes[homes[key]][key] = count
        else:
            known = before.retired.get(key)
            retired[key] = Retired(activation=count, at_ns=after.t_ns if known is None else known.at_ns)
    chains = {
        name: evolve(chain, alerts=evolve(chain.alerts, activations=scopes[name]))
        for name, chain in after.chains.items()
    }
    return evolve(after, chains=chains, alerts=evolve(after.alerts, activations=scopes[_OWN]), retired=retired)


def forgotten(state: EngineState) -> tuple[EngineState, tuple[StateChanged, ...]]:
    """Return the state without what was retired long ago, or is too much, and the messages that clear its topics."""
    oldest = sorted(state.retired, key=lambda key: (state.retired[key].at_ns, key))
    gone = [key for key in oldest if state.t_ns - state.retired[key].at_ns >= KEPT_NS]
    gone += [key for key in oldest[: max(0, len(oldest) - CAP)] if key not in gone]
    if not gone:
        return state, ()
    left = {key: one for key, one in state.retired.items() if key not in gone}
    cleared = tuple(
        StateChanged(topic=topics.alert(key), kind="cleared", wall_ns=state.wall_ns, document=None) for key in gone
    )
    return evolve(state, retired=left), cleared


def _counts(before: EngineState, after: EngineState, orphans: Iterable[Orphan]) -> dict[str, int]:
    counts = {orphan.fingerprint: orphan.activation for orphan in orphans}
    scopes = [
        scope for state in (before, after) for scope in (state.alerts, *(c.alerts for c in state.chains.values()))
    ]
    for known in (
        *(scope.activations for scope in scopes),
        {key: one.activation for key, one in before.retired.items()},
    ):
        for key, count in known.items():
            counts[key] = max(count, counts.get(key, 0))
    return counts


def _homes(after: EngineState, subjects: Mapping[str, Iterable[Labels]], own: Iterable[Labels]) -> dict[str, str]:
    """Return where the count of each fingerprint that may fire belongs: to a chain by name, or to the watchdog."""
    homes = {fingerprint(one.id, labels): _OWN for labels in own for one in SELF_DETECTORS}
    homes |= dict.fromkeys(after.alerts.tracked, _OWN)
    for name, every in subjects.items():
        homes |= {fingerprint(one.id, labels): name for labels in every for one in CHAIN_DETECTORS}
        homes |= dict.fromkeys(after.chains[name].alerts.tracked, name)
    return homes
