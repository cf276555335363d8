"""The pools that the figures are measured on, and how their nodes behave when they are well.

Import delays are lognormal with medians of 1.2 to 3.0 s and sigmas of 0.35 to 0.8: assumed, not measured. Fit your own
with `tocsin calibrate arrivals`.
"""

from typing import Final

from tocsin.clock import MS, NS
from tocsin.lab.detection.watch import Member
from tocsin.testing.simstream import StreamNode

_CLIENTS: Final = (
    ("geth", "Geth/v1.17.1-stable-0cf5c6b1/linux-amd64/go1.25.1"),
    ("besu", "besu/v26.6.0/linux-x86_64/openjdk-java-25"),
    ("nethermind", "Nethermind/v1.37.0+5e8f0b5d/linux-x64/dotnet10.0.0"),
    ("reth", "reth/v1.11.0-1a2b3c4/x86_64-unknown-linux-gnu"),
    ("erigon", "erigon/3.4.0/linux-amd64/go1.25.1"),
)
_OWN: Final = ((1_200, 0.35), (1_400, 0.4), (1_600, 0.45), (1_800, 0.5))
_FAR: Final = ((1_800, 0.5), (2_200, 0.6), (2_600, 0.7), (3_000, 0.8))
"""Medians in milliseconds, and sigmas."""

ARRIVALS: Final = {
    "distribution": "lognormal",
    "own_median_s_sigma": [[median / 1_000, sigma] for median, sigma in _OWN],
    "provider_median_s_sigma": [[median / 1_000, sigma] for median, sigma in _FAR],
    "measured": False,
}
"""For the figures' JSON: what they were measured with."""


def own(at: int, *, provider: str = "self", errors: float = 0.0) -> Member:
    """Return the own node of this number: next door, well connected, each of another client than the one before."""
    median, sigma = _OWN[at % len(_OWN)]
    client, version = _CLIENTS[at % len(_CLIENTS)]
    node = StreamNode(
        name=f"own{at}",
        median_ns=median * MS,
        sigma=sigma,
        answer_ns=3 * MS,
        answer_sigma=0.3,
        errors=errors,
        version=version,
        peers=50,
    )
    return Member(node=node, own=True, provider=provider, client=client)


def far(at: int, provider: str, *, errors: float = 0.0, skewed: float = 0.0) -> Member:
    """Return a provider's node: farther away, slower to answer, and slower to have a block."""
    median, sigma = _FAR[at % len(_FAR)]
    client, version = _CLIENTS[(at + 2) % len(_CLIENTS)]
    node = StreamNode(
        name=f"far{at}",
        median_ns=median * MS,
        sigma=sigma,
        answer_ns=80 * MS,
        answer_sigma=0.6,
        errors=errors,
        skewed=skewed,
        version=version,
    )
    return Member(node=node, own=False, provider=provider, client=client)


def small() -> tuple[Member, ...]:
    """Three groups: two own nodes and two providers."""
    return own(0), own(1), far(0, "alpha"), far(1, "beta")


def pair() -> tuple[Member, ...]:
    """Two groups, the least that a quorum takes."""
    return own(0), far(0, "alpha")


def middling() -> tuple[Member, ...]:
    """Five groups, one of them a provider with two nodes."""
    return own(0), own(1), far(0, "alpha"), far(1, "alpha"), far(2, "beta"), far(3, "gamma"), far(4, "delta")


NOISY_ERRORS: Final = 0.002
NOISY_SKEW: Final = 0.05


def noisy() -> tuple[Member, ...]:
    """Return the pool of the false-alarm figures: twelve own nodes, four providers of three, one of them a balancer."""
    owned = tuple(own(at, errors=0.0001) for at in range(12))
    names = ("alpha", "beta", "gamma", "delta")
    provided = tuple(
        far(at, names[at // 3], errors=NOISY_ERRORS, skewed=NOISY_SKEW if at == _BALANCER else 0.0) for at in range(12)
    )
    return (*owned, *provided)


_BALANCER: Final = 4
POLL_S: Final = 2
SLOT_S: Final = 12
MINUTE: Final = 60 * NS
DAY: Final = 86_400 * NS
