"""A pool over a simulated chain with state, whose contracts are watched; and nodes that lie about them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orjson import dumps, loads
from tests.support.pool import Answer, settings_for
from tests.support.ticking import Ticking

from tocsin.model.contract import FUNCTIONS, STANDARD, ContractSettings, Layout, Watch, Watched
from tocsin.model.observation import Fault
from tocsin.model.settings import Settings
from tocsin.testing import ChainSpec, SimNode
from tocsin.testing.simstate import Change, SimAccount, World, word

VAULT, TOKEN = bytes.fromhex("c0ffee" + "00" * 17), bytes.fromhex("70ca" + "00" * 18)
CODE, OTHER_CODE = bytes.fromhex("6001600255"), bytes.fromhex("6001600355")
TOKEN_CODE = bytes.fromhex("60016004")
ALICE, MALLORY = 0xA11CE, 0x3A110
OWNER_SLOT, PAUSED_SLOT = 5, 6
IMPLEMENTATION = int(STANDARD[Watch.IMPLEMENTATION].slot, 16)

PROXY = ContractSettings(
    name="vault",
    address=f"0x{VAULT.hex()}",
    watches=(Watch.CODE, Watch.IMPLEMENTATION, Watch.OWNER),
    layouts={"owner": Layout(slot=f"0x{OWNER_SLOT:064x}")},
)
PLAIN = ContractSettings(name="token", address=f"0x{TOKEN.hex()}", watches=(Watch.OWNER, Watch.PAUSED))
"""All that is watched of it is what its functions return."""


def world() -> World:
    vault = SimAccount(code=CODE, slots={IMPLEMENTATION: 0x111, OWNER_SLOT: ALICE})
    token = SimAccount(code=TOKEN_CODE, slots={OWNER_SLOT: ALICE})
    others = {bytes([at]) * 20: SimAccount(balance=at) for at in range(1, 9)}
    return World({VAULT: vault, TOKEN: token, **others})


def _program(seen: World, to: bytes, data: bytes) -> bytes:
    slot = {FUNCTIONS[Watch.OWNER]: OWNER_SLOT, FUNCTIONS[Watch.PAUSED]: PAUSED_SLOT}[f"0x{data.hex()}"]
    return word(seen.account(to).slots.get(slot, 0))


def watching(
    providers: Sequence[str] = ("self", "b", "c"),
    contracts: tuple[ContractSettings, ...] = (PROXY, PLAIN),
    **more: object,
) -> Settings:
    settings = settings_for(providers, **more)  # type: ignore[arg-type]  # the same keywords
    return replace(settings, chains=(replace(settings.chains[0], contracts=contracts),))


class StatePool(Ticking):
    """`Ticking` over a chain with the two contracts."""

    def __init__(self, settings: Settings | None = None, **more: Any) -> None:
        spec = more.pop("spec", None) or ChainSpec(history=200, world=world())
        super().__init__(settings or watching(), spec=spec, **more)
        for code in (CODE, OTHER_CODE, TOKEN_CODE):
            self.chain.programs[code] = _program

    def write(self, address: bytes, slot: int, value: int) -> None:
        self.chain.send(Change(slots={(address, slot): value}))

    def seen(self, name: str = "vault") -> Watched:
        return self.state.chains["sim"].contracts.watched[name]

    def values(self, name: str = "vault") -> dict[str, tuple[str, str]]:
        """Each watched value, and how it is known."""
        return {watch: (known.value, known.grade.value) for watch, known in self.seen(name).latest.items()}


Lie = Callable[[Any], Any]


def lying(method: str, lie: Lie, wanted: Callable[[list[Any]], bool] = lambda _: True) -> Answer:
    """Return the answers of a node that gives something else for calls of one method."""

    def answer(node: SimNode, request: bytes) -> bytes | Fault:
        asked, said = loads(request), loads(node.answer(request))
        calls, answers = (asked, said) if isinstance(asked, list) else ([asked], [said])
        meant = {one["id"] for one in calls if one["method"] == method and wanted(one["params"])}
        changed = [
            {**one, "result": lie(one["result"])} if one["id"] in meant and "result" in one else one for one in answers
        ]
        return dumps(changed if isinstance(asked, list) else changed[0])

    return answer


def about(address: bytes) -> Callable[[list[Any]], bool]:
    """Whether a call is about a contract."""

    def wanted(params: list[Any]) -> bool:
        first = params[0]
        return (first.get("to") if isinstance(first, Mapping) else first) == f"0x{address.hex()}"

    return wanted


def swapped(value: int) -> Lie:
    """Say that the first slot of a proof holds something else."""

    def lie(result: Any) -> Any:
        first, *rest = result["storageProof"]
        return {**result, "storageProof": [{**first, "value": hex(value)}, *rest]}

    return lie
