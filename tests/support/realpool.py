"""Two anvils in lockstep with published contracts, as nodes of several providers behind faults, in virtual time.

The engine sees what real nodes answer, and no time passes but that of the chain: one case takes a fraction of a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.support.anvil import Lockstep, running_lockstep
from tests.support.artifacts import OPENZEPPELIN, SAFE, UNISWAP_V3, Deployer, call_data, code_of
from tests.support.feedcode import FEED, creation
from tests.support.pool import settings_for
from tests.support.ticking import Ticking

from tocsin.chain.keccak import keccak256
from tocsin.clock import NS
from tocsin.model.contract import Amount, Bounds, ContractSettings, Layout, Role, Watch
from tocsin.model.effect import StateChanged
from tocsin.model.feed import FeedSettings
from tocsin.model.observation import Fault, FaultKind, Part
from tocsin.model.settings import Settings
from tocsin.testing.exchange import Manner, Upstream
from tocsin.testing.upstream import HttpUpstream
from tocsin.testing.virtualnode import VirtualNode
from tocsin.wire.jsonrpc import encode, split

CHAIN_ID: Final = 31337
SLOT_S: Final = 12
POLL_S: Final = 4
BLOCK_AND_A_POLL: Final = SLOT_S // POLL_S + 1

ALICE, BOB = f"0x{0xA11CE:040x}", f"0x{0xB0B:040x}"
_NOBODY = f"0x{0:040x}"
_DAY_NS: Final = 24 * 3600 * NS
_OK = 200


@dataclass(frozen=True)
class Doing:
    """A transaction that changes something that is watched. Without a sender it is the one who deployed it."""

    to: str
    data: bytes
    sender: str = ""
    value: int = 0


@dataclass(frozen=True)
class Placed:
    """What was put on a chain to be watched, and what changes it."""

    contracts: tuple[ContractSettings, ...] = ()
    feeds: tuple[FeedSettings, ...] = ()
    doings: tuple[Doing, ...] = ()


def _slot(number: int) -> Layout:
    return Layout(slot=f"0x{number:064x}")


async def deployed(pair: Lockstep) -> tuple[ContractSettings, ...]:
    """Put a token, proxies of three kinds, a Safe and a Uniswap pool on the chain, and say what is watched of them."""
    at = Deployer(pair)
    token = await at.deploy(code_of(OPENZEPPELIN, "ERC20PresetMinterPauser"), ("string", "string"), "Token", "TKN")
    admin = await at.deploy(code_of(OPENZEPPELIN, "ProxyAdmin"))
    types = ("address", "address", "bytes")
    proxy = await at.deploy(code_of(OPENZEPPELIN, "TransparentUpgradeableProxy"), types, token, admin, b"")
    beacon = await at.deploy(code_of(OPENZEPPELIN, "UpgradeableBeacon"), ("address",), token)
    behind = await at.deploy(code_of(OPENZEPPELIN, "BeaconProxy"), ("address", "bytes"), beacon, b"")
    factory = await at.deploy(code_of(UNISWAP_V3, "UniswapV3Factory"))
    await at.send(factory, call_data("createPool(address,address,uint24)", *sorted([token, proxy]), 3000))
    [pool] = await at.ask(
        factory, ("address",), call_data("getPool(address,address,uint24)", *sorted([token, proxy]), 3000)
    )
    single = await at.deploy(code_of(SAFE, "Safe"))
    makers = await at.deploy(code_of(SAFE, "SafeProxyFactory", "proxies/"))
    setup = call_data(
        "setup(address[],uint256,address,bytes,address,address,uint256,address)",
        *([at.sender, ALICE, BOB], 1, _NOBODY, b"", _NOBODY, _NOBODY, 0, _NOBODY),
    )
    made = await at.send(makers, call_data("createProxyWithNonce(address,bytes,uint256)", single, setup, 0))
    safe = f"0x{made['logs'][-1]['topics'][1][-40:]}"
    return (
        ContractSettings(
            name="token",
            address=token,
            watches=(Watch.CODE, Watch.PAUSED, Watch.ROLES),
            roles=(Role(name="minter", id=role_of("MINTER"), enumerable=True),),
        ),
        ContractSettings(name="admin", address=admin, watches=(Watch.CODE, Watch.OWNER), layouts={"owner": _slot(0)}),
        ContractSettings(name="proxy", address=proxy, watches=(Watch.CODE, Watch.IMPLEMENTATION, Watch.ADMIN)),
        ContractSettings(
            name="beacon",
            address=beacon,
            watches=(Watch.IMPLEMENTATION, Watch.OWNER),
            layouts={"implementation": _slot(1)},
        ),
        ContractSettings(name="behind", address=behind, watches=(Watch.BEACON, Watch.BEACON_IMPLEMENTATION)),
        ContractSettings(
            name="factory", address=factory, watches=(Watch.CODE, Watch.OWNER), layouts={"owner": _slot(3)}
        ),
        ContractSettings(name="pool", address=pool, watches=(Watch.CODE,)),
        ContractSettings(name="safe", address=safe, watches=(Watch.CODE, Watch.SAFE)),
        ContractSettings(
            name="wallet",
            address=(await pair.call("eth_accounts"))[1].lower(),
            watches=(Watch.BALANCE,),
            balances=(Amount(name="eth", bounds=Bounds(decimals=18)),),
        ),
    )


def role_of(name: str) -> str:
    """Return the id of a role as OpenZeppelin's contracts name theirs."""
    return f"0x{keccak256(f'{name}_ROLE'.encode()).hex()}"


