"""`tocsin version`. Without `--help` it never gets here: see `_fast`."""

import typer

from tocsin.cli import _fast
from tocsin.cli._options import AsJson


def command(*, as_json: AsJson = False) -> None:
    """Show the version."""
    raise typer.Exit(_fast.show_version(as_json=as_json))
