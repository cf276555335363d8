"""Whether a header follows from its parent by the rules of its chain, as far as headers tell.

A header that hashes to its hash can still be of a block that no honest node builds: its base fee is not the one that
EIP-1559 derives, or its time is not that of a slot, or not after its parent's. Judged are verified headers on verified
parents alone; of any other the node may merely have shown a field in its own way.
"""

from tocsin.clock import NS
from tocsin.model.block import Breach, Header, Rule, Verification
from tocsin.model.settings import BaseFeeRule, ChainSettings


def breaches(header: Header, parent: Header | None, chain: ChainSettings) -> tuple[Breach, ...]:
    """Return the rules that a header breaks; without its parent, those that it breaks by itself."""
    if header.verification is not Verification.MATCH or header.number == 0:
        return ()
    found = [_slot(header, chain)]
    if parent is not None and parent.verification is Verification.MATCH:
        found += [_order(header, parent, chain), _fee(header, parent, chain.base_fee)]
    return tuple(breach for breach in found if breach is not None)


def _slot(header: Header, chain: ChainSettings) -> Breach | None:
    if chain.genesis_time_s is None or chain.block_time_ns % NS:
        return None
    slot_s = chain.block_time_ns // NS
    off = (header.timestamp - chain.genesis_time_s) % slot_s
    return Breach(rule=Rule.SLOT, shown=header.timestamp, right=header.timestamp - off) if off else None


def _order(header: Header, parent: Header, chain: ChainSettings) -> Breach | None:
    """Compare two times. Where there are no slots, several blocks may share a second."""
    least = parent.timestamp + (chain.genesis_time_s is not None)
    if header.timestamp >= least:
        return None
    return Breach(rule=Rule.ORDER, shown=header.timestamp, right=least)


def _fee(header: Header, parent: Header, rule: BaseFeeRule | None) -> Breach | None:
    right = None if rule is None else next_base_fee(parent, rule)
    if right is None or header.base_fee is None or header.base_fee == right:
        return None
    return Breach(rule=Rule.BASE_FEE, shown=header.base_fee, right=right)


def next_base_fee(parent: Header, rule: BaseFeeRule) -> int | None:
    """Return the base fee in wei that follows a block, None where its header does not tell. Source: EIP-1559."""
    fee, used, limit = parent.base_fee, parent.gas_used, parent.gas_limit
    if fee is None or used is None or limit is None:
        return None
    target = limit // rule.elasticity
    if not target:
        return None
    change = fee * abs(used - target) // target // rule.denominator
    if used > target:
        return fee + max(change, 1)
    return fee - change
