"""What the shipped profiles say of their chains, checked by real headers, and what the core makes of it."""

import copy
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.configs import MINIMAL
from tests.support.views import view

from tocsin.chain.header import decode_header
from tocsin.config.load import load
from tocsin.config.profile import shipped
from tocsin.config.registry import registry_of
from tocsin.detect import REGISTRY as DETECTORS
from tocsin.engine.fold import fold
from tocsin.model.block import Header, Verification
from tocsin.model.event import Polled
from tocsin.model.observation import CHAIN_ID, FINALIZED, LATEST, Part
from tocsin.model.settings import ChainSettings
from tocsin.model.trust import Trust
from tocsin.model.view import NodeRecord

HEADERS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("test_chain_headers.json").read_text())
REAL: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("test_chain_profile_headers.json").read_text())
"""Headers of public blocks: of which profile's chain, where the block stands in public, and the fields that count."""

PROFILES = {name: tomllib.loads((shipped().folder / f"{name}.toml").read_text()) for name in shipped().names()}
TEXTS = {name: (shipped().folder / f"{name}.toml").read_text() for name in PROFILES}
CRONOS = "cronos 8540908"


def decoded(block: dict[str, Any], *, accuses: bool = True) -> Header:
    header = decode_header(orjson.dumps(block), accuses)
    assert isinstance(header, Header), header
    return header


@pytest.mark.parametrize("name", [name for name in REAL if name != CRONOS])
def test_a_real_block_of_each_chain_matches_and_an_altered_one_does_not(name: str) -> None:
    profile, block = PROFILES[REAL[name]["profile"]], REAL[name]["block"]
    accuses = profile.get("header_hash", "ethereum") == "ethereum"
    assert decoded(block, accuses=accuses).verification is Verification.MATCH
    for field in sorted(set(block) - {"hash", "author", "milliTimestamp", "l1BlockNumber", "sendCount", "sendRoot"}):
        altered = copy.deepcopy(block)
        altered[field] = (
            f"{altered[field][:-1]}{int(altered[field][-1], 16) ^ 1:x}" if altered[field] != "0x" else "0x01"
        )
        assert decoded(altered, accuses=accuses).verification is not Verification.MATCH, field


def test_a_chain_that_shows_the_keys_of_ethereum_and_hashes_otherwise_accuses_nobody_where_told_so() -> None:
    block = REAL[CRONOS]["block"]
    assert decoded(block).verification is Verification.MISMATCH
    assert decoded(block, accuses=False).verification is Verification.CANNOT_VERIFY


def test_keys_that_ethereum_does_not_have_accuse_nobody() -> None:
    for name in ("bnb test network 55475598", "arbitrum 408874813", "avalanche 30806757"):
        block = {**REAL[name]["block"], "gasUsed": "0x1"}
        assert decoded(block).verification is Verification.CANNOT_VERIFY


def test_the_profile_says_which_of_its_blocks_were_verified() -> None:
    for name, real in REAL.items():
        if name != CRONOS:
            assert name.split()[-1] in TEXTS[real["profile"]], name


def test_chains_are_told_apart_by_id_and_by_genesis() -> None:
    ids = [profile["id"] for profile in PROFILES.values()]
    hashes = [profile["genesis_hash"] for profile in PROFILES.values() if "genesis_hash" in profile]
    assert len(set(ids)) == len(ids)
    assert len(set(hashes)) == len(hashes) == len(PROFILES) - 1  # a development chain has none


