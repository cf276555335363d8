"""Markets of later releases of Aave v3 (3.1 on), compiled from sources: parameters are found by their names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from eth_abi.abi import encode
from tests.lab.aave import (
    ASSETS,
    CATEGORIES,
    NOBODY,
    YES,
    Asset,
    Lab,
    implement,
    lab_of,
    list_asset,
    names_of,
    provider_of,
)
from tests.lab.chain import Chain, Contract, Json

_LEAST_DECIMALS: Final = 6
"""Fewer are refused."""
_RATES: Final = encode(["(uint16,uint32,uint32,uint32)"], [(8000, 0, 400, 7500)])
"""Of one strategy for all, in basis points: kink, base, two slopes."""


async def deploy_origin(chain: Chain, assets: Sequence[Asset] = ASSETS) -> Lab:
    """Put a market on a chain."""
    assets = [replace(one, decimals=max(one.decimals, _LEAST_DECIMALS)) for one in assets]
    await chain.start()
    provider = await provider_of(chain)
    values: dict[str, Any] = {"provider": provider.address, "rewardsController": NOBODY, "treasury": chain.owner}
    strategy = await chain.deploy_named("DefaultReserveInterestRateStrategyV2", values)
    values |= {"interestRateStrategy": strategy.address, "interestRateStrategyAddress": strategy.address}
    implementations = [await chain.deploy_named(name, values) for name in ("PoolInstance", "PoolConfiguratorInstance")]
    await implement(chain, provider, *implementations)
    lab = await lab_of(chain, provider, ("PoolInstance", "PoolConfiguratorInstance"), assets, stable=False)
    values |= await _token_code(lab, values)
    await _reserves(lab, values)
    await _categories(lab)
    for asset, token in zip(assets, lab.tokens, strict=True):
        await list_asset(lab, asset, token, _of_category(lab, asset, token))
    return lab


async def _token_code(lab: Lab, values: dict[str, Any]) -> dict[str, Any]:
    """Put on the chain what the tokens of reserves run, by the names that a reserve's parameters have."""
    with_pool = values | {"pool": lab.pool.address}
    names = {"aTokenImpl": "ATokenInstance", "variableDebtTokenImpl": "VariableDebtTokenInstance"}
    if "stableDebtTokenImpl" in _parameters(lab.configurator):
        names["stableDebtTokenImpl"] = "StableDebtTokenInstance"
    return {key: (await lab.chain.deploy_named(name, with_pool)).address for key, name in names.items()}


def _parameters(configurator: Contract) -> set[str]:
    item = next(item for item in configurator.abi if item.get("name") == "initReserves")
    return {part["name"] for part in item["inputs"][0]["components"]}


async def _reserves(lab: Lab, values: dict[str, Any]) -> None:
    item = next(item for item in lab.configurator.abi if item.get("name") == "initReserves")
    for asset, token in zip(lab.assets, lab.tokens, strict=True):
        names = dict(zip(_NAMES, names_of(asset, 3), strict=True))
        own = names | {
            "underlyingAsset": token.address,
            "underlyingAssetDecimals": asset.decimals,
            "useVirtualBalance": YES,
            "incentivesController": NOBODY,
            "params": b"",
            "interestRateData": _RATES,
        }
        given = values | own
        wanted = tuple(given[part["name"]] for part in item["inputs"][0]["components"])
        await lab.chain.send(lab.configurator.call("initReserves", [wanted]))


_NAMES: Final = (
    "aTokenName",
    "aTokenSymbol",
    "variableDebtTokenName",
    "variableDebtTokenSymbol",
    "stableDebtTokenName",
    "stableDebtTokenSymbol",
)


async def _categories(lab: Lab) -> None:
    source = f"0x{0xE0DE:040x}"
    await lab.chain.answering(lab.category_feed, 10**8)
    await lab.chain.send(lab.oracle.call("setAssetSources", [source], [lab.category_feed]))
    for number, (ltv, threshold, bonus, own_price) in CATEGORIES.items():
        terms = {
            "categoryId": number,
            "ltv": ltv,
            "liquidationThreshold": threshold,
            "liquidationBonus": bonus,
            "oracle": source if own_price else NOBODY,
            "label": f"category {number}",
            # One of both, where there is such a thing.
            "isolated": number == 1,
        }
        await lab.chain.send(lab.configurator.call_named("setEModeCategory", terms))


def _of_category(lab: Lab, asset: Asset, token: Contract) -> list[Json]:
    if not asset.category:
        return []
    at, number, configurator = token.address, asset.category, lab.configurator
    if configurator.has("setAssetEModeCategory"):
        return [configurator.call("setAssetEModeCategory", at, number)]
    names = ("setAssetCollateralInEMode", "setAssetBorrowableInEMode")
    steps = [configurator.call(name, at, number, YES) for name in names]
    # One asset of each category no longer lends in it, where that can be said.
    if configurator.has("setAssetLtvzeroInEMode") and asset.symbol == "STETH":
        steps.append(configurator.call("setAssetLtvzeroInEMode", at, number, YES))
    return steps
