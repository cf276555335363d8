"""Options that several commands share."""

import os
from typing import Annotated

import typer

from tocsin.cli import _where

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="FILE", help="Configuration; default ./tocsin.toml, then /etc/tocsin/tocsin.toml."
    ),
]
RuntimeDir = Annotated[
    str | None,
    typer.Option("--runtime-dir", metavar="DIR", help="Where the daemon's control socket is; default as configured."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with a versioned schema.")]


def daemon_dir(config: str | None, runtime_dir: str | None) -> str:
    """Return the runtime directory that these options and the environment point to."""
    return _where.runtime_dir(runtime_dir, config, os.environ)
