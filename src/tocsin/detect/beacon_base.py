"""What the detectors of beacon nodes say in the same way."""

from tocsin.model.beacon import BeaconView


def beacon_evidence(beacon: BeaconView) -> dict[str, object]:
    """Return what this node showed, with the digests of its answers in the journal."""
    seen = beacon.seen
    evidence: dict[str, object] = {"bodies": dict(seen.bodies), "version": seen.version}
    if seen.head is not None:
        evidence["head"] = {"slot": seen.head.slot, "root": seen.head.root, "payload": _block(seen.head.payload)}
    if seen.finalized is not None:
        final = seen.finalized
        evidence["finalized"] = {"epoch": final.epoch, "root": final.root, "payload": _block(final.payload)}
    return evidence


def _block(block: object) -> dict[str, object] | None:
    number, name = getattr(block, "number", None), getattr(block, "hash", None)
    return None if number is None else {"number": number, "hash": name}
