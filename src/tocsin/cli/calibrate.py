"""`tocsin calibrate`: what a recording tells of the world that simulations assume."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tocsin.cli import _fast
from tocsin.cli._options import AsJson
from tocsin.errors import UsageError

if TYPE_CHECKING:
    from tocsin.lab.arrivals import ChainArrivals

_SCHEMA: Final = 1

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _calibrate() -> None:
    """Fit what simulations assume to what was recorded."""


@app.command("arrivals")
def arrivals(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording, or a segment of the journal.")],
    *,
    chain: Annotated[
        str | None, typer.Option("--chain", metavar="NAME", help="Which chain, where the recording has several.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="TOML", help="Write a fragment that a scenario can include; must not exist."),
    ] = None,
    as_json: AsJson = False,
    prefix: Annotated[bool, typer.Option("--prefix", help="Take what is sound of a file that was cut short.")] = False,
) -> None:
    """Fit how late blocks come to each node (lognormal), and the share of empty slots.

    Delays count from a block's timestamp. They are known to lie between two polls and are fitted as such, so the poll
    interval blurs them but does not shift them. Times in which a node failed are left out.
    """
    from tocsin.lab import arrivals as lab  # noqa: PLC0415 - costs start-up

    found = _chosen(lab.read(file, prefix=prefix), chain)
    document = _document(file, found)
    if out is not None:
        _write(out, document)
    if as_json:
        _fast.print_out(json.dumps(document, indent=2) + "\n")
        return
    _fast.print_out(_table(document))


def _chosen(chains: "dict[str, ChainArrivals]", name: str | None) -> "ChainArrivals":
    watched = {key: found for key, found in chains.items() if found.nodes}
    if name is None and len(watched) == 1:
        return next(iter(watched.values()))
    if name is None:
        names = ", ".join(watched) or "none with a block in it"
        raise UsageError(f"the recording has these chains: {names}; choose one with --chain")
    if name not in watched:
        raise UsageError(f"the recording has no block of a chain {name}; it has {', '.join(watched) or 'none'}")
    return watched[name]


def _document(file: Path, found: "ChainArrivals") -> dict[str, Any]:
    nodes = []
    for name, node in sorted(found.nodes.items()):
        fitted = node.fitted()
        entry: dict[str, Any] = {"node": name, "blocks": len(node.intervals), "left_out": node.left_out}
        entry |= {
            "late": node.late,
            "implausible": node.implausible,
            "median_s": None,
            "median_95_s": None,
            "sigma": None,
            "sigma_error": None,
        }
        if fitted is not None:
            entry |= {
                "median_s": round(fitted.median_s, 3),
                "median_95_s": [round(fitted.low_s, 3), round(fitted.high_s, 3)],
                "sigma": round(fitted.sigma, 3),
                "sigma_error": round(fitted.sigma_error, 3),
            }
        nodes.append(entry)
    missed = None if found.missed is None else round(found.missed, 5)
    chain = {"name": found.settings.name, "block_time_s": found.settings.block_time_ns / 1e9}
    return {
        "schema": _SCHEMA,
        "file": file.name,
        "chain": chain | {"blocks": found.blocks, "slots": found.slots, "missed": missed},
        "nodes": nodes,
    }


def _table(document: dict[str, Any]) -> str:
    chain = document["chain"]
    missed = "unknown" if chain["missed"] is None else f"{chain['missed']:.2%}"
    lines = [f"{chain['name']}: {chain['blocks']} blocks in {chain['slots']} slots, empty slots {missed}", ""]
    lines.append(f"{'node':<20} {'blocks':>7} {'median':>8} {'95 %':>15} {'sigma':>6} {'left out':>9} {'late':>6}")
    for node in document["nodes"]:
        counts = f"{node['left_out']:>9} {node['late']:>6}"
        if node["median_s"] is None:
            lines.append(f"{node['node']:<20} {node['blocks']:>7} {'too few':>8} {'':>15} {'':>6} {counts}")
            continue
        low, high = node["median_95_s"]
        median = f"{node['median_s']:>6.2f} s {f'{low:.2f}-{high:.2f} s':>15} {node['sigma']:>6.2f}"
        lines.append(f"{node['node']:<20} {node['blocks']:>7} {median} {counts}")
    strange = [f"{node['implausible']} of {node['node']}" for node in document["nodes"] if node["implausible"]]
    if strange:
        why = "their height or time is none that the chain had then"
        lines += ["", f"heads left out altogether: {', '.join(strange)}; {why}"]
    return "\n".join(lines) + "\n"


def _write(out: Path, document: dict[str, Any]) -> None:
    chain = document["chain"]
    lines = [f"# Fitted by tocsin calibrate arrivals to {document['file']}."]
    if chain["missed"] is not None:
        lines += ["[chain]", f'missed = "{100 * chain["missed"]:.2f}%"']
    for node in document["nodes"]:
        if node["median_s"] is not None:
            low, high = node["median_95_s"]
            lines += ["", f"# {node['blocks']} blocks; the median lies between {low} and {high} s"]
            lines += [f"[arrival.{node['node']}]", f'median = "{round(1000 * node["median_s"])}ms"']
            lines += [f"sigma = {node['sigma']}"]
    try:
        with out.open("x") as stream:
            stream.write("\n".join(lines) + "\n")
    except FileExistsError:
        raise UsageError(f"{out} exists already; name another file") from None
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from None
