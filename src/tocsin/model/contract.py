"""Contracts that are watched: what of each is looked at, what it is known to be, and what it was pinned to.

Everything is text, so that records and documents show it as it is: bytes as 0x-hex, addresses in lower case.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tocsin.model.alert import Grade, Json, Labels
from tocsin.model.block import BlockRef

CONTRACT: Final = "contract"
"""Of alerts about a contract."""


class Watch(StrEnum):
    """What of a contract may be looked at. Closed: stands in the configuration, in documents and in alerts."""

    CODE = "code"
    """The hash of its code."""
    IMPLEMENTATION = "implementation"
    """Where a proxy takes its code from (EIP-1967, or where it is configured to lie: EIP-1822)."""
    ADMIN = "admin"
    """Who may change that (EIP-1967)."""
    BEACON = "beacon"
    """Which beacon tells a proxy where to take its code from (EIP-1967)."""
    BEACON_IMPLEMENTATION = "beacon_implementation"
    """Where that beacon says that the code is: what its `implementation()` returns, or one of its slots."""
    OWNER = "owner"
    """Who owns it: a slot whose place is configured, and what `owner()` returns (EIP-173)."""
    PAUSED = "paused"
    """Whether it is paused: a slot whose place is configured, and what `paused()` returns (OpenZeppelin Pausable)."""
    PAUSER = "pauser"
    """Who may pause it: a slot whose place is configured, and what `pauser()` returns."""
    ROLES = "roles"
    """Who has which role (OpenZeppelin AccessControl), and who is given any."""
    SAFE = "safe"
    """Of a Safe: whose code it runs, its owners, threshold, modules, guards, fallback handler and nonce."""
    SUPPLY = "supply"
    """How much of a token there is, against its cap."""
    BALANCE = "balance"
    """What it has of the native coin or of tokens, against limits."""
    ALLOWANCE = "allowance"
    """What others may take from it of a token, against a limit."""


LEVELS: Final = (Watch.SUPPLY, Watch.BALANCE, Watch.ALLOWANCE)
"""What is held against limits that are configured, and is pinned to nothing: it moves in normal life."""

OF_ACCOUNTS: Final = (Watch.BALANCE, Watch.ALLOWANCE)
"""What accounts without code have as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a value lies: the slot (0x and 64 hex digits), and how many bytes above its lowest byte it begins."""

    slot: str
    offset: int = 0


STANDARD: Final[Mapping[Watch, Layout]] = {
    Watch.IMPLEMENTATION: Layout(slot="0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"),
    Watch.ADMIN: Layout(slot="0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103"),
    Watch.BEACON: Layout(slot="0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"),
}
"""Slots of EIP-1967: the hash of `eip1967.proxy.implementation`, `.admin` and `.beacon`, each less one."""

FUNCTIONS: Final[Mapping[Watch, str]] = {
    Watch.BEACON_IMPLEMENTATION: "0x5c60da1b",
    Watch.OWNER: "0x8da5cb5b",
    Watch.PAUSED: "0x5c975abb",
    Watch.PAUSER: "0x9fd0506d",
    Watch.SUPPLY: "0x18160ddd",
}
"""Selectors of `implementation()` (of a beacon), `owner()`, `paused()`, `pauser()` and `totalSupply()`."""

OTHERS: Final = "roles"
"""The value that names who has any role that is not configured: pairs of role and account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between what an amount has to lie, both ends allowed: in the smallest unit, as decimal text; empty for no bound.

    `decimals` says how many digits lie behind the point where people read it.
    """

    least: str = ""
    most: str = ""
    decimals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role: its id (0x and 64 hex digits), and of whom it is asked whether they have it.

    `enumerable`: the contract tells who has it (AccessControlEnumerable).
    """

    name: str
    id: str
    members: tuple[str, ...] = ()
    enumerable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """An amount that an account has, or that a spender may take from it. Without a token it is the native coin.

    `slot`: that of the mapping in which the token keeps it; empty where that is not known.
    """

    name: str
    bounds: Bounds
    token: str = ""
    spender: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSettings:
    """A contract (or an account) that is watched. `layouts` and `functions` are by the value of `Watch`."""

    name: str
    address: str
    watches: tuple[Watch, ...]
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    """Selectors of functions that are called in place of the usual ones."""
    roles: tuple[Role, ...] = ()
    supply: Bounds | None = None
    balances: tuple[Amount, ...] = ()
    allowances: tuple[Amount, ...] = ()

    def layout(self, watch: Watch) -> Layout | None:
        """Return where a watched value lies, None where it lies in no slot that is known."""
        standard = None if watch.value in self.functions else STANDARD.get(watch)
        return self.layouts.get(watch.value) or standard

    def function(self, watch: Watch) -> str | None:
        """Return the selector of what tells a watched value, None where no function does."""
        return self.functions.get(watch.value) or FUNCTIONS.get(watch)

    @property
    def is_contract(self) -> bool:
        """Whether it has to have code for what is watched of it."""
        return any(watch not in OF_ACCOUNTS for watch in self.watches)

    @property
    def parts(self) -> Mapping[str, str]:
        """The names of all values that are watched, in their order, each with what has to be the same for it to hold.

        A value is named by its watch, or by its watch and what of it: `balance.hot`.
        """
        found: dict[str, str] = {}
        for watch in self.watches:
            match watch:
                case Watch.ROLES:
                    found |= _of_roles(self.roles)
                case Watch.SAFE:
                    found |= {f"safe.{part.value}": "" for part in SafePart}
                case Watch.SUPPLY:
                    found |= {"supply": "", "supply.cap": ""}
                case Watch.BALANCE:
                    found |= {f"balance.{one.name}": f"{one.token} {one.slot}" for one in self.balances}
                case Watch.ALLOWANCE:
                    found |= {f"allowance.{one.name}": f"{one.token} {one.spender}" for one in self.allowances}
                case _:
                    found[watch.value] = ""
        return found

    def bounds(self, value: str) -> Bounds | None:
        """Return what a value is held against, None where that is no level."""
        if value == Watch.SUPPLY.value:
            return self.supply or Bounds()
        kind, _, name = value.partition(".")
        amounts = {"balance": self.balances, "allowance": self.allowances}.get(kind, ())
        return next((one.bounds for one in amounts if one.name == name), None)

    @property
    def identity(self) -> str:
        """What has to be the same for what is known of a contract to hold: where it is, and where its values lie."""
        places = [f"{name}={at.slot}+{at.offset}" for name, at in sorted(self.layouts.items())]
        calls = [f"{name}={selector}" for name, selector in sorted(self.functions.items())]
        return " ".join((self.address, *places, *calls))


