"""Whether a feed that is well is ever called stale, and whether one that falls silent is always noticed.

    python -m benchmarks.oracle [FILE ...] [--heartbeat 3600] [--every 10] [--json]

Rounds of an aggregator, of files (columns `round`, `answer` and `update`, as `getRoundData` tells them) or made by the
law of real ones (`benchmarks/_rounds.py`), go through what the daemon does with them: the words of `latestRoundData()`
as a quorum's fact, the engine's reading of it at a block, the detectors with their defaults, the life of alerts. First
as they are: every alert is a false one. Then with one gap in so many stretched to twice the heartbeat and a block:
each has to be told of before it ends, and no other one.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks._rounds import BLOCK_S, DECIMALS, HEARTBEAT_S, Answer, Series, from_file, generated, looks, silenced
from benchmarks._settings import node_of
from tocsin.alerting.lifecycle import advance
from tocsin.alerting.tracked import Alerts, Moment
from tocsin.chain.tree import HeaderTree
from tocsin.clock import NS
from tocsin.config.feed import FeedTable
from tocsin.detect import CHAIN_DETECTORS
from tocsin.engine import feedcalls, feeds
from tocsin.engine.facts import Fact
from tocsin.engine.state import NOTHING_AGREED, ChainState
from tocsin.model.alert import Alert, Grade, Severity
from tocsin.model.block import BlockRef, Header, Verification
from tocsin.model.feed import FeedSettings
from tocsin.model.settings import ChainSettings, Settings
from tocsin.model.view import ChainView
from tocsin.units import duration_text

STALE: Final = "oracle.stale"
EVERY: Final = 10
GENERATED: Final = 20_000
SEED: Final = 1
ADDRESS: Final = "0x" + "fe" * 20

_DETECTORS: Final = tuple(one for one in CHAIN_DETECTORS if one.id.startswith("oracle."))


class Watcher:
    """What the daemon does with a feed, block by block; `alerts` are all that were said."""

    def __init__(self, feed: FeedSettings) -> None:
        self._chain = ChainSettings(
            name="bench",
            id=1,
            block_time_ns=BLOCK_S * NS,
            poll_ns=2 * NS,
            tick_ns=NS // 4,
            vote_by=("provider",),
            nodes=(node_of("n", "p", own=True),),
            feeds=(feed,),
        )
        self._settings = Settings(
            site="bench", watchdog="w", environment="bench", config_hash="", chains=(self._chain,)
        )
        self._feed = feed
        self._state = ChainState(started_ns=0)
        self._open = Alerts()
        self._number = 0
        self.alerts: list[Alert] = []

    def look(self, answer: Answer, now_s: int) -> tuple[Alert, ...]:
        """Read the feed at a block of this time, in which `answer` is its newest; return what is said of it."""
        self._number += 1
        block = BlockRef(number=self._number, hash=f"0x{self._number:064x}")
        header = Header(
            number=block.number,
            hash=block.hash,
            parent_hash=f"0x{self._number - 1:064x}",
            timestamp=now_s,
            state_root="",
            verification=Verification.MATCH,
        )
        state = ChainState(started_ns=0, feeds=self._state.feeds, tree=HeaderTree(headers={block.hash: header}))
        self._state = feeds.read(state, self._chain, self._facts(answer), block, now_s * NS)
        view = self._view(now_s)
        findings = [each for one in _DETECTORS for each in one.run(view, one.params())]
        subjects = {one.labels: feeds.observed(one, self._chain, view.now_ns) for one in view.feeds}
        self._open, said = advance(self._open, findings, subjects, Moment(now_ns=view.now_ns, wall_ns=view.wall_ns))
        self.alerts += said
        return said

    def _facts(self, answer: Answer) -> dict[str, Fact]:
        word = f"0x{answer.number:064x}{answer.answer:064x}{answer.updated_s:064x}{answer.updated_s:064x}"
        said = {feedcalls.LATEST: f"{word}{answer.number:064x}", feedcalls.DECIMALS: f"0x{DECIMALS:064x}"}
        return {
            feedcalls.subject(ADDRESS, data): Fact(value=value, grade=Grade.QUORUM, votes=3, groups=3)
            for data, value in said.items()
        }

    def _view(self, now_s: int) -> ChainView:
        return ChainView(
            settings=self._chain,
            labels=(),
            tick=self._number,
            now_ns=now_s * NS,
            wall_ns=now_s * NS,
            started_ns=0,
            nodes=(),
            answering=(),
            head=NOTHING_AGREED,
            finalized=NOTHING_AGREED,
            head_header=None,
            reorg=None,
            branches=(),
            feeds=feeds.views(self._state, self._settings, self._chain, now_s * NS),
            quotes=feeds.quotes(self._state, self._chain, {}, now_s * NS, now_s * NS),
        )


@dataclass(slots=True)
class Told:
    """The gaps in which something was said, by detector; of `oracle.stale` also those called critical, and when."""

    stale: set[int] = field(default_factory=set)
    paged: set[int] = field(default_factory=set)
    others: dict[str, int] = field(default_factory=dict)
    after_s: list[int] = field(default_factory=list)


def feed_of(heartbeat_s: int) -> FeedSettings:
    """Return an aggregator as a configuration that names its heartbeat makes it."""
    table = FeedTable.model_validate({"name": "feed", "address": ADDRESS, "heartbeat": duration_text(heartbeat_s * NS)})
    return table.completed().settings()


def told(series: Series, feed: FeedSettings) -> Told:
    """Watch a series from its first round to its last; return what was said."""
    watcher, found = Watcher(feed), Told()
    late_s = (feed.heartbeat_ns + feed.grace_ns) // NS
    for now_s, at in looks(series, late_s):
        for alert in watcher.look(series.rounds[at], now_s):
            if alert.reason not in ("fired", "raised"):
                continue
            if alert.detector != STALE:
                found.others[alert.detector] = found.others.get(alert.detector, 0) + 1
                continue
            if at not in found.stale:
                found.after_s.append(now_s - series.rounds[at].updated_s)
            found.stale.add(at)
            if alert.severity is Severity.CRITICAL:
                found.paged.add(at)
    return found


def measure(series: Series, heartbeat_s: int, every: int) -> dict[str, object]:
    """Return the figures of one series."""
    feed = feed_of(heartbeat_s)
    clean = told(series, feed)
    quiet, chosen = silenced(series, every, 2 * heartbeat_s + BLOCK_S)
    found = told(quiet, feed)
    gaps = series.gaps_s
    return {
        "series": series.name,
        "rounds": len(series.rounds),
        "dropped": series.dropped,
        "heartbeat_s": heartbeat_s,
        "grace_s": feed.grace_ns // NS,
        "longest_gap_s": max(gaps, default=0),
        "false_alarms": len(clean.stale),
        "other_alarms": dict(sorted(clean.others.items())),
        "injected": len(chosen),
        "found": len(chosen & found.stale),
        "paged": len(chosen & found.paged),
        "false_alarms_injected": len(found.stale - chosen),
        "found_after_s": max(found.after_s, default=0),
    }


def figures(all_: list[Series], heartbeat_s: int, every: int) -> dict[str, object]:
    """Return the figures of all series together, and of each."""
    began = time.process_time()
    rows = [measure(one, heartbeat_s, every) for one in all_]
    summed = ("rounds", "dropped", "false_alarms", "injected", "found", "paged", "false_alarms_injected")
    total = {key: sum(int(str(row[key])) for row in rows) for key in summed}
    return {**total, "cpu_s": round(time.process_time() - began, 2), "series": rows}


def lines(found: dict[str, object]) -> Iterator[str]:
    """Yield the figures for people."""
    rows = found["series"]
    for row in rows if isinstance(rows, list) else []:
        yield (
            f"{row['series']}: {row['rounds']} rounds, longest gap {row['longest_gap_s']} s with a heartbeat of "
            f"{row['heartbeat_s']} s and {row['grace_s']} s of grace: {row['false_alarms']} false alarms"
        )
        yield (
            f"  {row['injected']} gaps of twice the heartbeat: {row['found']} found after {row['found_after_s']} s at "
            f"most, {row['paged']} critical; {row['false_alarms_injected']} others called stale"
        )
        if row["other_alarms"]:
            yield f"  other alarms: {row['other_alarms']}"


def main() -> None:
    parser = argparse.ArgumentParser(description="false and missed alarms of stale feeds, on real rounds or made ones")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="rounds as CSV; without one they are made")
    parser.add_argument("--heartbeat", type=int, default=HEARTBEAT_S, metavar="SECONDS", help="default %(default)s")
    parser.add_argument("--every", type=int, default=EVERY, help="one gap in so many is silenced (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=GENERATED, help="how many are made (default %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of those (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    options = parser.parse_args()
    all_ = [from_file(path) for path in options.files] or [generated(options.rounds, options.seed)]
    found = figures(all_, options.heartbeat, options.every)
    if not options.json:
        print("\n".join(lines(found)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
