"""`[[chain.contract]]`: a contract, or an account, that is watched."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from tocsin.config.amount import LARGEST_DECIMALS, AmountText, scaled
from tocsin.config.place import PlacedSlot, RoleId, Signature, role_id, selector, slot_of
from tocsin.config.table import Table
from tocsin.config.values import Address, Listed, Name, Word, choice
from tocsin.model.contract import (
    FUNCTIONS,
    OF_ACCOUNTS,
    STANDARD,
    Amount,
    Bounds,
    ContractSettings,
    Layout,
    Role,
    Watch,
)

_ADDRESS: Final = 20
_WORD: Final = 32
NATIVE_DECIMALS: Final = 18
"""Of ether, and of the native coins of nearly all chains that are made like Ethereum."""

PLACED: Final = (*STANDARD, *FUNCTIONS, Watch.ROLES)
"""What may lie in a slot whose place is configured."""

CALLED: Final = (Watch.IMPLEMENTATION, Watch.ADMIN, Watch.OWNER, Watch.PAUSED, Watch.PAUSER)
"""What another function than the usual one may tell."""

_NAMED: Final = [watch.value for watch in Watch if watch not in OF_ACCOUNTS]
_SIZES: Final[Mapping[Watch, int]] = {Watch.PAUSED: 1, Watch.ROLES: _WORD, Watch.SUPPLY: _WORD}
"""Bytes that a value takes; an address where it is not named."""

Watched = Annotated[str, choice(_NAMED)]
Decimals = Annotated[int, Field(ge=0, le=LARGEST_DECIMALS)]


class LayoutTable(Table):
    """Where in a contract's storage a value lies, or which function tells it."""

    slot: PlacedSlot | None = None
    """The slot: its number, 0x and 64 hex digits, or the name of a standard: eip1967, eip1822, zeppelinos, erc7201."""
    offset: Annotated[int, Field(ge=0, le=_WORD - 1)] = 0
    """How many bytes of the slot lie below the value: what is packed with others begins there."""
    function: Signature | None = None
    """The function that tells it, such as guardian(); it takes nothing and returns one value."""

    def layout(self, watch: Watch) -> Layout | None:
        """Return the place as the core has it, None where it has none."""
        return None if self.slot is None else Layout(slot=slot_of(watch, self.slot), offset=self.offset)


class RoleTable(Table):
    """A role of a contract (OpenZeppelin AccessControl)."""

    name: Name
    """What it is called in topics and alerts; unique within the contract."""
    role: RoleId
    """Its id: 0x and 64 hex digits, or the name whose hash it is, such as MINTER_ROLE; DEFAULT_ADMIN_ROLE is 0."""
    members: Annotated[tuple[Address, ...], Field(max_length=64), Listed] = ()
    """Who is to have it: each of them is asked for."""
    enumerable: bool = False
    """Whether the contract tells who has it (AccessControlEnumerable)."""

    def settings(self) -> Role:
        """Return it as the core has it."""
        members = tuple(dict.fromkeys(self.members))
        return Role(name=self.name, id=role_id(self.role), members=members, enumerable=self.enumerable)


class SupplyTable(Table):
    """What there may be of a token."""

    most: AmountText | None = Field(None, alias="max")
    """No more than this; beside it what `cap()` returns counts, where the token has that."""
    decimals: Decimals
    """How many digits of amounts lie behind the point; 0 for amounts in the smallest unit."""
    slot: PlacedSlot | None = None
    """Where the supply lies: then it is proven."""

    @model_validator(mode="after")
    def _consistent(self) -> "SupplyTable":
        scaled(self.most, self.decimals)
        return self

    def bounds(self) -> Bounds:
        """Return it as the core has it."""
        return Bounds(most=scaled(self.most, self.decimals), decimals=self.decimals)


class BalanceTable(Table):
    """What an account has of the native coin, or of a token, between limits."""

    name: Name
    """What it is called in topics and alerts; unique among the contract's balances."""
    token: Address | None = None
    """The contract of the token; without it, the native coin is meant."""
    decimals: Decimals | None = None
    """How many digits of amounts lie behind the point: 18 for the native coin; of a token to be said."""
    least: AmountText | None = Field(None, alias="min")
    """Less is an alert."""
    most: AmountText | None = Field(None, alias="max")
    """More is an alert."""
    slot: Word | None = None
    """The slot of the token's mapping of balances: then the balance is proven."""

    @model_validator(mode="after")
    def _consistent(self) -> "BalanceTable":
        if self.token is not None and self.decimals is None:
            raise ValueError("say how many decimals the token has; 0 where amounts are in its smallest unit")
        if self.token is None and self.slot is not None:
            raise ValueError("slot is of a token's mapping; the native coin has none: name the token, or take it out")
        bounds = self.bounds()
        if bounds.least and bounds.most and int(bounds.least) > int(bounds.most):
            raise ValueError("min is more than max")
        return self

    def bounds(self) -> Bounds:
        """Return the limits as the core has them."""
        decimals = NATIVE_DECIMALS if self.decimals is None else self.decimals
        return Bounds(least=scaled(self.least, decimals), most=scaled(self.most, decimals), decimals=decimals)

    def settings(self) -> Amount:
        """Return it as the core has it."""
        return Amount(name=self.name, bounds=self.bounds(), token=self.token or "", slot=self.slot or "")


