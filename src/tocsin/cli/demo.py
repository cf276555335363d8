"""`tocsin demo`: the real daemon at work on simulated nodes that fail on cue."""

from typing import Annotated

import typer

from tocsin.errors import UsageError

BROKERS = ("mosquitto", "iotcore", "none")


def command(
    *,
    speed: Annotated[int, typer.Option("--speed", metavar="N", min=1, max=4, help="So many times as fast.")] = 1,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="N", min=0.1, help="Stop after N seconds at the latest.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="When the story is over, go on until Ctrl-C.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed, other blocks.")] = 0,
    broker: Annotated[
        str | None,
        typer.Option("--broker", metavar="NAME", help="mosquitto, iotcore or none; default: what is installed."),
    ] = None,
) -> None:
    """See alerts come and go: of six simulated nodes one forks and one stalls, then both heal. Takes half a minute.

    Everything is real but the chain: the daemon runs as `tocsin run`, the alerts arrive on an MQTT 5 broker. It needs
    no root, no key, no node and no network, listens on loopback alone and leaves nothing behind.

    Exit code: 0 when the story went as told, 1 when it did not, 130 when it was stopped before its end.
    """
    import asyncio  # noqa: PLC0415 - loads what the other commands do without

    from tocsin.cli import _fast  # noqa: PLC0415
    from tocsin.cli._demo.stage import Options, perform  # noqa: PLC0415
    from tocsin.cli._demo.words import Teller  # noqa: PLC0415
    from tocsin.clock import SystemClock  # noqa: PLC0415

    if broker is not None and broker not in BROKERS:
        raise UsageError(f"--broker {broker}: choose of {', '.join(BROKERS)}")
    options = Options(speed=speed, seed=seed, seconds=seconds, keep=keep, broker=broker)
    clock = SystemClock()
    teller = Teller(clock, _fast.print_out, colour=_fast.wants_colour())
    raise typer.Exit(asyncio.run(perform(options, clock, teller)))
