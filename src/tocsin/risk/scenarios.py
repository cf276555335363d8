"""Prices as they might be: multiples of today's, by asset, cut into blocks for kernels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from tocsin.risk.amounts import Floats
from tocsin.risk.factors import Factors

LEAF: Final = 16
"""Scenarios that are bounded together and, where bounds leave it open, valued together: as many as registers hold."""
LEAVES: Final = 16
"""Leaves that are bounded in one go."""
LANES: Final = LEAF * LEAVES
"""Scenarios in a block: three tables of fifty columns are then 300 kB, and stay in the second cache."""
_MOST_MULTIPLE: Final = 2.0**60


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenarios:
    """Multiples of prices, shape (scenarios, assets), with assets as `Factors` has them; what stands still has 1."""

    multiples: Floats
    assets: tuple[str, ...]

    def __post_init__(self) -> None:
        multiples = np.ascontiguousarray(self.multiples, dtype=np.float64)
        if multiples.ndim != 2 or multiples.shape[1] != len(self.assets):  # noqa: PLR2004 - scenarios by assets
            raise ValueError(f"multiples of shape {multiples.shape} for {len(self.assets)} assets")
        if not ((multiples >= 0) & (multiples <= _MOST_MULTIPLE)).all():
            raise ValueError(f"a multiple of a price is not within 0 and {_MOST_MULTIPLE:.0e}")
        if multiples is self.multiples:
            multiples = multiples.copy()
        multiples.setflags(write=False)
        object.__setattr__(self, "multiples", multiples)

    def __len__(self) -> int:
        return len(self.multiples)

    @classmethod
    def of(cls, factors: Factors, shocks: Sequence[Mapping[str, float]]) -> "Scenarios":
        """Make scenarios of multiples by asset name. Raises ValueError for a name that no column has."""
        places = {asset: at for at, asset in enumerate(factors.assets)}
        multiples = np.ones((len(shocks), len(places)))
        for row, shock in zip(multiples, shocks, strict=True):
            for asset, multiple in shock.items():
                if asset not in places:
                    raise ValueError(f"no column is of the asset {asset!r}; there are {', '.join(factors.assets)}")
                row[places[asset]] = multiple
        return cls(multiples=multiples, assets=factors.assets)

    def part(self, begin: int, end: int) -> "Scenarios":
        """Return the scenarios from one place up to another."""
        return Scenarios(multiples=self.multiples[begin:end], assets=self.assets)

    @cached_property
    def scale(self) -> Floats:
        """Return by how much the band grows in each scenario: by as much as the price that grows most, if one does."""
        scale: Floats = self.multiples.max(axis=1, initial=1.0)
        return scale


Bounds = tuple[Floats, Floats]
"""Lowest and highest factors in each leaf, shape (columns, leaves)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Scenarios that are computed at once, in leaves of `LEAF`; the last may be shorter. Factors: (columns, lanes)."""

    places: npt.NDArray[np.intp]
    """Which scenarios these are."""
    collateral: Floats
    raw: Floats
    debt: Floats
    scale: Floats

    @property
    def lanes(self) -> int:
        """Return the number of scenarios."""
        return len(self.places)

    @cached_property
    def collateral_bounds(self) -> Bounds:
        return _bounds(self.collateral)

    @cached_property
    def raw_bounds(self) -> Bounds:
        return _bounds(self.raw)

    @cached_property
    def debt_bounds(self) -> Bounds:
        return _bounds(self.debt)

    @cached_property
    def leaf_scale(self) -> Floats:
        """Return the largest scale of each leaf."""
        return np.maximum.reduceat(self.scale, _leaves(self.scale))


def _bounds(factors: Floats) -> Bounds:
    leaves = _leaves(factors)
    return np.minimum.reduceat(factors, leaves, axis=1), np.maximum.reduceat(factors, leaves, axis=1)


def _leaves(lanes: Floats) -> npt.NDArray[np.intp]:
    return np.arange(0, lanes.shape[-1], LEAF)


def padded(block: Block) -> Block:
    """Return a block of all lanes and leaves, the last scenario again and again behind the others."""
    if block.lanes == LANES:
        return block
    lane = np.minimum(np.arange(LANES), block.lanes - 1)
    return Block(
        places=block.places,
        collateral=np.ascontiguousarray(block.collateral[:, lane]),
        raw=np.ascontiguousarray(block.raw[:, lane]),
        debt=np.ascontiguousarray(block.debt[:, lane]),
        scale=block.scale[lane],
    )


def cut_up(order: npt.NDArray[np.intp], lanes: int = LANES) -> list[npt.NDArray[np.intp]]:
    """Cut scenarios in this order into the places of blocks. Raises ValueError for more lanes than `LANES`."""
    if not 1 <= lanes <= LANES:
        raise ValueError(f"{lanes} scenarios in a block, and there can be {LANES}")
    return [order[begin : begin + lanes] for begin in range(0, len(order), lanes)]


def block_of(factors: Factors, scenarios: Scenarios, places: npt.NDArray[np.intp]) -> Block:
    """Return some scenarios of the factors' assets as a block."""
    return _block(factors, scenarios.multiples[places], places, scenarios.scale[places])


def whole(factors: Factors, scenarios: Scenarios) -> Block:
    """Return all scenarios as one block, for few accounts and columns; kernels take no more than `LANES` at once."""
    return _block(factors, scenarios.multiples, np.arange(len(scenarios)), scenarios.scale)


def _block(factors: Factors, multiples: Floats, places: npt.NDArray[np.intp], scale: Floats) -> Block:
    by_column = np.ascontiguousarray(multiples[:, factors.asset].T)
    collateral, raw, debt = (by_column * one[:, None] for one in (factors.collateral, factors.raw, factors.debt))
    return Block(places=places, collateral=collateral, raw=raw, debt=debt, scale=scale)
