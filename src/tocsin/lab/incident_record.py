"""The record of an incident as (EU) 2022/2554 (DORA), Art. 19 asks for it, as far as a watchdog can know it.

Content: RTS (EU) 2025/301; classification criteria: RTS (EU) 2024/1772. What only people know is None, for them to fill
in. The deadlines are those of Art. 5 of RTS 2025/301: engineering guidance, no legal advice.
"""

import calendar
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tocsin.model.settings import ChainSettings, NodeSettings, Settings

_SELF = "self"


def record(
    reference: str,
    events: Sequence[Mapping[str, Any]],
    *,
    began_at: str | None,
    settings: Settings | None,
    actions: Sequence[Mapping[str, object]],
) -> dict[str, object]:
    """Return the record. `events` are the data of the alert's own events, oldest first.

    `began_at` is the first reading over the limit, None where it is no longer known.
    """
    first, last = events[0], events[-1]
    resolved_at = last["resolved_at"] if last["state"] == "resolved" else None
    chains, nodes = _hit(first["labels"], settings)
    return {
        "reference_code": reference,
        "detected_at": first["started_at"],
        "started_at": began_at,
        "how_discovered": f"automated monitoring: {first['detector']}, seen from {first['vantage']}",
        "type": None,
        "classification": {
            "classified_at": None,
            "clients_affected": None,
            "duration_s": _seconds(began_at or first["started_at"], resolved_at),
            "service_downtime_s": None,
            "geographical_spread": None,
            "regions_of_assets": sorted({node.region for node in nodes if node.region}),
            "data_losses": None,
            "reputational_impact": None,
            "economic_impact": None,
            "critical_services_affected": None,
        },
        "services_hit": [{"chain": chain.name, "id": chain.id} for chain in chains],
        "assets_hit": [{"id": node.id, "name": node.name, "endpoint": node.endpoint} for node in nodes],
        "third_parties": sorted(
            {party for node in nodes for party in (node.provider, node.operator) if party != _SELF}
        ),
        "continuity_plan_activated": None,
        "actions": list(actions),
        "recovered_at": resolved_at,
        "root_cause": None,
        "cost": None,
        "deadlines": deadlines(first["started_at"]),
    }


def deadlines(aware_at: str) -> dict[str, object]:
    """Return when reports are due at the latest, from an RFC 3339 time at which the incident became known.

    The initial one is due 4 h after the incident was classified as major, and 24 h after it became known at the latest;
    the intermediate one 72 h after the initial one; the final one a month after the intermediate one.
    """
    aware = datetime.fromisoformat(aware_at)
    initial = aware + timedelta(hours=24)
    intermediate = initial + timedelta(hours=72)
    return {
        "aware_at": aware_at,
        "initial_if_classified_at_once": _text(aware + timedelta(hours=4)),
        "initial_latest": _text(initial),
        "intermediate_latest": _text(intermediate),
        "final_latest": _text(_month_later(intermediate)),
        "rule": "initial: 4 h after classification, 24 h after awareness at the latest; intermediate: 72 h after the "
        "initial one; final: 1 month after the intermediate one",
    }


def _month_later(then: datetime) -> datetime:
    year, month = (then.year + 1, 1) if then.month == 12 else (then.year, then.month + 1)  # noqa: PLR2004
    return then.replace(year=year, month=month, day=min(then.day, calendar.monthrange(year, month)[1]))


def _text(then: datetime) -> str:
    return then.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _seconds(since: str, until: str | None) -> int | None:
    if until is None:
        return None
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)) // timedelta(seconds=1)


def _hit(labels: Mapping[str, str], settings: Settings | None) -> tuple[list[ChainSettings], list[NodeSettings]]:
    """Return the chain that an alert is about, and its node; of an alert about a chain all of them."""
    chains = [chain for chain in (settings.chains if settings else ()) if labels.get("chain") == f"eip155:{chain.id}"]
    wanted = labels.get("node")
    nodes = [node for chain in chains for node in chain.everyone if wanted is None or node.id == wanted]
    return chains, nodes