def granted(verb: str, role: str, account: str) -> bytes:
    """Return the input of a call that gives a role, or takes it back; `verb` is `grant` or `revoke`."""
    return call_data(f"{verb}Role(bytes32,address)", bytes.fromhex(role_of(role)[2:]), account)


def configured(contracts: Sequence[ContractSettings]) -> str:
    """Return the tables of a configuration that watches these, but for amounts; roles are those that are enumerable."""
    tables = []
    for one in (one for one in contracts if not one.balances):
        watch = ", ".join(f'"{watch.value}"' for watch in one.watches)
        places = [f'{name} = {{ slot = "{at.slot}", offset = {at.offset} }}' for name, at in one.layouts.items()]
        lines = [f'name = "{one.name}"', f'address = "{one.address}"', f"watch = [{watch}]", *places]
        roles = [
            f'[[chain.contract.role]]\nname = "{role.name}"\nrole = "{role.id}"\nenumerable = true'
            for role in one.roles
        ]
        tables.append("\n".join(("[[chain.contract]]", *lines, *roles)))
    return "\n".join(tables)


async def priced(pair: Lockstep, answer: int = 2000 * 10**8) -> FeedSettings:
    """Put a feed on the chain, with one answer, and say how it is read."""
    at = Deployer(pair)
    address = await at.deploy(creation(FEED))
    await at.send(address, call_data("answer(int256)", answer))
    return FeedSettings(name="eth-usd", address=address, prices="eth/usd", provider="chainlink", heartbeat_ns=_DAY_NS)


async def usual(pair: Lockstep) -> Placed:
    """Put what most cases watch on the chain."""
    return Placed(contracts=await deployed(pair), feeds=(await priced(pair),))