class AllowanceTable(Table):
    """What a spender may take of a token from an account."""

    name: Name
    """What it is called in topics and alerts; unique among the contract's allowances."""
    token: Address
    """The contract of the token."""
    spender: Address
    """Who may take it."""
    decimals: Decimals
    """How many digits of amounts lie behind the point; 0 for amounts in the token's smallest unit."""
    most: AmountText = Field(alias="max")
    """More is an alert; "0" where there is to be no allowance."""
    slot: Word | None = None
    """The slot of the token's mapping of allowances: then the allowance is proven."""

    @model_validator(mode="after")
    def _consistent(self) -> "AllowanceTable":
        scaled(self.most, self.decimals)
        return self

    def settings(self) -> Amount:
        """Return it as the core has it."""
        bounds = Bounds(most=scaled(self.most, self.decimals), decimals=self.decimals)
        return Amount(name=self.name, bounds=bounds, token=self.token, spender=self.spender, slot=self.slot or "")


class ContractTable(Table):
    """A contract, or an account, that is watched: values are pinned once they are known, and a change is an alert."""

    name: Name
    """In topics and labels; unique within the chain."""
    address: Address
    """Where it is; with its checksum (EIP-55), or all in lower case."""
    watch: Annotated[tuple[Watched, ...], Listed] = ()
    """What of it: code, implementation, admin, beacon, beacon_implementation, owner, paused, pauser, roles, safe,
    supply."""
    implementation: LayoutTable | None = None
    """Where a proxy of another kind than EIP-1967 keeps its implementation."""
    admin: LayoutTable | None = None
    """The same of its admin."""
    beacon: LayoutTable | None = None
    """The same of its beacon."""
    beacon_implementation: LayoutTable | None = None
    """Where the beacon keeps the implementation: then it is proven. Without it, its `implementation()` is counted."""
    owner: LayoutTable | None = None
    """Where the owner lies: then it is proven. Without it, what `owner()` returns is counted."""
    paused: LayoutTable | None = None
    """Where the flag lies, a byte that is not 0 while it is paused. Without it, what `paused()` returns is counted."""
    pauser: LayoutTable | None = None
    """Where it lies who may pause it. Without it, what `pauser()` returns is counted."""
    roles: LayoutTable | None = None
    """The slot of the mapping of roles: then who has a role is proven. Without it, `hasRole()` is counted."""
    supply: SupplyTable | None = None
    """What there may be of a token."""
    role: Annotated[tuple[RoleTable, ...], Field(max_length=16), Listed] = ()
    """The roles that are watched by name."""
    balance: Annotated[tuple[BalanceTable, ...], Field(max_length=32), Listed] = ()
    """What it has."""
    allowance: Annotated[tuple[AllowanceTable, ...], Field(max_length=32), Listed] = ()
    """What others may take from it."""

    @model_validator(mode="after")
    def _consistent(self) -> "ContractTable":
        twice = sorted({name for name in self.watch if self.watch.count(name) > 1})
        if twice:
            raise ValueError(f"watch names {', '.join(twice)} twice")
        if not (self.watch or self.balance or self.allowance):
            raise ValueError("says nothing to be watched: write watch, [[chain.contract.balance]] or .allowance")
        self._placed()
        for key, watch in (("role", Watch.ROLES), ("supply", Watch.SUPPLY)):
            if getattr(self, key) and watch.value not in self.watch:
                raise ValueError(f"says what of its {watch.value}, and does not watch that; add {watch.value} to watch")
        _once("role", [one.name for one in self.role])
        _once("role", [role_id(one.role) for one in self.role], "id")
        _once("balance", [one.name for one in self.balance])
        _once("allowance", [one.name for one in self.allowance])
        return self

    def _placed(self) -> None:
        for watch in PLACED:
            layout: Any = getattr(self, watch.value)
            if not isinstance(layout, LayoutTable):
                continue
            if watch.value not in self.watch:
                raise ValueError(f"says where {watch.value} lies and does not watch it; add it to watch")
            if layout.slot is None and layout.function is None:
                known = "slot or function" if watch in CALLED else "slot"
                raise ValueError(f"{watch.value} is neither where it lies nor what tells it: write its {known}")
            if layout.function is not None and watch not in CALLED:
                raise ValueError(f"{watch.value} is told by no other function; write its slot, or leave the table out")
            size = _SIZES.get(watch, _ADDRESS)
            if layout.offset + size > _WORD:
                raise ValueError(f"{watch.value} has {size} bytes: its offset is at most {_WORD - size}")
            layout.layout(watch)

    def settings(self) -> ContractSettings:
        """Return it as the core has it."""
        tables: dict[Watch, Any] = {watch: getattr(self, watch.value) for watch in PLACED}
        placed = {watch: one for watch, one in tables.items() if isinstance(one, LayoutTable)}
        layouts = {watch.value: at for watch, one in placed.items() if (at := one.layout(watch)) is not None}
        if self.supply is not None and self.supply.slot is not None:
            layouts[Watch.SUPPLY.value] = Layout(slot=slot_of(Watch.SUPPLY, self.supply.slot))
        also = {Watch.BALANCE: self.balance, Watch.ALLOWANCE: self.allowance}
        return ContractSettings(
            name=self.name,
            address=self.address,
            watches=tuple(watch for watch in Watch if watch.value in self.watch or also.get(watch)),
            layouts=layouts,
            functions={watch.value: selector(one.function) for watch, one in placed.items() if one.function},
            roles=tuple(one.settings() for one in self.role),
            supply=None if self.supply is None else self.supply.bounds(),
            balances=tuple(one.settings() for one in self.balance),
            allowances=tuple(one.settings() for one in self.allowance),
        )


def _once(table: str, values: list[str], what: str = "name") -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"two {table} tables have the {what} {twice[0]}")
