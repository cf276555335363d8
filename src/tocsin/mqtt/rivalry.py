"""A second daemon of our name on the broker: noted while it is heard, and for a while after."""

from tocsin.mqtt.presence import Rival


class Rivalry:
    """Who else speaks under our name. Times are of one monotonic clock, in seconds."""

    def __init__(self, hold_s: float) -> None:
        """Take a rival for gone that was not heard for `hold_s`."""
        self._hold_s = hold_s
        self._boot = ""
        self._until = 0.0
        self.yielding = False
        """Whether the retained topics are left to it: it is older."""
        self._owes_answer = False

    def heard(self, rival: Rival, now: float) -> None:
        """Note that it spoke."""
        # One word, not one each time: it answers that with its status.
        self._owes_answer |= rival.older and not (self.yielding and self._boot == rival.boot)
        self._boot, self._until, self.yielding = rival.boot, now + self._hold_s, rival.older

    def boot(self, now: float) -> str:
        """Return its boot id, empty when there is none (any more)."""
        return self._boot if self._until > now else ""

    def takes_answer(self) -> bool:
        """Say, once, that the one that we yield to is to be answered: from our silence it would never hear of us."""
        owed, self._owes_answer = self._owes_answer, False
        return owed

    def has_ended(self, now: float) -> bool:
        """Say, once, that it fell silent: from then on there is nobody to yield to."""
        return not self.boot(now) and self.has_parted(self._boot)

    def has_parted(self, boot: str) -> bool:
        """Say, once, that the one with this boot id is gone: it fell silent, or has said goodbye."""
        if not self._boot or boot != self._boot:
            return False
        self._boot, self._until, self.yielding = "", 0.0, False
        return True