@pytest.mark.parametrize("name", PROFILES)
def test_a_fork_of_a_chain_with_slots_takes_effect_at_a_slot(name: str) -> None:
    profile = PROFILES[name]
    forks = profile.get("forks", {})
    assert list(forks.values()) == sorted(forks.values())
    if "genesis_time" in profile:
        slot_s = int(profile["block_time"].removesuffix("s"))
        epoch_s = slot_s * profile.get("epoch_slots", 1)
        early = [fork for fork, at in forks.items() if (at - profile["genesis_time"]) % epoch_s]
        # A rollup takes the first block at or after the time.
        assert early == [] or "epoch_slots" not in profile


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_has_a_comment_before_every_table_and_every_key(name: str) -> None:
    lines = TEXTS[name].splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\[|[a-z_]+ =", line) and not line.startswith(("schema", "genesis_hash")):
            before = lines[number - 1]
            in_table = any(earlier.startswith("[") for earlier in lines[:number]) and bool(before)
            assert before.startswith("#") or (in_table and not line.startswith("[")), f"{name}: {line}"


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "dev"])
def test_a_profile_does_not_warn_of_what_the_poll_alone_explains(name: str) -> None:
    """Two nodes that are level may be asked a poll apart and take a poll to answer: that is no lag."""
    profile = PROFILES[name]
    block_ms = int(profile["block_time"].removesuffix("ms").removesuffix("s")) * (
        1 if profile["block_time"].endswith("ms") else 1000
    )
    poll_ms = int(profile["poll"].removesuffix("s")) * 1000
    unit_ms = -(-max(block_ms, poll_ms) // block_ms) * block_ms if block_ms < poll_ms else block_ms
    lag = profile.get("detector", {}).get("node.lag", {})
    warning, critical = lag.get("warning", {"over": 3})["over"], lag.get("critical", {"over": 15})["over"]
    assert warning * unit_ms >= 3 * 2 * poll_ms
    assert lag.get("provider_warning", {"over": 5})["over"] > warning
    assert 170_000 <= critical * unit_ms <= 210_000
    assert lag.get("clear", {"under": 2})["under"] < warning


def polled(block: dict[str, Any], chain: ChainSettings) -> NodeRecord:
    """Fold one poll of a node whose latest and finalized block is `block`."""
    body = orjson.dumps(block)
    parts = (
        Part(call=CHAIN_ID, result=orjson.dumps(hex(chain.id))),
        Part(call=LATEST, result=body),
        Part(call=FINALIZED, result=body),
    )
    event = Polled(t_ns=2, started_ns=1, chain=chain.name, node="a", poll=1, parts=parts)
    return fold(NodeRecord(), event, chain)


@pytest.mark.parametrize(("hashes_as_ethereum", "is_accused"), [(True, True), (False, False)])
def test_a_header_that_may_hash_otherwise_is_taken_unverified(*, hashes_as_ethereum: bool, is_accused: bool) -> None:
    block = {**HEADERS["prague"], "hash": "0x" + "ab" * 32}
    record = polled(block, replace(view().settings, hashes_as_ethereum=hashes_as_ethereum))
    assert (record.corrupt is not None) is is_accused
    assert (record.head is None) is is_accused
    assert (record.finalized is None) is is_accused
    if record.head is not None:
        assert record.head.verification is Verification.CANNOT_VERIFY


def settled(folder: Path, profile: str) -> ChainSettings:
    """What the core is told of a chain with this profile."""
    file = folder / "tocsin.toml"
    file.write_text(MINIMAL.replace('profile = "ethereum"', f'profile = "{profile}"'))
    return load(file, registry=registry_of(DETECTORS), environ={}).settings.chains[0]


@pytest.mark.parametrize(
    ("profile", "detector", "limit"),
    [
        ("optimism", "mempool.anomaly", "info"),
        ("base", "mempool.anomaly", "info"),
        ("arbitrum", "mempool.anomaly", "info"),
        ("arbitrum", "node.peers_low", "warning"),
        ("avalanche", "node.peers_low", "warning"),
        ("arbitrum", "pool.monoculture", "warning"),
        ("avalanche", "pool.monoculture", "warning"),
        ("polygon", "pool.monoculture", "warning"),
    ],
)
def test_what_the_clients_of_a_chain_cannot_say_is_not_judged(
    tmp_path: Path, profile: str, detector: str, limit: str
) -> None:
    assert getattr(settled(tmp_path, profile).detectors[detector], limit) is None
    assert getattr(settled(tmp_path, "ethereum").detectors[detector], limit) is not None


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_a_rule_of_the_protocol_is_enforced_from_the_first_day(tmp_path: Path, profile: str) -> None:
    believed = settled(tmp_path, profile).trust
    is_known = profile in {"ethereum", "sepolia", "hoodi", "gnosis"}
    assert believed == (dict.fromkeys(("chain.basefee", "chain.timestamp"), Trust.ENFORCE) if is_known else {})
    if is_known:
        assert {"genesis_time", "base_fee"} <= set(PROFILES[profile])
