"""The systemd units, judged by systemd's own tools. Skipped where these are missing, but not in CI."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
UNIT = UNITS / "tocsin.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"), reason="systemd is not installed"
)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=60, check=False)


def installed(folder: Path, *, drop_in: str = "") -> Path:
    """Return a copy of the unit as an installation has it: the program exists where ExecStart says."""
    program = folder / "tocsin"
    program.write_text(f"#!{sys.executable}\n")
    program.chmod(0o755)
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/tocsin", str(program)))
    if drop_in:
        drop_ins = folder / "tocsin.service.d"
        drop_ins.mkdir()
        shutil.copy(UNITS / "tocsin.service.d" / drop_in, drop_ins)
    return unit


def settings(text: str, section: str = "Service") -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser[section]


def systemd_version() -> int:
    return int(run("systemd-analyze", "--version").stdout.split()[1])


@needs_systemd
@pytest.mark.parametrize("drop_in", ["", "fast.conf"])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, drop_in: str) -> None:
    done = run("systemd-analyze", "verify", "--man=no", installed(tmp_path, drop_in=drop_in))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@needs_systemd
def test_the_growing_pause_is_known_to_the_systemd_that_it_is_for(tmp_path: Path) -> None:
    complaints = run("systemd-analyze", "verify", "--man=no", installed(tmp_path, drop_in="backoff.conf")).stderr
    unknown = re.findall(r"Unknown key(?: name)? '(\w+)'", complaints)
    assert unknown == ([] if systemd_version() >= 254 else ["RestartSteps", "RestartMaxDelaySec"])
    assert len(complaints.splitlines()) == len(unknown)


@needs_systemd
def test_the_verification_would_find_a_misspelt_key(tmp_path: Path) -> None:
    unit = installed(tmp_path)
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in run("systemd-analyze", "verify", "--man=no", unit).stderr


@needs_systemd
def test_the_unit_is_as_hardened_as_promised() -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", UNIT)
    assert done.returncode == 0, done.stdout


@needs_systemd
def test_the_user_is_made_by_sysusers(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = run("systemd-sysusers", f"--root={tmp_path}", UNITS / "sysusers.d" / "tocsin.conf")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^tocsin:x:\d+:\d+:Tocsin node watchdog:/var/lib/tocsin:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE
    )


@needs_systemd
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders to others")
def test_folders_are_made_by_tmpfiles_and_secrets_are_not_for_everybody(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", UNITS / "sysusers.d" / "tocsin.conf")
    done = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", UNITS / "tmpfiles.d" / "tocsin.conf")
    assert done.returncode == 0, done.stderr
    modes = {
        name: (tmp_path / name).stat().st_mode & 0o777 for name in ("etc/tocsin", "var/lib/tocsin", "etc/credstore")
    }
    assert modes == {"etc/tocsin": 0o750, "var/lib/tocsin": 0o700, "etc/credstore": 0o700}


def test_the_unit_keeps_its_promises_to_the_daemon() -> None:
    service = settings(UNIT.read_text())
    assert {key: service[key] for key in ("Type", "NotifyAccess", "WatchdogSec", "Restart", "User")} == {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "20s",
        "Restart": "always",
        "User": "tocsin",
    }
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert (service["StateDirectory"], service["RuntimeDirectory"]) == ("tocsin", "tocsin")
    assert service["LoadCredential"].startswith("mqtt:")
    assert service["MemoryDenyWriteExecute"] == "yes"


def test_the_unit_starts_a_daemon_again_however_often_it_ends() -> None:
    # Were it ten times in five minutes, one event that ends every life would end the watch for good.
    assert settings(UNIT.read_text(), "Unit")["StartLimitIntervalSec"] == "0"
    assert settings(UNIT.read_text())["RestartSec"] == "5s"


def test_only_the_drop_in_for_compiled_kernels_loosens_memory() -> None:
    drop_ins = {path.name: dict(settings(path.read_text())) for path in (UNITS / "tocsin.service.d").iterdir()}
    assert drop_ins == {
        "fast.conf": {
            "MemoryDenyWriteExecute": "no",
            "CacheDirectory": "tocsin",
            "CacheDirectoryMode": "0700",
            "Environment": "NUMBA_CACHE_DIR=/var/cache/tocsin",
        },
        "backoff.conf": {"RestartSec": "1s", "RestartSteps": "8", "RestartMaxDelaySec": "60s"},
    }
