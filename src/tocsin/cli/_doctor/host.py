"""This host: folders, secrets, the clock's synchronisation, systemd, and whether the daemon runs."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tocsin.cli import _fast
from tocsin.cli._doctor.result import Result, fail, ok, skip, warn
from tocsin.config.feed import GatewayTable
from tocsin.config.secrets import ConfiguredSecret, Sources
from tocsin.config.tree import Asked, Tree

NEEDED: Final = 4 * 10**9
"""Bytes that the state directory should have free: the journal's usual limit twice."""

SCARCE: Final = 200 * 10**6
"""Below this the journal is about to stop."""

MQTT: Final = "mqtt"


def folders(tree: Tree) -> Iterator[Result]:
    """Look at the state and the runtime directory."""
    for key in ("state_dir", "runtime_dir"):
        folder = Path(getattr(tree.watchdog, key))
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            yield fail(key, f"{existing} cannot be written by this user", f"run as the daemon's user, or set {key}")
        elif key == "runtime_dir":
            yield ok(key, f"{folder} is writable" if existing == folder else f"{folder} will be made")
        else:
            yield _space(folder, shutil.disk_usage(existing).free, max(NEEDED, 2 * tree.journal.max_size))


def _space(folder: Path, free: int, wanted: int) -> Result:
    said = f"{folder} has {free / 1e9:.1f} GB free"
    if free < SCARCE:
        return fail("state_dir", said, "make room: the journal stops first, alerts go out unrecorded at last")
    if free < wanted:
        return warn(
            "state_dir", said, f"the journal may need {wanted / 1e9:.0f} GB: make room or lower journal.max_size"
        )
    return ok("state_dir", said)


def secrets(tree: Tree, sources: Sources) -> Iterator[Result]:
    """Look at the files that hold secrets: there, readable, and for nobody else to read."""
    found = False
    for owner, key, secret in _secrets(tree):
        if secret.source is None:
            continue
        found = True
        subject = f"{owner} {key} ({secret.source.kind} {secret.source.name})"
        path = sources.path(secret.source)
        problem = _problem(secret, sources)
        if problem:
            yield fail(subject, problem, "put it there; for the unit, see LoadCredential= in tocsin.service")
        elif path is not None and secret.source.kind == "file" and path.stat().st_mode & stat.S_IROTH:
            yield fail(subject, f"{path} can be read by everybody", f"chmod 600 {path}")
        else:
            yield ok(subject, "readable")
    if not found:
        yield ok("secrets", "none is kept outside the configuration")


def lacking(tree: Tree, sources: Sources) -> frozenset[str]:
    """Return who lacks a secret here, `mqtt` or `chain/node`: asking it without would say nothing of it."""
    return frozenset(owner for owner, _, secret in _secrets(tree) if _problem(secret, sources))


def _problem(secret: ConfiguredSecret, sources: Sources) -> str:
    """Return why a secret cannot be read, empty when it can."""
    if secret.source is None:
        return ""
    try:
        sources.read(secret.source)
    except ValueError as error:
        return str(error)
    return ""


def _asked(tree: Tree) -> Iterator[tuple[str, Asked | GatewayTable]]:
    """Yield what is asked over HTTP, by what it is called in the report."""
    for chain in tree.chains:
        yield from ((f"{chain.name}/{node.name}", node) for node in chain.everyone)
    yield from ((f"price gateway {gateway.name}", gateway) for gateway in tree.gateways)


def _secrets(tree: Tree) -> Iterator[tuple[str, str, ConfiguredSecret]]:
    """Yield owner, key and secret."""
    if tree.mqtt is not None:
        yield MQTT, "url", tree.mqtt.url
        if tree.mqtt.password is not None:
            yield MQTT, "password", tree.mqtt.password
    for owner, asked in _asked(tree):
        for key in ("url", "ws", "proxy"):
            secret = getattr(asked, key, None)
            if secret is not None:
                yield owner, key, secret
        for header, value in asked.headers.items():
            yield owner, f"header {header}", value
    for channel in tree.channels:
        kept = {"url": channel.url, "key": channel.key}
        yield from ((f"channel {channel.name}", key, found) for key, found in kept.items() if found is not None)


def configuration_file(path: str) -> Result:
    """Look at who may read the configuration: it may hold secrets."""
    mode = Path(path).stat().st_mode
    if mode & (stat.S_IWOTH | stat.S_IWGRP):
        return fail("configuration", f"{path} can be changed by others than its owner", f"chmod go-w {path}")
    return ok("configuration", f"{path} holds")


def descriptors(tree: Tree) -> Result:
    """Compare what this user may open with what the configuration can need. The unit has a limit of its own."""
    from tocsin.runtime.descriptors import needed, raise_limit, shortage  # noqa: PLC0415 - see tocsin.cli.main

    limit = raise_limit()
    lack = shortage(tree, limit)
    if lack:
        said, todo = lack.split("; ", 1)
        return warn("open files", said, todo)
    return ok("open files", f"{limit} are allowed, at most {needed(tree)} are needed")


def synchronised() -> Result:
    """Ask systemd whether the clock is set by somebody who knows the time."""
    timedatectl = shutil.which("timedatectl")
    todo = "set it by NTP: apt install chrony, or timedatectl set-ntp true"
    if timedatectl is None:
        return skip("clock source", "timedatectl is not here; look with chronyc tracking or ntpq -p")
    command = [timedatectl, "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired):
        return skip("clock source", "timedatectl does not answer")
    match done.stdout.strip():
        case "yes":
            return ok("clock source", "synchronised")
        case "no":
            return warn("clock source", "this host's clock is not synchronised", todo)
        case _:
            return skip("clock source", "systemd does not say: it does not run here")


def service_manager(environ: Mapping[str, str], folder: Path = Path("/run/systemd/system")) -> Result:
    """Look whether there is a service manager that restarts a hung daemon."""
    if environ.get("NOTIFY_SOCKET"):
        return ok("systemd", "this process is one of its services")
    if folder.is_dir():
        return ok("systemd", "it runs here; the unit is systemd/tocsin.service")
    return warn(
        "systemd", "it does not run here", "nothing restarts a hung daemon: let your supervisor run tocsin check"
    )


def running(runtime_dir: str) -> Result:
    """Ask the daemon, the way `tocsin status` does."""
    verdict = _fast.read(runtime_dir)
    if verdict.document is None:
        return warn("daemon", verdict.reason, "start it: tocsin run, or systemctl start tocsin")
    if not verdict.fresh:
        return fail("daemon", verdict.reason, "look at its log, then restart it")
    return ok("daemon", f"it runs, and its status is {verdict.level}")
