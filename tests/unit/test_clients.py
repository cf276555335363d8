"""Clients are known by what they say, and known defects by client and version."""

import re
from dataclasses import replace

import pytest

from tocsin.detect.advisories import SHIPPED, Advisory, Harm, advisories_for, concerns
from tocsin.detect.clients import Client, client_of, is_older, version_of


@pytest.mark.parametrize(
    ("said", "family", "version"),
    [
        ("Geth/v1.16.8-stable-2bd6bd01/linux-amd64/go1.25.1", "geth", (1, 16, 8)),
        ("Geth/my-validator/v1.13.14-stable/linux-amd64/go1.21.6", "geth", (1, 13, 14)),
        ("Geth/v1.101511.0-stable-1a2b/linux-amd64/go1.22", "geth", (1, 101511, 0)),
        ("Nethermind/v1.25.4+20b10b35/linux-x64/dotnet8.0.2", "nethermind", (1, 25, 4)),
        ("besu/v23.10.3-hotfix/linux-x86_64/openjdk-java-17", "besu", (23, 10, 3)),
        ("erigon/3.2.2/linux-amd64/go1.24.1", "erigon", (3, 2, 2)),
        ("reth/v1.9.3-27a8c0f/x86_64-unknown-linux-gnu", "reth", (1, 9, 3)),
        ("bor/v2.5.0/linux-amd64/go1.25", "bor", (2, 5, 0)),
        ("anvil/v1.7.1", "anvil", (1, 7, 1)),
        ("nitro/v3.7.2-beta.1-42e9f8d/linux-amd64/go1.24", "nitro", (3, 7, 2)),
        ("tocsin-sim/v1.0.0", "tocsin-sim", (1, 0, 0)),
        ("besu", "besu", None),
        ("Geth/unknown/linux", "geth", None),
    ],
)
def test_a_client_is_known_by_its_first_word_and_its_version(
    said: str, family: str, version: tuple[int, ...] | None
) -> None:
    client = client_of(said)
    assert client is not None
    assert (client.family, client.version) == (family, version)


@pytest.mark.parametrize("said", ["", "/", "v0.13.8", "1.2.3", "ψ/v1.0.0", " /v1", "<html>/v1.0", "x" * 200])
def test_what_names_no_client_is_none(said: str) -> None:
    assert client_of(said) is None


def test_versions_compare_number_by_number() -> None:
    assert is_older((1, 9), (1, 10))
    assert is_older((1, 13, 14), (1, 13, 15))
    assert not is_older((1, 14), (1, 14, 0))
    assert not is_older((1, 14, 0), (1, 14))
    assert is_older((1, 6, 999), (1, 101511, 0))


def ids(said: str, chain_id: int = 1) -> list[str]:
    return [each.id for each in advisories_for(said, chain_id, (), ())]


@pytest.mark.parametrize(
    ("said", "chain_id", "expected"),
    [
        ("Geth/v1.10.7-stable/linux", 1, ["CVE-2021-39137", "CVE-2021-41173", "CVE-2026-22862"]),
        ("Geth/v1.10.8-stable/linux", 1, ["CVE-2021-41173", "CVE-2026-22862"]),
        ("Geth/v1.14.12-stable/linux", 1, ["CVE-2025-24883", "CVE-2026-22862"]),
        ("Geth/v1.16.7-stable/linux", 1, ["CVE-2026-22862"]),
        ("Geth/v1.16.8-stable/linux", 1, []),
        ("Geth/v1.6.4-bnb/linux", 56, []),
        ("Geth/v1.101511.0-stable/linux", 10, []),
        ("Nethermind/v1.23.0+a/linux", 1, ["nethermind-6588"]),
        ("Nethermind/v1.25.1+a/linux", 1, ["nethermind-6588"]),
        ("Nethermind/v1.25.2+a/linux", 1, []),
        ("Nethermind/v1.32.3+a/linux", 1, ["nethermind-9183"]),
        ("besu/v23.10.3/linux", 1, ["besu-6357"]),
        ("besu/v23.10.3-hotfix/linux", 1, []),
        ("besu/v22.7.0/linux", 1, ["CVE-2022-36025"]),
        ("besu/v22.7.1/linux", 1, []),
        ("besu/v21.7.4/linux", 1, []),
        ("reth/v1.6.0-a/linux", 1, ["reth-18205"]),
        ("reth/v1.6.0-a/linux", 8453, []),
        ("reth/v1.7.0-a/linux", 1, []),
        ("erigon/3.0.14/linux", 137, ["erigon-16167"]),
        ("erigon/3.0.14/linux", 1, []),
        ("geth", 1, []),
        ("", 1, []),
    ],
)
def test_a_version_has_the_defects_that_were_published_of_it(said: str, chain_id: int, expected: list[str]) -> None:
    assert ids(said, chain_id) == expected


def test_every_shipped_advisory_is_well_formed_and_has_a_source() -> None:
    assert len({each.id for each in SHIPPED}) == len(SHIPPED)
    for each in SHIPPED:
        assert is_older(version_of(each.since), version_of(each.before)), each.id
        assert re.fullmatch(r"https://[a-z.]+/\S+", each.source), each.id
        assert each.client == each.client.lower()
        first = Client(family=each.client, version=version_of(each.since), build=f"v{each.since}")
        chain_id = each.chains[0] if each.chains else 1
        assert concerns(each, first, chain_id)
        assert not concerns(each, replace(first, version=version_of(each.before)), chain_id)


def test_those_that_endanger_consensus_come_first_and_ids_can_be_ignored() -> None:
    mine = Advisory(id="A-1", client="Geth", since="1.0", before="2.0", source="x", harm=Harm.CRASH)
    found = advisories_for("Geth/v1.10.7/linux", 1, (mine,), ("CVE-2021-41173",))
    assert [each.id for each in found] == ["CVE-2021-39137", "A-1", "CVE-2026-22862"]


@pytest.mark.parametrize("text", ["", "1.x", "latest", "1..2"])
def test_an_advisory_without_versions_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        Advisory(id="a", client="geth", since="1.0", before=text, source="x")
