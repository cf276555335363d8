"""What a tick's news say, gathered event by event: of each node, and of what was asked for outside the polls."""

from collections.abc import Sequence

from tocsin.engine import backfill, beacons, blockstate, capabilities, charges, common, doubt, finality, tags
from tocsin.engine.fold import fetched, fold
from tocsin.engine.state import ChainState
from tocsin.model.block import Header
from tocsin.model.event import BeaconPolled, Fetched, Polled
from tocsin.model.evolve import evolve
from tocsin.model.observation import hash_of, number_of
from tocsin.model.reading import READ
from tocsin.model.settings import ChainSettings
from tocsin.model.view import NodeRecord

News = Polled | BeaconPolled | Fetched


def taken(state: ChainState, news: Sequence[News], chain: ChainSettings) -> tuple[ChainState, list[Header]]:
    """Return the chain with all that came since the last tick, and the headers among it, which are not in the tree yet.

    Events are folded in canonical order (node, kind, number), so that the order in which answers arrived within a tick
    leaves no trace.
    """
    intake = _Intake(state, chain)
    for event in sorted(news, key=_canonical):
        intake.take(event)
    return intake.after(), intake.headers


def _canonical(event: News) -> tuple[str, int, int, int]:
    number = (1, event.request) if isinstance(event, Fetched) else (0, event.poll)
    return (event.node, *number, event.t_ns)


class _Intake:
    """Changed in place while one tick's events are folded: a copy of the state for each of them would cost more."""

    def __init__(self, state: ChainState, chain: ChainSettings) -> None:
        self.headers: list[Header] = []
        self._state, self._chain = state, chain
        self._nodes, self._awaited = dict(state.nodes), set(state.awaited)
        self._beacons, self._sought, self._surveys = state.beacons, state.sought, state.surveys
        self._round, self._finality = state.round, state.finality
        self._contracts = state.contracts
        self._believes_hashes = doubt.is_believed(state)

    def take(self, event: News) -> None:
        """Fold one event; one of a node that is configured no longer is none."""
        if isinstance(event, BeaconPolled):
            self._beacons = beacons.take(self._beacons, event)
        elif (record := self._nodes.get(event.node)) is None:
            return
        elif isinstance(event, Polled):
            self._take_poll(record, event)
        else:
            self._take_answer(record, event)

    def _take_poll(self, record: NodeRecord, event: Polled) -> None:
        if event.t_ns >= self._state.started_ns:
            self._awaited.discard(event.node)
        after = tags.note(record, fold(record, event, self._chain), event)
        self._nodes[event.node] = after = doubt.weighed(record, after, believed=self._believes_hashes)
        if after.head is not None and after.head is not record.head:
            self.headers.append(after.head)

    def _take_answer(self, record: NodeRecord, event: Fetched) -> None:
        """Take what was asked outside the polls to whom it was asked for: a header, a contract, or a trial."""
        found: list[Header] = []
        if number_of(event.call) is not None:
            self._round, found = common.take(self._round, event, self._chain)
            self._finality = finality.take(self._finality, event, self._chain)
        elif hash_of(event.call) is not None:
            self._sought, found = backfill.take(self._sought, event, self._chain, self._state.tree)
            if self._contracts.suspicions:
                self._contracts = charges.take_header(self._contracts, event)
        elif event.call.startswith(READ):
            self._contracts = blockstate.take(self._contracts, event)
            return
        else:
            self._surveys, self._nodes[event.node] = capabilities.take(self._surveys, record, event)
            return
        self._nodes[event.node] = fetched(record, event)
        self.headers += found

    def after(self) -> ChainState:
        """Return the chain with all that was taken."""
        before = self._state
        return evolve(
            before,
            nodes=self._nodes,
            beacons=self._beacons,
            sought=self._sought,
            surveys=self._surveys,
            survey_due_ns=before.survey_due_ns if self._surveys is before.surveys else 0,
            round=self._round,
            finality=self._finality,
            contracts=self._contracts,
            awaited=tuple(sorted(self._awaited)),
        )
