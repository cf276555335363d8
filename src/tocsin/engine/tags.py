"""Whether the tags of a node went back: `safe` and `finalized` only ever rise on a node that is well."""

from tocsin.model.event import Polled
from tocsin.model.evolve import evolve
from tocsin.model.observation import FINALIZED, SAFE
from tocsin.model.view import NodeRecord


def note(before: NodeRecord, after: NodeRecord, event: Polled) -> NodeRecord:
    """Return the record with the fall of its tags, where this poll asked for them."""
    if not any(part.call in (SAFE, FINALIZED) and part.result is not None for part in event.parts):
        return after
    falls = [
        old.number - new.number
        for old, new in ((before.safe, after.safe), (before.finalized, after.finalized))
        if old is not None and new is not None
    ]
    fall = max([0, *falls])
    return after if fall == after.tag_fall else evolve(after, tag_fall=fall)