class RealPool(Ticking):
    """`Ticking` whose nodes are virtual ones before anvils. A block comes every slot, to all of them."""

    placed = Placed()

    def __init__(
        self, runner: asyncio.Runner, pair: Lockstep, settings: Settings, upstreams: Sequence[Upstream]
    ) -> None:
        self._runner = runner
        self.pair = pair
        names = [node.name for node in settings.chains[0].nodes]
        self.virtual = {name: VirtualNode(name, at, seed=1) for name, at in zip(names, upstreams, strict=True)}
        self.mine: Callable[[], Any] = lambda: pair.mine(apart_s=SLOT_S)
        """What makes the next block; it comes when the time of the newest one and a slot has passed."""
        self.before_polls: Callable[[], Any] | None = None
        self.due_s = self.run(self._head_s()) + SLOT_S
        super().__init__(settings, keep_events=True)

    def build(self) -> None:
        """Begin where the chain stands."""
        self.clock.advance(s=max(0, self.due_s - SLOT_S - self.clock.wall_ns() // NS))
        self.nodes = dict.fromkeys(self.virtual)  # type: ignore[arg-type]  # they are not simulated

    def run(self, work: Any) -> Any:
        """Do something that takes real time."""
        return self._runner.run(work)

    async def _head_s(self) -> int:
        return int((await self.pair.left.block())["timestamp"], 16)

    def round(self) -> None:
        """One poll interval, and the blocks that come in it."""
        while self.clock.wall_ns() // NS >= self.due_s:
            self.run(self._mined())
        if self.before_polls is not None:
            self.run(self.before_polls())
        super().round()

    async def _mined(self) -> None:
        await self.mine()
        self.due_s += SLOT_S

    def asked_of(self, name: str, *calls: str) -> tuple[Part, ...]:
        """Ask a node beside the polls, and return what it answers."""
        got = self._ask(name, calls)
        assert isinstance(got, tuple), got
        return got

    def _ask(self, name: str, calls: tuple[str, ...]) -> object:
        reply = self.run(self.virtual[name].exchange(encode(calls, batch=True)))
        if reply.manner is not Manner.PLAIN or reply.status != _OK:
            return Fault(kind=FaultKind.TIMEOUT, detail="x")
        return split(reply.body, calls)

    # -- what is known

    def values(self) -> dict[str, dict[str, str]]:
        """Return each watched value of each contract."""
        seen = self.state.chains["sim"].contracts.watched
        return {name: {watch: known.value for watch, known in one.latest.items()} for name, one in seen.items()}

    def told(self) -> list[StateChanged]:
        """Return what was published of contracts."""
        return [one for one in self.effects if isinstance(one, StateChanged) and one.kind == "contract"]


def real_settings(
    contracts: tuple[ContractSettings, ...],
    feeds: tuple[FeedSettings, ...],
    providers: Sequence[str],
    *,
    poll_s: float = POLL_S,
    tick_s: int = 1,
) -> Settings:
    """Return settings for nodes n0, n1, ... of these providers on the anvils' chain."""
    settings = settings_for(providers, slot_s=SLOT_S, poll_s=poll_s)
    chain = replace(settings.chains[0], id=CHAIN_ID, contracts=contracts, feeds=feeds, tick_ns=tick_s * NS)
    # The same nodes are made to lie again and again; that they flap is not what it is about.
    return replace(settings, chains=(chain,), alerts=replace(settings.alerts, flap_transitions=0))


@contextmanager
def real_pool(
    binary: str,
    providers: Sequence[str] = ("self", "b", "c", "d"),
    *,
    poll_s: float = POLL_S,
    tick_s: int = 1,
    put: Callable[[Lockstep], Awaitable[Placed]] = usual,
) -> Iterator[RealPool]:
    """Run a pool whose even nodes have the left anvil behind them, the odd ones the right one.

    It watches what `put` puts on the chain.
    """
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        sides: list[HttpUpstream] = []
        try:
            pair = runner.run(stack.enter_async_context(running_lockstep(binary)))
            placed = runner.run(_placed(pair, put))
            sides += [HttpUpstream((pair.left, pair.right)[at % 2].url) for at in range(len(providers))]
            settings = real_settings(placed.contracts, placed.feeds, providers, poll_s=poll_s, tick_s=tick_s)
            pool = RealPool(runner, pair, settings, sides)
            pool.placed = placed
            yield pool
        finally:
            for side in sides:
                runner.run(side.close())
            runner.run(stack.aclose())


async def _placed(pair: Lockstep, put: Callable[[Lockstep], Awaitable[Placed]]) -> Placed:
    return await put(pair)
