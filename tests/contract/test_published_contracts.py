"""Contracts as others have published them run on two anvils in lockstep, which stay one chain."""

import pytest
from tests.support.anvil import Lockstep
from tests.support.artifacts import (
    OPENZEPPELIN,
    SAFE,
    UNISWAP_V2,
    UNISWAP_V3,
    Deployer,
    arguments,
    call_data,
    code_of,
)

ALICE, BOB = f"0x{0xA11CE:040x}", f"0x{0xB0B:040x}"
NOBODY = f"0x{0:040x}"


@pytest.fixture
def deployer(lockstep: Lockstep) -> Deployer:
    return Deployer(lockstep)


async def test_a_token_is_deployed_on_both_and_they_stay_one_chain(lockstep: Lockstep, deployer: Deployer) -> None:
    code = code_of(OPENZEPPELIN, "ERC20PresetFixedSupply")
    token = await deployer.deploy(code, ("string", "string", "uint256", "address"), "Token", "TKN", 10**24, ALICE)
    assert await deployer.ask(token, ("uint256",), call_data("balanceOf(address)", ALICE)) == (10**24,)
    assert await lockstep.together()


async def test_a_proxy_shows_where_its_code_is(lockstep: Lockstep, deployer: Deployer) -> None:
    target = await deployer.deploy(code_of(OPENZEPPELIN, "ERC20PresetMinterPauser"), ("string", "string"), "T", "T")
    types = ("address", "address", "bytes")
    proxy = await deployer.deploy(code_of(OPENZEPPELIN, "TransparentUpgradeableProxy"), types, target, ALICE, b"")
    slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
    assert (await lockstep.call("eth_getStorageAt", proxy, slot, "latest"))[-40:] == target[2:]
    assert await lockstep.together()


async def test_a_safe_has_its_owners(lockstep: Lockstep, deployer: Deployer) -> None:
    single = await deployer.deploy(code_of(SAFE, "Safe"))
    factory = await deployer.deploy(code_of(SAFE, "SafeProxyFactory", "proxies/"))
    setup = call_data(
        "setup(address[],uint256,address,bytes,address,address,uint256,address)",
        *([ALICE, BOB], 2, NOBODY, b"", NOBODY, NOBODY, 0, NOBODY),
    )
    receipt = await deployer.send(factory, call_data("createProxyWithNonce(address,bytes,uint256)", single, setup, 0))
    safe = receipt["logs"][-1]["topics"][1][-40:]
    assert await deployer.ask(f"0x{safe}", ("address[]",), call_data("getOwners()")) == ((ALICE, BOB),)
    assert await lockstep.together()


async def test_pools_are_made_by_their_factories(lockstep: Lockstep, deployer: Deployer) -> None:
    code = code_of(OPENZEPPELIN, "ERC20PresetFixedSupply")
    types = ("string", "string", "uint256", "address")
    tokens = sorted([await deployer.deploy(code, types, name, name, 10**24, ALICE) for name in ("A", "B")])
    third = await deployer.deploy(code_of(UNISWAP_V3, "UniswapV3Factory"))
    second = await deployer.deploy(code_of(UNISWAP_V2, "UniswapV2Factory"), ("address",), ALICE)
    await deployer.send(third, call_data("createPool(address,address,uint24)", *tokens, 3000))
    await deployer.send(second, call_data("createPair(address,address)", *tokens))
    [pool] = await deployer.ask(third, ("address",), call_data("getPool(address,address,uint24)", *tokens, 3000))
    [pair] = await deployer.ask(second, ("address",), call_data("getPair(address,address)", *tokens))
    await deployer.send(pool, call_data("initialize(uint160)", 1 << 96))
    words = await deployer.ask(pool, ("uint160", "int24"), call_data("slot0()"))
    assert words == (1 << 96, 0)
    assert await deployer.ask(pair, ("address",), call_data("token0()")) == (tokens[0],)
    assert await lockstep.together()


def test_arguments_are_written_as_contracts_read_them() -> None:
    assert arguments(("uint256",), 1) == (1).to_bytes(32)
    assert call_data("transfer(address,uint256)", ALICE, 1).hex().startswith("a9059cbb")
    assert call_data("getOwners()").hex() == "a0e67e2b"
