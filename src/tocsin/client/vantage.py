"""k of n: an alert counts when so many watchers see it, each from where it stands.

Two watchers that watch one node (and give it the same `id`) raise alerts of the same fingerprint; each event names its
`vantage`. Fed with the events of all of them, `Vantages` tells when k say firing, when so few say so that it is over,
and when too few are heard to tell: a watcher that fell silent is no witness, neither for nor against.

A watcher that has not mentioned an alert says that all is well, once it has been heard at all: retained alert topics
bring what is open to a subscriber that comes late. Feed those before the stream.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tocsin.model.alert import AlertState

SILENT_S: Final = 30.0
"""Three heartbeats of a watcher: from here on nobody knows what it sees."""

MOST_ALERTS: Final = 100_000
"""Fingerprints that are remembered, so that a repetition of an old event is known for one; those that are over go
first."""


class Verdict(StrEnum):
    """What the watchers together say of one alert."""

    FIRING = "firing"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"
    """Too few are heard to say either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The verdict on an alert changed. `firing`, `clear` and `unknown` are the vantages that say so now."""

    fingerprint: str
    verdict: Verdict
    before: Verdict
    firing: tuple[str, ...]
    clear: tuple[str, ...]
    unknown: tuple[str, ...]
    newest: Mapping[str, Any]
    """The data of the event that came last for this alert."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What one watcher said last of one alert."""

    activation: int
    count: int
    updated_at: str
    verdict: Verdict

    def is_newer(self, than: "_Said") -> bool:
        """Tell a later word from a repetition of an earlier one.

        Numbers begin anew where a watcher lost its state, times go back where its clock was set: one of them will do.
        """
        counts = (self.activation, self.count), (than.activation, than.count)
        return counts[0] > counts[1] or self.updated_at > than.updated_at


@dataclass(slots=True)
class _Alert:
    by: dict[str, _Said] = field(default_factory=dict)
    verdict: Verdict = Verdict.RESOLVED
    newest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it can still change without a word about it."""
        open_ = any(said.verdict is not Verdict.RESOLVED for said in self.by.values())
        return open_ or self.verdict is not Verdict.RESOLVED


class Vantages:
    """Joins the alerts of n watchers, `<site>/<name>` each; `need` of them make a verdict.

    Times are seconds of any clock that does not go back. Events may come twice, late, or of watchers that are not among
    the n: those are ignored. `most` fingerprints are remembered. Raises ValueError unless 1 <= need <= n.
    """

    def __init__(self, *, need: int, of: Iterable[str], silent_s: float = SILENT_S, most: int = MOST_ALERTS) -> None:
        self.names: Final = tuple(dict.fromkeys(of))
        if not 1 <= need <= len(self.names):
            raise ValueError(f"{need} of {len(self.names)} watchers can never say anything")
        self.need: Final = need
        self._silent_s = silent_s
        self._most = most
        self._heard: dict[str, float] = {}
        self._alive: frozenset[str] = frozenset()
        self._open: dict[str, _Alert] = {}
        self._over: dict[str, _Alert] = {}

    def alert(self, data: Mapping[str, Any], now_s: float) -> tuple[Change, ...]:
        """Take the `data` of one alert event; return what changes, of this alert and of others that time has changed.

        Raises KeyError, TypeError or ValueError for data that are no alert's, and takes nothing of them.
        """
        fingerprint, vantage, said = str(data["fingerprint"]), str(data["vantage"]), _said(data)
        if vantage not in self.names:
            return ()
        self._heard[vantage] = now_s
        alert = self._open.pop(fingerprint, None) or self._over.pop(fingerprint, None) or _Alert()
        before = alert.by.get(vantage)
        if before is None or said.is_newer(before):
            alert.by[vantage] = said
            alert.newest = data
        self._open[fingerprint] = alert
        changes = self._passed(now_s)
        change = self._judge(fingerprint, alert)
        self._forget()
        return changes if change is None else (*changes, change)

    def heartbeat(self, vantage: str, now_s: float) -> tuple[Change, ...]:
        """Note that a watcher lives; return what changes."""
        if vantage in self.names:
            self._heard[vantage] = now_s
        return self._passed(now_s)

    def lost(self, vantage: str, now_s: float) -> tuple[Change, ...]:
        """Note that a watcher is gone, by its last will or its goodbye; return what changes."""
        self._heard.pop(vantage, None)
        return self._passed(now_s)

    def tick(self, now_s: float) -> tuple[Change, ...]:
        """Return what time alone has changed: a watcher that was silent for too long is no witness any more."""
        return self._passed(now_s)

    def verdict(self, fingerprint: str) -> Verdict:
        """Return the verdict as last told; one never mentioned is resolved."""
        found = self._open.get(fingerprint)
        return Verdict.RESOLVED if found is None else found.verdict

    def _passed(self, now_s: float) -> tuple[Change, ...]:
        """Judge every open alert again where another set of watchers is heard now."""
        alive = frozenset(name for name, at in self._heard.items() if now_s - at < self._silent_s)
        if alive == self._alive:
            return ()
        self._alive = alive
        changes = (self._judge(fingerprint, alert) for fingerprint, alert in list(self._open.items()))
        return tuple([change for change in changes if change is not None])

    def _judge(self, fingerprint: str, alert: _Alert) -> Change | None:
        says = {name: self._of(alert, name) for name in self.names}
        by = {verdict: tuple(name for name in self.names if says[name] is verdict) for verdict in Verdict}
        before, alert.verdict = alert.verdict, self._joined(len(by[Verdict.FIRING]), len(by[Verdict.UNKNOWN]))
        if not any(said.verdict is not Verdict.RESOLVED for said in alert.by.values()):
            alert.verdict = Verdict.RESOLVED  # nobody claims it: a watcher that is silent takes nothing from that
        if not alert.is_open:
            self._open.pop(fingerprint, None)
            self._over[fingerprint] = alert
        if alert.verdict is before:
            return None
        return Change(
            fingerprint=fingerprint,
            verdict=alert.verdict,
            before=before,
            firing=by[Verdict.FIRING],
            clear=by[Verdict.RESOLVED],
            unknown=by[Verdict.UNKNOWN],
            newest=alert.newest,
        )

    def _of(self, alert: _Alert, name: str) -> Verdict:
        if name not in self._alive:
            return Verdict.UNKNOWN
        said = alert.by.get(name)
        return Verdict.RESOLVED if said is None else said.verdict

    def _joined(self, firing: int, unknown: int) -> Verdict:
        """Say firing when k do, resolved when k would not be reached even if all who are unknown said firing."""
        if firing >= self.need:
            return Verdict.FIRING
        return Verdict.UNKNOWN if firing + unknown >= self.need else Verdict.RESOLVED

    def _forget(self) -> None:
        while len(self._over) + len(self._open) > self._most:
            oldest = self._over or self._open
            del oldest[next(iter(oldest))]


def _said(data: Mapping[str, Any]) -> _Said:
    verdicts = {AlertState.FIRING: Verdict.FIRING, AlertState.RESOLVED: Verdict.RESOLVED}
    return _Said(
        activation=int(data["activation"]),
        count=int(data["count"]),
        updated_at=str(data["updated_at"]),
        verdict=verdicts.get(AlertState(data["state"]), Verdict.UNKNOWN),
    )
