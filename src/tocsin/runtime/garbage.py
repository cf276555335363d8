"""How often the interpreter looks for garbage that refers to itself: as seldom as it can, a little at a time.

Nearly all that we drop is freed at once, without being looked for. What is looked at is what stays: nodes, headers,
alerts. A look at everything takes 100 ms with 300,000 objects, in which nothing else happens.

Each object that stays is looked at twice, however many at a time: in a storm on a starved core, 140,000 at a time took
up to 122 ms and 1.7 us for each new object, 30,000 at a time 46 ms and 1.4 us. Each look found some ten objects.
"""

import gc
from typing import Final

_FRESH: Final = 10_000
"""Objects more than there were, before the newest are looked at: an answer is a few hundred that die young."""
_YOUNG: Final = 1
"""So many such looks and one, before those that stayed are looked at once more: at most 30,000 objects."""
_OLD: Final = 400
"""So many of those, before everything is looked at: after 12 million objects that stayed."""


def begin() -> None:
    """Set the pace. What was imported stays for life, and is not looked at again (3 to 13 % of the cost of a poll).

    Nor is it now, or when the start is over: 80 and 60 ms for 14 objects of 105,000, and for none of 104,000.
    """
    gc.freeze()
    gc.set_threshold(_FRESH, _YOUNG, _OLD)


def settled() -> None:
    """Look no more at what there is now: the configuration, and what is known of the nodes after the start."""
    gc.freeze()
