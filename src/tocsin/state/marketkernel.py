"""The kernel that values books, chosen and warmed up once: compiling takes seconds, and no block waits for that."""

from fractions import Fraction

from tocsin.risk.backend import Backend, backend
from tocsin.risk.book import Book
from tocsin.risk.columns import Band, Column, Columns
from tocsin.risk.factors import Factors
from tocsin.risk.kernel import Kernel
from tocsin.risk.scenarios import Scenarios
from tocsin.risk.stress import stress, worst
from tocsin.risk.table import Legs
from tocsin.state.marketread import Worker


class Warm:
    """Warms the kernel up when it is first asked for, in the thread that uses it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._found: Backend | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it was warmed up."""
        return self._found is not None

    async def kernel(self) -> Kernel:
        """Return the kernel."""
        if self._found is None:
            self._found = await self._worker.do(_warmed)
        return self._found.kernel

    @property
    def told(self) -> str:
        """What is said of it: its name, and why it is not the compiled one."""
        if self._found is None:
            return ""
        return f"{self._found.kernel.name} ({self._found.why})" if self._found.why else self._found.kernel.name


def _warmed() -> Backend:
    """Choose a backend, and let it do everything once."""
    found = backend()
    column = Column(
        asset="0x00",
        collateral=Fraction(1),
        raw=Fraction(1),
        debt=Fraction(1),
        collateral_step=Fraction(0),
        debt_step=Fraction(0),
    )
    columns = Columns(all=(column,), band=Band(), block_number=0, block_hash="", time_s=0)
    book = Book.of(columns.names, {bytes(20): Legs(collateral={0: 2}, debt={0: 1})})
    factors = Factors.of(columns)
    scenarios = Scenarios.of(factors, [{"0x00": 0.9}])
    stress(book, factors, scenarios, found.kernel)
    worst(book, factors, scenarios, found.kernel)
    return found
