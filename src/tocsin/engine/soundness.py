"""Whether a state that was read from bytes is one that the engine can go on from.

Types alone do not tell: what belongs to a chain or a node is kept by name, and the engine looks it up without asking
whether it is there. Whatever wrote a state that contradicts itself, it was no daemon.
"""

import re
from collections.abc import Mapping

from tocsin.alerting.matching import MatchError, parse
from tocsin.detect import REGISTRY
from tocsin.engine import contractsound, feedsound, marketsound
from tocsin.engine.doubt import TRIES
from tocsin.engine.state import ChainState, EngineState, Survey
from tocsin.model.contract import Bounds, ContractSettings
from tocsin.model.question import OFFERED, Ability
from tocsin.model.settings import ChainSettings

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_WORD = re.compile(r"0x[0-9a-f]{64}")
_SELECTOR = re.compile(r"0x[0-9a-f]{8}")
_AMOUNT = re.compile(r"[0-9]{0,78}")
_DECIMALS = 77
_BYTES = 32
_TAGS = frozenset({"provider", "operator", "client", "region", "host"})
_SUBJECTS = frozenset({"", OFFERED, *Ability})


def flaw(state: EngineState) -> str | None:
    """Return what of a state contradicts itself, None where nothing does."""
    if state.settings is None:
        return "chains without settings" if state.chains else None
    chains = state.settings.chains
    if _differ(state.chains, [chain.name for chain in chains]):
        return "it has other chains than its settings"
    silences = (*state.silences, *state.settings.silences)
    if any(
        _is_gibberish(text) for text in [one.match for one in silences] + [one.match for one in state.settings.windows]
    ):
        return "a silence means no alerts"
    if any(_is_gibberish(one.match) or one.per_minute < 1 for one in state.settings.channels):
        return "a channel is told of no alerts"
    if _misfit(state.settings.detectors):
        return "a detector has the limits of another one"
    if any(one.period_ns < 0 for one in state.peers.known.values()):
        return "another watchdog speaks before it has spoken"
    if not all(_is_watchable(one) for chain in chains for one in chain.contracts):
        return "what is no contract is watched"
    return feedsound.flaw(state, chains) or next(
        (found for chain in chains if (found := _flaw_of(state.chains[chain.name], chain))), None
    )


def _is_gibberish(match: str) -> bool:
    try:
        parse(match)
    except MatchError:
        return True
    return False


def _flaw_of(state: ChainState, chain: ChainSettings) -> str | None:
    if _differ(state.nodes, [node.name for node in chain.nodes]):
        return f"{chain.name} has other nodes than its settings"
    if _differ(state.beacons, [one.node.name for one in chain.beacons]):
        return f"{chain.name} has other beacon nodes than its settings"
    if min(chain.block_time_ns, chain.poll_ns, chain.tick_ns) <= 0:
        return f"time stands still on {chain.name}"
    if chain.base_fee is not None and min(chain.base_fee.denominator, chain.base_fee.elasticity) <= 0:
        return f"the base fee of {chain.name} follows no rule"
    if not _TAGS.issuperset(chain.vote_by):
        return f"nodes of {chain.name} vote by what they do not have"
    if _misfit(chain.detectors):
        return f"a detector of {chain.name} has the limits of another one"
    if not state.doubts.keys() <= state.nodes.keys():
        return f"{chain.name} doubts a header of a node that it does not have"
    if not all(1 <= doubt.tries <= TRIES for doubt in state.doubts.values()):
        return f"{chain.name} asked for a doubtful header more or less often than it ever does"
    if not all(_is_trial(survey) for survey in state.surveys.values()):
        return f"{chain.name} tries an ability that there is not"
    samples = [seen.sample for seen in state.markets.values()]
    return contractsound.flaw(state, chain) or marketsound.flaw(chain, samples)


def _is_trial(survey: Survey) -> bool:
    """Tell whether what is tried is known, and something is where a question is under way."""
    return survey.subject in _SUBJECTS and bool(survey.subject or not survey.call)


def _is_watchable(one: ContractSettings) -> bool:
    places = all(_WORD.fullmatch(at.slot) and 0 <= at.offset < _BYTES for at in one.layouts.values())
    amounts = (*one.balances, *one.allowances)
    slots = [role.id for role in one.roles] + [amount.slot for amount in amounts if amount.slot]
    others = [member for role in one.roles for member in role.members]
    others += [name for amount in amounts for name in (amount.token, amount.spender) if name]
    bounds = [*(amount.bounds for amount in amounts), *([one.supply] if one.supply is not None else [])]
    return (
        places
        and all(_ADDRESS.fullmatch(address) for address in (one.address, *others))
        and all(_WORD.fullmatch(slot) for slot in slots)
        and all(_SELECTOR.fullmatch(function) for function in one.functions.values())
        and all(_is_bounded(each) for each in bounds)
    )


def _is_bounded(bounds: Bounds) -> bool:
    return all(_AMOUNT.fullmatch(text) for text in (bounds.least, bounds.most)) and 0 <= bounds.decimals <= _DECIMALS


def _differ(found: Mapping[str, object], wanted: list[str]) -> bool:
    return len(found) != len(wanted) or not all(name in found for name in wanted)


def _misfit(detectors: Mapping[str, object]) -> bool:
    return any(name in REGISTRY and type(params) is not REGISTRY[name].params for name, params in detectors.items())
