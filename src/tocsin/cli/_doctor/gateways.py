"""The price gateways: whether each gives a price, as it would be asked by the daemon."""

from tocsin.cli._doctor.nodes import OTHERWISE, REMEDIES
from tocsin.cli._doctor.result import Result, fail, ok, warn
from tocsin.clock import EngineClock, SystemClock
from tocsin.config.feed import GatewayTable
from tocsin.model.observation import Fault, FaultKind
from tocsin.rpc.gateway import GatewaySession
from tocsin.rpc.resolver import Resolver
from tocsin.runtime.gateways import endpoint, plan
from tocsin.units import span_text

_REMEDIES = REMEDIES | {
    FaultKind.REFUSED: "is the url right, with its port?",
    FaultKind.NOT_JSON: "check its url: this is no JSON interface",
    FaultKind.MALFORMED: "check price and time: they name where in the answer these stand",
}


def subject_of(one: GatewayTable) -> str:
    """Return what a gateway is called in the report."""
    return f"price gateway {one.name}"


async def examine(one: GatewayTable, clock: EngineClock) -> Result:
    """Ask one gateway once. Never raises for what it does."""
    resolver = Resolver(SystemClock())
    session = GatewaySession(endpoint(one), plan(one), clock=clock, resolver=resolver)
    try:
        found = await session.ask()
    finally:
        await session.close()
        await resolver.close()
    subject = subject_of(one)
    if isinstance(found, Fault):
        said = f"{found.kind.value}: {found.detail}"
        return fail(subject, said, _REMEDIES.get(found.kind, OTHERWISE))
    said = f"{found.value} for {one.prices}"
    if found.at_ns is None:
        return ok(subject, said)
    age_ns = clock.wall_ns() - found.at_ns
    if age_ns > one.max_age_ns:
        return warn(subject, f"{said}, {span_text(age_ns)} old", "its price is too old to count; see max_age")
    return ok(subject, f"{said}, {span_text(age_ns)} old")
