"""What a plan reads and follows, beside the ABIs of the contracts that it is of."""

from collections.abc import Mapping
from typing import Final

from tests.lab.chain import Artifacts, Json, selector, signature_of

from tocsin.chain.logrules import Topic
from tocsin.protocols.aave_v3 import reading
from tocsin.protocols.aave_v3.revisions import REVISIONS
from tocsin.protocols.base import Event, Read

PARTS_3_0: Final[Mapping[str, tuple[str, ...]]] = {
    reading.POOL: ("Pool", "InitializableImmutableAdminUpgradeabilityProxy"),
    reading.ORACLE: ("AaveOracle",),
    reading.PROVIDER: ("PoolAddressesProvider",),
    reading.CONFIGURATOR: ("PoolConfigurator",),
    reading.SENTINEL: ("PriceOracleSentinel",),
    reading.SUPPLY_TOKEN: ("AToken",),
    reading.DEBT_TOKEN: ("VariableDebtToken",),
    reading.STABLE_TOKEN: ("StableDebtToken",),
}
"""The contracts of each part."""
PARTS_3_6: Final[Mapping[str, tuple[str, ...]]] = {
    reading.POOL: ("PoolInstance", "InitializableImmutableAdminUpgradeabilityProxy"),
    reading.ORACLE: ("AaveOracle",),
    reading.PROVIDER: ("PoolAddressesProvider",),
    reading.CONFIGURATOR: ("PoolConfiguratorInstance",),
    reading.SUPPLY_TOKEN: ("ATokenInstance",),
    reading.DEBT_TOKEN: ("VariableDebtTokenInstance",),
}
"""Without the sentinel, which is 3.0's."""
_PLACES: Final = (
    reading.PROVIDER_PLACE,
    reading.ORACLE_PLACE,
    reading.CONFIGURATOR_PLACE,
    reading.SENTINEL_PLACE,
    reading.SOURCE,
)
_NAMED: Final = ("user", "onBehalfOf", "from", "to")


def assert_plan_is_of(artifacts: Artifacts, revision: str, contracts: Mapping[str, tuple[str, ...]]) -> None:
    """Hold each event and function of a revision's plan, and those that find its parts, against the contracts."""
    abis = {part: [item for name in names for item in artifacts[name]["abi"]] for part, names in contracts.items()}
    plan = reading.plan(REVISIONS[revision])
    assert plan.revision is not None
    assert plan.view is not None
    for event in (*plan.owes, *plan.touches, *plan.changes):
        _assert_event(event, abis[event.of])
    for read in (plan.revision, plan.view, *_PLACES, *plan.market, *plan.account):
        if read.of in abis:
            _assert_function(read, abis[read.of])


def _assert_event(event: Event, abi: list[Json]) -> None:
    found = next(item for item in abi if item["type"] == "event" and signature_of(item) == event.signature)
    assert selector(found) == event.topic0
    if isinstance(event.account, Topic):
        indexed = [spec for spec in found["inputs"] if spec["indexed"]]
        assert indexed[event.account.number - 1]["type"] == "address"
        assert indexed[event.account.number - 1]["name"] in _NAMED


def _assert_function(read: Read, abi: list[Json]) -> None:
    names = [signature_of(item) for item in abi if item["type"] == "function"]
    assert f"{read.asks.name}{read.asks.takes}" in names
