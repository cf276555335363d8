"""How many calls a node takes in one batch, learned from what it refuses. Pure.

Batch limits are configuration of the node and nowhere to be asked: 1,000 at geth, 1,024 at Nethermind and Besu, 100 at
erigon and bor, 20 or none at some providers. Refusals come as an error per call, one error for all, an HTTP status or a
dropped connection; the last two may mean anything, so they count only while batches of that size never worked.
"""

START = 20
"""Our polls have at most six calls, reads are cut to this: beyond it nothing is gained."""

_REPROBE = 1_000
"""Answers after which a lowered limit is tried at twice the size: about half an hour of polls at 2 s."""

_REPROBE_MOST = 64_000


class BatchLimit:
    """The learned limit of one node."""

    __slots__ = ("_answers", "_explore_in", "_explored", "_reprobe", "largest_answered", "size")

    def __init__(self, start: int = START) -> None:
        self.size = start
        """Most calls to put into one batch; 1 means no batches."""
        self.largest_answered = 0
        self._answers = 0
        self._reprobe = _REPROBE
        self._explore_in = 0
        self._explored = 0

    @property
    def works(self) -> bool | None:
        """Whether the node takes batches at all; None before one was tried."""
        return False if self.size == 1 else True if self.largest_answered > 1 else None

    @property
    def learned(self) -> int | None:
        """Most calls that the node takes in one batch, None where it has refused none that we sent."""
        return self.size if self.size < START else None

    def answered(self, size: int) -> None:
        """Note that a batch of this size was answered in full."""
        self.largest_answered = max(self.largest_answered, size)
        self._explored = self._explore_in = 0
        if self.size >= START:
            return
        self._answers += 1
        if self._answers >= self._reprobe:
            self._answers = 0
            self._reprobe = min(2 * self._reprobe, _REPROBE_MOST)
            self.size = min(START, 2 * self.size)

    def fits(self, size: int) -> None:
        """Note that after a search this size was answered, and the double was not."""
        self.size = min(self.size, size)
        self.answered(size)

    def refused(self, size: int) -> None:
        """Note that a batch of this size was refused, and that the node said so."""
        self.size = max(1, min(self.size, size) // 2)
        self.largest_answered = min(self.largest_answered, self.size)
        self._answers = 0

    def suspects(self, size: int) -> bool:
        """Tell whether a failure that may mean anything is worth one try in smaller batches.

        Only for sizes that never worked, and ever more rarely as long as smaller batches fail too, so that a node
        that is simply down is not asked twice as often. Call once per failed ask.
        """
        if size <= 1 or size <= self.largest_answered:
            return False
        if self._explore_in > 0:
            self._explore_in -= 1
            return False
        self._explored = min(self._explored + 1, 6)
        self._explore_in = 2**self._explored
        return True
