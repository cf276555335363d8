"""What a configuration costs: the calls that each node gets a day, when nothing is wrong."""

from collections.abc import Mapping
from math import ceil
from typing import Final

from tocsin.chain.count import needed
from tocsin.chain.groups import group_nodes
from tocsin.chain.readload import Limits
from tocsin.engine import wanted
from tocsin.engine.cadence import at_rest, evenly
from tocsin.engine.common import asked_per_round
from tocsin.engine.readplan import without_doubles
from tocsin.model.index import IndexSettings
from tocsin.model.reading import BalanceOf, CallOf, CodeOf, Item, LogsOf, ProofOf, SlotOf
from tocsin.model.settings import ChainSettings, NodeSettings

DAY_NS = 86_400 * 10**9
CALLS_PER_POLL = 2
"""eth_chainId and the latest header go with every poll."""
CALLS_PER_SLOT = 3
"""The safe and the finalized header and eth_syncing are asked once per slot."""
_LOOKS_FOR_CODE: Final = 24
"""A day, at each contract of an index, see `tocsin.state.keeper`."""
_MILLION: Final = 1_000_000


def calls_per_day(chain: ChainSettings, node: NodeSettings) -> int:
    """Estimate the JSON-RPC calls that a node of a chain gets a day when nothing is wrong.

    Where blocks come faster than polls, the blocks by which nodes are compared are asked for with every poll as well.
    """
    return units_per_day(chain, node, {})


def units_per_day(chain: ChainSettings, node: NodeSettings, prices: Mapping[str, int]) -> int:
    """Return what those calls cost a day in units; a call without a price is one."""
    polls = at_rest(chain, own=node.own).per(DAY_NS)
    slots = min(polls, DAY_NS // chain.block_time_ns)
    chain_id, block, syncing = (prices.get(f"eth_{word}", 1) for word in ("chainId", "getBlockByNumber", "syncing"))
    polling = polls * (chain_id + block * (1 + asked_per_round(chain, node.name))) + slots * (2 * block + syncing)
    return polling + slots * sum(prices.get(_method_of(item), 1) for item in _read_each_block(chain))


def _read_each_block(chain: ChainSettings) -> tuple[Item, ...]:
    return without_doubles(wanted.usual(chain))


def _method_of(item: Item) -> str:
    match item:
        case ProofOf():
            return "eth_getProof"
        case SlotOf():
            return "eth_getStorageAt"
        case CodeOf():
            return "eth_getCode"
        case CallOf():
            return "eth_call"
        case BalanceOf():
            return "eth_getBalance"
        case LogsOf():
            return "eth_getLogs"
        case _:
            return "eth_getBlockReceipts"


def beacon_requests_per_day(chain: ChainSettings) -> int:
    """Estimate the requests that a beacon node gets a day: two a poll, two a slot, and the payload of each new head."""
    polls = evenly(chain.name, chain.poll_ns).per(DAY_NS)
    return 2 * polls + 3 * min(polls, DAY_NS // chain.block_time_ns)


# -- log indexes


def index_units_per_day(chain: ChainSettings, node: NodeSettings, prices: Mapping[str, int]) -> int:
    """Estimate what following the log indexes of a chain costs at a node a day; a call without a price is one unit.

    As if each block may hold such logs. Every node is asked for the logs of each block and for receipts, since an index
    alone would not notice who lies; besides, as many groups as make a quorum are asked for what goes into the index.
    """
    blocks = DAY_NS // chain.block_time_ns
    groups = group_nodes(chain.nodes, chain.vote_by)
    beside = next(len(group.nodes) for group in groups.groups if node.name in group.nodes)
    asked = needed(groups) / len(groups.groups) / beside
    shows = 1 / len(chain.nodes) if chain.hashes_as_ethereum else asked
    logs, receipts, header, code = (
        prices.get(f"eth_{word}", 1) for word in ("getLogs", "getBlockReceipts", "getBlockByHash", "getCode")
    )
    each_block = logs * (1 + asked) + header * shows
    return sum(
        ceil(
            blocks * (each_block + (receipts / one.receipts_one_in if one.receipts_one_in else 0))
            + _LOOKS_FOR_CODE * code * asked * len(one.addresses)
            + prices.get("eth_call", 1) * _amount_calls(one, chain) / len(groups.groups) / beside
        )
        for one in chain.indexes
    )


def _amount_calls(one: IndexSettings, chain: ChainSettings) -> float:
    """Return the questions a day about what accounts hold, of as many as may be read: one group reads, one audits."""
    if one.amount is None:
        return 0
    audit = 1 if chain.reader.audit_one_in else 0
    readings = DAY_NS / max(one.amount.every_ns, chain.block_time_ns)
    return readings * (ceil(one.amount.most / Limits().calls) + audit)


def backfill_calls(chain: ChainSettings) -> int:
    """Estimate the calls that back-fills of a chain take for each million blocks, of all nodes together.

    At the spans that they begin with: where nodes give more at once it is less, where they give less it is more.
    """
    groups = needed(group_nodes(chain.nodes, chain.vote_by))
    return sum(_backfill(one, groups) for one in chain.indexes)


def _backfill(one: IndexSettings, groups: int) -> int:
    # An audit takes the header as a quorum of groups shows it, and the receipts.
    audits = _MILLION // one.audit_one_in if one.audit_one_in else 0
    return groups * ceil(_MILLION / one.span) + audits * (groups + 1)
