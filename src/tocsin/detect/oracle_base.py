"""What detectors of prices say alike."""

from collections.abc import Iterator

from tocsin.model.feed import FeedView, Quote, Reading
from tocsin.model.view import ChainView


def read_feeds(view: ChainView) -> Iterator[tuple[FeedView, Reading]]:
    """Yield the feeds that were read lately, with what they say."""
    for one in view.feeds:
        if one.is_current and one.seen.latest is not None:
            yield one, one.seen.latest


def feed_evidence(one: FeedView) -> dict[str, object]:
    """Return what a feed said, with the block at which it did and how that is known."""
    latest = one.seen.latest
    evidence: dict[str, object] = {"feed": one.settings.name, "address": one.settings.address}
    if latest is None:
        return evidence
    read = {"number": latest.block.number, "hash": latest.block.hash, "timestamp": latest.at_s}
    evidence |= {"kind": one.settings.kind.value, "value": latest.value, "grade": latest.grade.value, "read_at": read}
    if latest.round:
        evidence |= {"round": latest.round, "updated_at": latest.updated_s, "started_at": latest.started_s}
    return evidence


def sources(view: ChainView, prices: str) -> list[dict[str, object]]:
    """Return what all sources say of one price, as evidence."""
    return [_row(one) for one in view.quotes if one.prices == prices]


def _row(one: Quote) -> dict[str, object]:
    return {
        "source": one.source,
        "provider": one.provider,
        "role": one.role.value,
        "value": one.value,
        "used": one.is_usable,
        "why": one.why or None,
    }