class SafePart(StrEnum):
    """What is told of a Safe. Closed: stands in documents and in alerts."""

    SINGLETON = "singleton"
    """The contract whose code it runs: what it does with everything else is up to that."""
    OWNERS = "owners"
    THRESHOLD = "threshold"
    MODULES = "modules"
    """Contracts that may act for it without any signature."""
    GUARD = "guard"
    """What looks at each transaction before and after it is executed."""
    MODULE_GUARD = "module_guard"
    """The same for what modules do (since Safe 1.5)."""
    FALLBACK_HANDLER = "fallback_handler"
    """What answers calls that it knows nothing of, such as whether a signature is its own (EIP-1271)."""
    NONCE = "nonce"
    """How many transactions it has executed: rises in normal life."""


NONCE: Final = f"{Watch.SAFE.value}.{SafePart.NONCE.value}"


EMPTY: Final = "none"
"""The text of a list without members."""
UNREADABLE: Final = "unreadable"
"""The text of a value that is known to make no sense any more, such as a list of owners that has no end."""
_ADMIN: Final = ".admin"
_LISTS: Final = (f"{Watch.SAFE.value}.{SafePart.OWNERS.value}", f"{Watch.SAFE.value}.{SafePart.MODULES.value}")


def _of_roles(roles: tuple[Role, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in roles:
        asked = "enumerable" if one.enumerable else " ".join(sorted(one.members))
        found |= {f"roles.{one.name}": f"{one.id} {asked}", f"roles.{one.name}{_ADMIN}": one.id}
    return {**found, OTHERS: " ".join(sorted(one.id for one in roles))}


def watch_of(value: str) -> Watch:
    """Return what a named value is of."""
    return Watch(value.partition(".")[0])


def listed(text: str) -> tuple[str, ...]:
    """Return the members of a value that is a list."""
    return () if text == EMPTY else tuple(text.split(","))


def list_text(members: Iterable[str]) -> str:
    """Return a value that is a list: each member once, sorted, since order means nothing in any of them."""
    return ",".join(sorted(set(members))) or EMPTY


def is_list(value: str) -> bool:
    """Tell whether a named value is a list."""
    of_roles = watch_of(value) is Watch.ROLES and not value.endswith(_ADMIN)
    return of_roles or value in _LISTS


def is_other(value: str, baseline: str, now: str) -> bool:
    """Tell whether it is news that a value is no longer what it was pinned to.

    A Safe's nonce rises whenever it does anything; one that falls makes what was signed before good once more. A
    contract that was paused when it was pinned, and is not any more, does what others rely on.
    """
    if baseline == now:
        return False
    if value == NONCE:
        return not (baseline.isdigit() and now.isdigit()) or int(now) < int(baseline)
    return value != Watch.PAUSED.value or now == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A watched value, how it is known, and as of which block. `votes` of `groups` are 0 where it is proven."""

    value: str
    grade: Grade
    block: BlockRef
    votes: int = 0
    groups: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The value that a watched value is held against: as at first sight, or as a person (`by`) has accepted it."""

    value: str
    grade: Grade
    block: BlockRef
    by: str = ""
    why: str = ""
    is_final: bool = False
    """Whether its block is known to be final: until then it is pinned anew if that block is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is known of one contract. Mappings are by the names of its values, see `ContractSettings.parts`."""

    identity: str
    """Of the settings that it was read under."""
    latest: Mapping[str, Known] = field(default_factory=dict)
    baseline: Mapping[str, Pinned] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    """The values that were known at a block which was replaced, and are not known of the one in its place."""
    told: Mapping[str, Known] = field(default_factory=dict)
    """The values that alerts told of last, each with its block and grade as they were then: what an `ack` accepts."""
    told_ns: Mapping[str, int] = field(default_factory=dict)
    """Since when alerts tell that of these values, engine time."""
    kept: Mapping[str, Known] = field(default_factory=dict)
    """What an `ack` accepts in place of what was told of these values so lately that nobody may have read it."""
    samples: int = 0
    """How often it was read to the end."""
    block: BlockRef | None = None
    """The block of the newest such reading, even of one that told nothing."""
    read_ns: int | None = None
    """When that was, engine time."""
    audited: BlockRef | None = None
    """The finalized block at which nodes were last held against each other."""
    problem: str = ""
    """Why a value is not known, or not for sure."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Of its settings when it was read."""
    hints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was learnt of where to look next time: never a fact itself."""
    wrong: Mapping[str, Known] = field(default_factory=dict)
    """By the name of a value, in which words what is known contradicts the configuration."""


class Charge(StrEnum):
    """What a node is accused of. Closed: stands in snapshots."""

    PROOF = "proof"
    """A proof that does not lead to what it is said to prove."""
    VALUE = "value"
    """A result that is not what is proven, or what a quorum says, of the same block."""
    LOGS = "logs"
    """Logs of a block that are not those of its receipts."""
    RECEIPTS = "receipts"
    """Receipts of a block that do not hash to its root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accusation:
    """What a node was found to give wrong, twice in a row, of one contract at one block. Times are engine ns.

    What was wrong of logs or receipts was for an index: `contract` then names that.
    """

    contract: str
    block: BlockRef
    reason: str
    evidence: Json
    at_ns: int
    clean: int = 0
    """How many sound answers of that kind it has given since."""
    whole: bytes = b""
    """All of the evidence in canonical JSON where that is too long to travel; `evidence` is what travels of it then.

    As one piece it is there once, in this record, in the alert and in a snapshot: receipts of a block take megabytes.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractView:
    """One contract at one tick."""

    settings: ContractSettings
    labels: Labels
    seen: Watched
    is_current: bool
    """Whether it was read lately."""
