"""Which client a node runs, from what `web3_clientVersion` says.

`Geth/v1.16.8-stable-abcdef01/linux-amd64/go1.25.1`, with a name of the operator's in between (`Geth/mine/v1.16.8/...`),
`Nethermind/v1.35.7+1a2b/...`, `besu/v25.11.0/...`, `erigon/3.2.2/...`, `reth/v1.9.3-...`, `bor/v2.5.0/...`. Chains of
their own reuse the name of the client that they forked, with numbers of their own: BNB's and Optimism's are `Geth` too.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

Version = tuple[int, ...]

DEVELOPMENT: Final = frozenset({"anvil", "hardhat", "hardhatnetwork", "ganache", "tocsin-sim", "sim"})
"""Tools that make a chain of their own: they have no peers, and nobody runs a pool of them for diversity."""

_FAMILY = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_VERSION = re.compile(r"v?(\d{1,9}(?:\.\d{1,9}){1,3})(?![\d.])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client as it names itself; `build` is the whole word with its version, such as `v23.10.3-hotfix`."""

    family: str
    version: Version | None
    build: str


@lru_cache(maxsize=1024)
def client_of(said: str) -> Client | None:
    """Return the client, None where the text names none. Any text will do."""
    family, *rest = said.strip().lower().split("/")
    if not _FAMILY.fullmatch(family):
        return None
    for word in rest:
        match = _VERSION.match(word)
        if match is not None:
            return Client(family=family, version=version_of(match[1]), build=word)
    return Client(family=family, version=None, build="")


def version_of(text: str) -> Version:
    """Read `1.16.8` with or without a `v`. Raises ValueError for anything else."""
    return tuple(int(part) for part in text.removeprefix("v").split("."))


def is_older(version: Version, other: Version) -> bool:
    """Compare versions number by number: 1.2 is 1.2.0."""
    length = max(len(version), len(other))
    return _padded(version, length) < _padded(other, length)


def _padded(version: Version, length: int) -> Version:
    return version + (0,) * (length - len(version))
