"""From a configuration file to a daemon that runs: opens the store and takes up where the last life ended."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from tocsin import __version__
from tocsin.clock import SystemClock
from tocsin.engine.codec import FORMAT
from tocsin.runtime import endpoints
from tocsin.runtime.configuration import read_config, tell_warnings
from tocsin.runtime.daemon import Daemon
from tocsin.runtime.logs import LoopErrors
from tocsin.runtime.recovery import recover
from tocsin.runtime.systemd import Notifier
from tocsin.store import Origin, Store


async def live(path: Path, environ: Mapping[str, str] | None = None) -> None:
    """Run the daemon with the configuration at `path` until it is told to stop.

    Raises ConfigError, StoreError, SchemaTooNew or ControlError when it cannot start; each says what to do.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(LoopErrors())
    hung_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    environ = os.environ if environ is None else environ
    loaded = read_config(path, environ)
    tell_warnings(loaded)
    journal = endpoints.limits(loaded.tree.journal)
    origin = Origin(code=__version__, codec=FORMAT, config_hash=loaded.settings.config_hash)
    state_dir = Path(loaded.tree.watchdog.state_dir)
    clock = SystemClock()
    async with await Store.open(state_dir, clock=clock, limits=journal, origin=origin) as store:
        past = await recover(store, clock, Notifier.from_environ(environ, clock).starting)
        await Daemon(path, loaded, store, past, environ=environ, hung_up=hung_up.is_set).run()
