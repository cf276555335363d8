"""What the configuration says of a detector's alerts beside its Params."""

from collections.abc import Iterable, Iterator

from tocsin.model.alert import Finding
from tocsin.model.evolve import evolve


def kept_firing(findings: Iterable[Finding], keep_ns: int) -> Iterator[Finding]:
    """Yield the findings as those of alerts that have to stay clear for some time before they resolve."""
    for finding in findings:
        yield evolve(finding, limits=evolve(finding.limits, keep_firing_ns=keep_ns))
