"""What the answer to one question means to the indexer, whatever the client calls it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tocsin.model.observation import Fault, FaultKind, Part, RpcErrorKind

_MEANINGS: Final = {
    # Ranges and results that are too long come as `INVALID` (see `wire.quirks`), a response that is as `BATCH_LIMIT`.
    RpcErrorKind.INVALID: "too-much",
    RpcErrorKind.BATCH_LIMIT: "too-much",
    RpcErrorKind.TIMEOUT: "too-slow",
    RpcErrorKind.PRUNED: "unable",
    RpcErrorKind.METHOD_MISSING: "unable",
}
_FAULTS: Final = {FaultKind.TOO_LARGE: "too-much", FaultKind.TIMEOUT: "too-slow"}


class Silence(StrEnum):
    """Why there is no result."""

    TOO_MUCH = "too-much"
    """Less at once may be answered; if it cannot be less, nothing will be."""
    TOO_SLOW = "too-slow"
    """Less at once may be answered, or the same later."""
    UNABLE = "unable"
    """The node does not have it, or does not give it: asking again is in vain, and it speaks against nobody."""
    AWAY = "away"
    """No answer now; later there may be one."""


@dataclass(frozen=True, slots=True)
class NoReply:
    """There is no result, and why."""

    silence: Silence
    reason: str

    @property
    def is_passing(self) -> bool:
        """Whether the same question may be answered later."""
        return self.silence in (Silence.TOO_SLOW, Silence.AWAY)

    @property
    def is_of_size(self) -> bool:
        """Whether a smaller question may be answered."""
        return self.silence in (Silence.TOO_MUCH, Silence.TOO_SLOW)


def results(outcome: tuple[Part, ...] | Fault) -> tuple[bytes, ...] | NoReply:
    """Return the results of all parts, or what it means that there is not each of them."""
    if isinstance(outcome, Fault):
        silence = Silence(_FAULTS.get(outcome.kind, "away"))
        return NoReply(silence, f"{outcome.kind.value}: {outcome.detail}")
    found = []
    for part in outcome:
        if part.error is not None:
            silence = Silence(_MEANINGS.get(part.error.kind, "away"))
            return NoReply(silence, f"{part.error.kind.value}: {part.error.message}")
        found.append(part.result or b"null")
    return tuple(found) or NoReply(Silence.AWAY, "an empty answer")
