"""PagerDuty, by its Events API v2: one alert is one event, and all events of an alert share its fingerprint as key.

202 says that the event is queued there, no more. 400 says that it will never be taken; 429 and all of 500 ask for
another try (PagerDuty, Events API v2 overview).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from tocsin.model.notice import News
from tocsin.notify.http import Way, post
from tocsin.notify.letter import Letter
from tocsin.notify.outcome import Outcome, Refused, Sent
from tocsin.rpc.resolver import Resolver
from tocsin.secret import Secret

_ACTIONS: Final = {News.FIRING: "trigger", News.SEEN: "acknowledge", News.RESOLVED: "resolve"}
_LONGEST: Final = 1024
"""Characters of a summary (the API's limit)."""


class PagerDuty:
    """Sends letters about one alert each to one integration."""

    def __init__(self, way: Way, key: Secret, resolver: Resolver, wall_ns: Callable[[], int]) -> None:
        self._way = way
        self._key = key
        self._resolver = resolver
        self._wall_ns = wall_ns

    async def send(self, letter: Letter) -> Outcome:
        """Send a letter once."""
        if len(letter.alerts) != 1:
            return Refused(why=f"a message about {len(letter.alerts)} alerts is no event of PagerDuty's")
        try:
            said = event(letter, letter.alerts[0])
        except (LookupError, TypeError, ValueError) as error:
            # It was damaged where it was kept: all others would wait behind it for ever.
            return Refused(why=f"its alert cannot be read: {error!r}")
        body = orjson.dumps(said | {"routing_key": self._key.reveal()})
        outcome = await post(self._way, self._resolver, body, {"Content-Type": "application/json"}, self._wall_ns)
        return Sent(said=f"{outcome.said} (queued there)") if isinstance(outcome, Sent) else outcome


def event(letter: Letter, alert: Mapping[str, Any]) -> dict[str, object]:
    """Return the event about an alert, without the key of the integration."""
    action = _ACTIONS[News(alert["news"])]
    about: dict[str, object] = {"event_action": action, "dedup_key": alert["fingerprint"]}
    if action != "trigger":
        return about
    known = {**alert["labels"], **alert["names"]}
    runbook = str(alert["runbook"])
    payload = {
        "summary": letter.title.partition(": ")[2][:_LONGEST] or letter.title[:_LONGEST],
        "source": known.get("node") or known.get("chain") or letter.vantage,
        "severity": alert["severity"],
        "timestamp": alert["started_at"],
        "component": known.get("node"),
        "group": known.get("chain"),
        "class": alert["detector"],
        "custom_details": {"text": letter.text, "labels": alert["labels"], "reason": alert["reason"]},
    }
    about["payload"] = {key: value for key, value in payload.items() if value}
    about["client"] = f"tocsin {letter.vantage}"
    if runbook.startswith(("http://", "https://")):
        about["links"] = [{"href": runbook, "text": "what to do"}]
    return about
