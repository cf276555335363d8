"""Lending markets where there are any: who has none pays neither for books and kernels nor for numpy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.clock import Clock
from tocsin.engine.state import EngineState
from tocsin.model.event import Event
from tocsin.model.settings import Settings
from tocsin.runtime.readers import Readers
from tocsin.runtime.supervisor import Supervisor
from tocsin.runtime.watch import Watch

if TYPE_CHECKING:
    from tocsin.runtime.markets import MarketWatch


class Lending:
    """Owns what values markets, from the first configuration on that has one, and answers what people ask of it."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        watch: Watch,
        readers: Readers,
        mono: Clock,
        now_ns: Callable[[], int],
        state: Callable[[], EngineState],
        emit: Callable[[Event], None],
    ) -> None:
        self._supervisor = supervisor
        self._watch = watch
        self._readers = readers
        self._mono = mono
        self._now_ns = now_ns
        self._state = state
        self._emit = emit
        self._found: MarketWatch | None = None

    @property
    def is_warm(self) -> bool:
        """Whether the kernels are ready, or nobody needs them."""
        return self._found is None or self._found.is_warm

    async def apply(self, settings: Settings, state_dir: Path) -> None:
        """Value what the configuration names, and nothing else."""
        if self._found is not None or any(chain.markets for chain in settings.chains):
            await self._markets().apply(settings, state_dir)

    def close(self) -> None:
        """End what runs."""
        if self._found is not None:
            self._found.close()

    async def stress(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Return what scenarios do to a market. Raises ControlError where it is not known, UsageError for nonsense."""
        from tocsin.runtime.marketasks import MarketAsks  # noqa: PLC0415 - see above

        return await MarketAsks(self._markets()).stress(request)

    async def account(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Return how an account stands in markets. Raises as `stress` does."""
        from tocsin.runtime.marketasks import MarketAsks  # noqa: PLC0415 - see above

        return await MarketAsks(self._markets()).account(request)

    def _markets(self) -> "MarketWatch":
        if self._found is None:
            from tocsin.runtime.markets import MarketWatch  # noqa: PLC0415 - see above

            self._found = MarketWatch(
                supervisor=self._supervisor,
                watch=self._watch,
                readers=self._readers,
                mono=self._mono,
                now_ns=self._now_ns,
                state=self._state,
                emit=self._emit,
            )
        return self._found
