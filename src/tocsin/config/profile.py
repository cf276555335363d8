"""Facts of known chains, shipped as one TOML file each: `profile = "ethereum"` takes them as defaults.

The files live in `configs/chains/` of the source tree; the wheel carries the same files beside this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tocsin.config.documents import Document, Table, read_documents, tables
from tocsin.config.locate import Path
from tocsin.config.problems import Place, Problems, suggestion
from tocsin.config.tree import BaseFee, BlockTag, DetectorTables, HeaderHash
from tocsin.config.values import BlockHash, ChainId, Duration, Listed, Name, Slots, UnixTime
from tocsin.config.wording import describe_value

_HERE = FilePath(__file__).parent
_FOLDERS = (_HERE / "profiles", _HERE.parents[2] / "configs" / "chains")

FACTS = (
    "id",
    "block_time",
    "finality_slots",
    "epoch_slots",
    "genesis_time",
    "clock_drift",
    "genesis_hash",
    "network_id",
    "tags",
    "header_hash",
    "base_fee",
    "forks",
    "poll",
    "tick",
)
"""What a profile may say about a chain, besides Params of detectors."""


class Profile(BaseModel):
    """What a profile's file may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    schema_: Literal[1] = Field(alias="schema")
    id: ChainId
    block_time: Duration
    finality_slots: Slots | None = None
    epoch_slots: Slots | None = None
    genesis_time: UnixTime | None = None
    clock_drift: Duration | None = None
    genesis_hash: BlockHash | None = None
    network_id: ChainId | None = None
    tags: Annotated[tuple[BlockTag, ...] | None, Listed] = None
    header_hash: HeaderHash | None = None
    base_fee: BaseFee | None = None
    forks: Mapping[Name, UnixTime] = {}
    poll: Annotated[Duration | None, Field()] = None
    tick: Annotated[Duration | None, Field()] = None
    detector: DetectorTables = {}


@dataclass(slots=True)
class Profiles:
    """Reads profiles by name from a folder, each once."""

    folder: FilePath
    _read: dict[str, Document | None] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return every profile there is."""
        return sorted(file.stem for file in self.folder.glob("*.toml"))

    def get(self, name: str, problems: Problems) -> Document | None:
        """Return the profile, or None when there is none or its file is wrong, which becomes a problem, once."""
        if name not in self._read:
            self._read[name] = self._load(name, problems) if name in self.names() else None
        return self._read[name]

    def _load(self, name: str, problems: Problems) -> Document | None:
        before = len(problems.errors)
        document = read_documents(self.folder / f"{name}.toml", problems)
        if len(problems.errors) == before:
            _validate(document, problems)
        return document if len(problems.errors) == before else None


def shipped() -> Profiles:
    """Return the profiles that come with the program."""
    return Profiles(next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0]))


def apply_profiles(document: Document, profiles: Profiles, problems: Problems) -> dict[int, Mapping[str, Any]]:
    """Fill what chains leave to their profile; return each profile's detector tables by the chain's index."""
    detectors: dict[int, Mapping[str, Any]] = {}
    for index, chain in tables(document.data.get("chain")):
        name = chain.get("profile")
        if not isinstance(name, str):
            continue
        profile = profiles.get(name, problems)
        path: Path = ("chain", index, "profile")
        if profile is None:
            _unknown(document.place(path), index, name, profiles, problems)
            document.unfinished.update(("chain", index, key) for key in FACTS)
            continue
        _contradiction(document, index, profile.data, problems)
        for key in FACTS:
            if key in profile.data and key not in chain:
                chain[key] = profile.data[key]
                document.places[("chain", index, key)] = document.place(path)
        detectors[index] = profile.data.get("detector", {})
    return detectors


def _unknown(place: Place, index: int, name: str, profiles: Profiles, problems: Problems) -> None:
    names = profiles.names()
    if name not in names:
        known = suggestion(name, names) or f"; known are {', '.join(names)}"
        problems.error(place, ("chain", index, "profile"), "there is no such profile" + known)


def _contradiction(document: Document, index: int, profile: Table, problems: Problems) -> None:
    """Report an id that is not the profile's: with a genesis hash, a profile is one chain's alone."""
    given = document.data["chain"][index].get("id")
    if "genesis_hash" in profile and isinstance(given, int) and given != profile["id"]:
        path = ("chain", index, "id")
        problems.error(document.place(path), path, f"the profile is of chain {profile['id']}; drop one of them")


def _validate(document: Document, problems: Problems) -> None:
    try:
        Profile.model_validate(document.data)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            path = tuple(found["loc"])
            message = "unknown key" if found["type"] == "extra_forbidden" else describe_value(found, path)
            problems.error(document.place(path), path, message)
