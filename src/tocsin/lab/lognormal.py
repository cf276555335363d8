"""Fitting a lognormal distribution to times of which only intervals are known: by maximum likelihood, by hand.

A poll tells that a block came after the poll before and not after this one. To take the middle of each interval would
make fast nodes look slower and all of them look more regular than they are; the likelihood of the intervals themselves
has no such bias. Source: Lindsey & Ryan, "Methods for interval-censored data", Statistics in Medicine 17 (1998).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Interval = tuple[float, float]
"""Seconds: after the first and not after the second, which is above 0."""

_STEPS: Final = 60
_CLOSE: Final = 1e-9
_TINY: Final = 1e-300
_Z95: Final = 1.959963984540054
_SPREAD: Final = (0.01, 5.0)
"""A sigma below is one that polls cannot tell from 0; one above is no import delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lognormal:
    """The fit. Median in seconds with its 95 % interval; `sigma` is that of the logarithm, with its standard error."""

    count: int
    median_s: float
    low_s: float
    high_s: float
    sigma: float
    sigma_error: float
    log_likelihood: float


def fit(intervals: Sequence[Interval]) -> Lognormal | None:
    """Return the most likely lognormal; None for fewer than two intervals, of which nothing can be learnt.

    Raises ValueError for an interval that is none.
    """
    if any(not low < high or high <= 0 for low, high in intervals):
        raise ValueError("an interval ends above 0 and after it begins")
    if len(intervals) < 2:  # noqa: PLR2004 - two parameters
        return None
    logs = [(math.log(low) if low > 0 else -math.inf, math.log(high)) for low, high in intervals]
    mu, log_sigma = _start(logs)
    likelihood, gradient, information = _look(logs, mu, log_sigma)
    for _ in range(_STEPS):
        step = _solved(information, gradient)
        scale, better = 1.0, None
        while scale > _CLOSE:
            # Newton's step with the scores' own products as information (BHHH), halved until it climbs.
            tried = mu + scale * step[0], _bounded(log_sigma + scale * step[1])
            found = _look(logs, *tried)
            if found[0] > likelihood:
                better = tried, found
                break
            scale /= 2
        if better is None or better[1][0] - likelihood < _CLOSE:
            break
        (mu, log_sigma), (likelihood, gradient, information) = better
    return _described(len(logs), mu, log_sigma, likelihood, information)


def _described(count: int, mu: float, log_sigma: float, likelihood: float, information: "Information") -> Lognormal:
    first, mixed, second = information
    determinant = max(first * second - mixed * mixed, _TINY)
    mu_error, log_error = math.sqrt(max(0.0, second / determinant)), math.sqrt(max(0.0, first / determinant))
    return Lognormal(
        count=count,
        median_s=math.exp(mu),
        low_s=math.exp(mu - _Z95 * mu_error),
        high_s=math.exp(mu + _Z95 * mu_error),
        sigma=math.exp(log_sigma),
        sigma_error=math.exp(log_sigma) * log_error,
        log_likelihood=likelihood,
    )


Information = tuple[float, float, float]
"""The products of the scores, summed: of mu, of both, of log sigma."""


def _start(logs: Sequence[Interval]) -> Interval:
    """Begin with the middles, which are near enough to climb from."""
    middles = [(high + (low if low > -math.inf else high - 1.0)) / 2 for low, high in logs]
    mu = sum(middles) / len(middles)
    variance = sum((middle - mu) ** 2 for middle in middles) / len(middles)
    return mu, _bounded(math.log(max(math.sqrt(variance), _SPREAD[0])))


def _bounded(log_sigma: float) -> float:
    return min(max(log_sigma, math.log(_SPREAD[0])), math.log(_SPREAD[1]))


def _look(logs: Sequence[Interval], mu: float, log_sigma: float) -> tuple[float, Interval, Information]:
    """Return log likelihood, its gradient in mu and log sigma, and the information."""
    sigma = math.exp(log_sigma)
    total = by_mu = by_sigma = first = mixed = second = 0.0
    for low, high in logs:
        below, above = (low - mu) / sigma, (high - mu) / sigma
        chance = max(_between(below, above), _TINY)
        density_below = _density(below)
        density_above = _density(above)
        score_mu = (density_below - density_above) / (chance * sigma)
        score_sigma = ((below * density_below if density_below else 0.0) - above * density_above) / chance
        total += math.log(chance)
        by_mu += score_mu
        by_sigma += score_sigma
        first += score_mu * score_mu
        mixed += score_mu * score_sigma
        second += score_sigma * score_sigma
    return total, (by_mu, by_sigma), (first, mixed, second)


def _between(below: float, above: float) -> float:
    """Return the normal probability of an interval, counted from the nearer tail so that it does not cancel out."""
    root = math.sqrt(2)
    if below > 0:
        return (math.erfc(below / root) - math.erfc(above / root)) / 2
    return (math.erfc(-above / root) - math.erfc(-below / root)) / 2


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) if math.isfinite(z) else 0.0


def _solved(information: Information, gradient: Interval) -> Interval:
    """Solve the two equations; a little weight on the diagonal keeps a flat direction from leading astray."""
    first, mixed, second = information
    first, second = first * (1 + _CLOSE) + _CLOSE, second * (1 + _CLOSE) + _CLOSE
    determinant = first * second - mixed * mixed
    if determinant <= 0:
        return gradient[0] / first, gradient[1] / second
    return (
        (second * gradient[0] - mixed * gradient[1]) / determinant,
        (first * gradient[1] - mixed * gradient[0]) / determinant,
    )
