"""Where the daemon lives: its runtime directory, found without loading the configuration as a whole."""

import os
from collections.abc import Mapping

from tocsin.errors import ConfigError, UsageError

DEFAULT_RUNTIME_DIR = "/run/tocsin"
SYSTEM_CONFIG = "/etc/tocsin/tocsin.toml"
LOCAL_CONFIG = "tocsin.toml"


def config_path(given: str | None, environ: Mapping[str, str]) -> str:
    """Return the configuration file: `--config`, `$TOCSIN_CONFIG`, `./tocsin.toml`, else the system's."""
    named = given or environ.get("TOCSIN_CONFIG")
    if named:
        return named
    return LOCAL_CONFIG if os.path.exists(LOCAL_CONFIG) else SYSTEM_CONFIG  # noqa: PTH110 - pathlib costs start-up


def runtime_dir(given: str | None, config: str | None, environ: Mapping[str, str]) -> str:
    """Return where the control socket and the status file are.

    In this order: `--runtime-dir`, `--config`, `$TOCSIN_RUNTIME_DIR`, the configuration that `config_path` finds,
    `/run/tocsin`. Raises UsageError for a `--config` that is not there, ConfigError for one that is no TOML.
    """
    if given:
        return given
    if not config and environ.get("TOCSIN_RUNTIME_DIR"):
        return environ["TOCSIN_RUNTIME_DIR"]
    path = config_path(config, environ)
    try:
        return _configured(path)
    except FileNotFoundError:
        if config:
            raise UsageError(f"{config}: no such file") from None
        return DEFAULT_RUNTIME_DIR
    except OSError as error:
        if config:
            raise UsageError(f"{config}: {error.strerror}") from None
        return DEFAULT_RUNTIME_DIR


def _configured(path: str) -> str:
    """Return `[watchdog] runtime_dir` of a file. Its value is enough: whether the rest is right, the daemon says."""
    import tomllib  # noqa: PLC0415 - only where a file has to be read

    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up
        try:
            tree = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError((f"{path}: {error}",)) from None
    table = tree.get("watchdog")
    value = table.get("runtime_dir", DEFAULT_RUNTIME_DIR) if isinstance(table, dict) else DEFAULT_RUNTIME_DIR
    if not isinstance(value, str) or not value:
        raise ConfigError((f"{path}: watchdog.runtime_dir: a directory is needed",))
    return value
