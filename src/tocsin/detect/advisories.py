"""Published defects of clients, by the versions that have them. Data: one entry a defect, each with its source.

An entry needs a source that anybody can read and that names the versions. `since` keeps forks out that reuse a client's
name with lower numbers of their own (BNB's geth counts 1.0 to 1.7). How to add one: docs/detectors/node.vulnerable.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from tocsin.detect.clients import Client, client_of, is_older, version_of


class Harm(StrEnum):
    """What a defect does."""

    CONSENSUS = "consensus"
    """The node may leave the chain, stand still on it, or hold a wrong state."""
    CRASH = "crash"
    """Somebody can take the node down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One defect: versions from `since` on, `before` the one that has the fix."""

    id: str
    client: str
    since: str
    before: str
    source: str
    harm: Harm = Harm.CONSENSUS
    fixed_builds: tuple[str, ...] = ()
    """Builds in between that have the fix, such as `23.10.3-hotfix`."""
    chains: tuple[int, ...] = ()
    """EIP-155 ids of the chains where it matters; empty for all."""

    def __post_init__(self) -> None:
        for text in (self.since, self.before):
            try:
                version_of(text)
            except ValueError:
                raise ValueError(f"{text!r} is no version; write it like 1.16.8") from None


_GHSA: Final = "https://github.com/ethereum/go-ethereum/security/advisories/"

SHIPPED: Final[tuple[Advisory, ...]] = (
    Advisory(
        id="CVE-2020-26241",
        client="geth",
        since="1.9.7",
        before="1.9.17",
        source=_GHSA + "GHSA-69v6-xc2j-r2jf",
    ),
    Advisory(
        id="CVE-2020-26265",
        client="geth",
        since="1.9.4",
        before="1.9.20",
        source=_GHSA + "GHSA-xw37-57qp-9mm4",
    ),
    Advisory(
        id="CVE-2020-26242",
        client="geth",
        since="1.9.16",
        before="1.9.18",
        harm=Harm.CRASH,
        source=_GHSA + "GHSA-jm5c-rv3w-w83m",
    ),
    Advisory(
        id="CVE-2021-39137",
        client="geth",
        since="1.10.0",
        before="1.10.8",
        source=_GHSA + "GHSA-9856-9gg9-qcmq",
    ),
    Advisory(
        id="CVE-2021-41173",
        client="geth",
        since="1.10.0",
        before="1.10.9",
        harm=Harm.CRASH,
        source=_GHSA + "GHSA-59hh-656j-3p7v",
    ),
    Advisory(
        id="CVE-2025-24883",
        client="geth",
        since="1.14.0",
        before="1.14.13",
        harm=Harm.CRASH,
        source=_GHSA + "GHSA-q26p-9cq4-7fc2",
    ),
    Advisory(
        id="CVE-2026-22862",
        client="geth",
        since="1.9.0",
        before="1.16.8",
        harm=Harm.CRASH,
        source="https://nvd.nist.gov/vuln/detail/CVE-2026-22862",
    ),
    Advisory(
        id="nethermind-6588",
        client="nethermind",
        since="1.23.0",
        before="1.25.2",
        source="https://hackmd.io/@nethermindclient/ByW9sX_R6",
    ),
    Advisory(
        id="nethermind-9183",
        client="nethermind",
        since="1.32.3",
        before="1.32.4",
        source="https://github.com/NethermindEth/nethermind/issues/9183",
    ),
    Advisory(
        id="CVE-2021-41272",
        client="besu",
        since="21.10.0",
        before="21.10.2",
        source="https://nvd.nist.gov/vuln/detail/CVE-2021-41272",
    ),
    Advisory(
        id="CVE-2022-36025",
        client="besu",
        since="22.4.0",
        before="22.7.1",
        source="https://hackmd.io/@shemnon/besu-gas-leak",
    ),
    Advisory(
        id="besu-6357",
        client="besu",
        since="23.10.1",
        before="24.1.0",
        fixed_builds=("23.10.3-hotfix",),
        source="https://github.com/hyperledger/besu/issues/6357",
    ),
    Advisory(
        id="CVE-2025-30147",
        client="besu",
        since="25.2.2",
        before="25.3.0",
        source="https://nvd.nist.gov/vuln/detail/CVE-2025-30147",
    ),
    Advisory(
        id="reth-18205",
        client="reth",
        since="1.4.8",
        before="1.7.0",
        chains=(1,),
        source="https://github.com/paradigmxyz/reth/issues/18205",
    ),
    Advisory(
        id="erigon-16167",
        client="erigon",
        since="3.0.14",
        before="3.0.15",
        chains=(137,),
        source="https://github.com/erigontech/erigon/issues/16167",
    ),
)
"""Of what was published by September 2026 this is what operators were told to update for; it is never complete."""


def concerns(advisory: Advisory, client: Client, chain_id: int) -> bool:
    """Tell whether a client on a chain has the defect. One that names no version has none."""
    if client.version is None or client.family != advisory.client.lower():
        return False
    if advisory.chains and chain_id not in advisory.chains:
        return False
    if any(build.lower() in client.build for build in advisory.fixed_builds):
        return False
    since, before = version_of(advisory.since), version_of(advisory.before)
    return is_older(client.version, before) and not is_older(client.version, since)


@lru_cache(maxsize=1024)
def advisories_for(
    said: str, chain_id: int, more: tuple[Advisory, ...], ignored: tuple[str, ...]
) -> tuple[Advisory, ...]:
    """Return the defects of the client that a version text names, the gravest first."""
    client = client_of(said)
    if client is None:
        return ()
    found = [each for each in (*SHIPPED, *more) if each.id not in ignored and concerns(each, client, chain_id)]
    return tuple(sorted(found, key=lambda each: (each.harm is not Harm.CONSENSUS, each.id)))
