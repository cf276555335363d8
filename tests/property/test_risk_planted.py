"""Accounts within a few quanta of the line, with the rounding of real protocols: floats are wrong, no flag is."""

import pytest
from benchmarks._planted import ROUNDINGS, Rounding, judged, planted
from tests.support.kernels import KERNELS

from tocsin.risk.kernel import Kernel
from tocsin.risk.plain import PLAIN

BY_EACH = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
RULES = pytest.mark.parametrize("rounding", ROUNDINGS, ids=lambda rounding: rounding.name)


@BY_EACH
@RULES
def test_no_flag_is_wrong_near_the_line(rounding: Rounding, kernel: Kernel) -> None:
    found = judged(planted(rounding, 700, seed=7), kernel)
    assert found.rows == 700
    assert found.wrong == 0
    assert found.in_band > 200
    assert found.rows - found.in_band > 40
    assert found.float_wrong > 20


@RULES
def test_without_its_steps_the_band_would_not_hold(rounding: Rounding) -> None:
    made = planted(rounding, 700, seed=7)
    factors = made.factors
    bare = {"collateral_step": 0 * factors.collateral_step, "debt_step": 0 * factors.debt_step}
    bare |= {"constant": 0.0, "raw_share": 0.0}
    stripped = type(factors)(**{name: bare.get(name, getattr(factors, name)) for name in type(factors).__slots__})
    assert judged(type(made)(book=made.book, factors=stripped, assets=made.assets, rounding=rounding), PLAIN).wrong > 5


@pytest.mark.slow
@BY_EACH
@RULES
def test_no_flag_of_a_hundred_thousand_is_wrong(rounding: Rounding, kernel: Kernel) -> None:
    found = judged(planted(rounding, 100_000, seed=11), kernel)
    print(f"\n{rounding.name} by {kernel.name}: {found}")  # noqa: T201 - the share of floats belongs into the report
    assert found.wrong == 0
    assert found.float_wrong > 1000
