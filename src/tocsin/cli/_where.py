"""Where the daemon lives: its runtime directory, found without loading the configuration as a whole."""

import os
from collections.abc import Mapping

from tocsin.errors import ConfigError, UsageError

DEFAULT_RUNTIME_DIR = "/run/tocsin"
DEFAULT_STATE_DIR = "/var/lib/tocsin"
SYSTEM_CONFIG = "/etc/tocsin/tocsin.toml"
LOCAL_CONFIG = "tocsin.toml"
NO_CONFIG = (
    f"no configuration: neither ./{LOCAL_CONFIG} nor {SYSTEM_CONFIG}; tocsin init writes one, --config names another"
)


def config_path(given: str | None, environ: Mapping[str, str]) -> str:
    """Return the configuration file: `--config`, `$TOCSIN_CONFIG`, `./tocsin.toml`, else the system's."""
    named = given or environ.get("TOCSIN_CONFIG")
    if named:
        return named
    return LOCAL_CONFIG if os.path.exists(LOCAL_CONFIG) else SYSTEM_CONFIG  # noqa: PTH110 - pathlib costs start-up


def needed_config(given: str | None, environ: Mapping[str, str]) -> str:
    """Return what `config_path` does, for a command that needs one. Raises UsageError when none was named or found."""
    path = config_path(given, environ)
    if not given and path == SYSTEM_CONFIG:
        try:
            os.stat(path)  # noqa: PTH116 - as above
        except FileNotFoundError:
            raise UsageError(NO_CONFIG) from None
        except OSError:
            pass  # It is there, and who reads it says what is wrong.
    return path


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


def state_dir(config: str | None, environ: Mapping[str, str]) -> str:
    """Return where the state directory is, by the configuration that `config_path` finds, as it is written there.

    Raises OSError where there is none, ConfigError for one that is no TOML.
    """
    return _configured(config_path(config, environ), "state_dir", DEFAULT_STATE_DIR)


def _configured(path: str, name: str = "runtime_dir", default: str = DEFAULT_RUNTIME_DIR) -> str:
    """Return a directory in `[watchdog]` of a file. That is enough: whether the rest is right, the daemon says."""
    import tomllib  # noqa: PLC0415 - only where a file has to be read

    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up
        try:
            tree = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError((f"{path}: {error}",)) from None
    table = tree.get("watchdog")
    value = table.get(name, default) if isinstance(table, dict) else default
    if not isinstance(value, str) or not value:
        raise ConfigError((f"{path}: watchdog.{name}: a directory is needed",))
    return os.path.join(os.path.dirname(os.path.abspath(path)), value)  # noqa: PTH100, PTH118, PTH120 - as above
