"""The configuration file, as the daemon reads it at its start and at every reload."""

import logging
from collections.abc import Mapping
from pathlib import Path

from tocsin.config.load import Loaded, load
from tocsin.config.registry import registry_of
from tocsin.detect import REGISTRY
from tocsin.runtime.descriptors import raise_limit, shortage

log = logging.getLogger(__name__)


def read_config(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Load a configuration with the detectors of this version. Raises ConfigError."""
    return load(path, registry=registry_of(REGISTRY), environ=environ)


def tell_warnings(loaded: Loaded) -> None:
    """Say what is odd about a configuration, and what this process lacks for it."""
    for warning in (*loaded.warnings, shortage(loaded.tree, raise_limit())):
        if warning:
            log.warning("%s", warning)
