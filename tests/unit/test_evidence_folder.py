"""Long evidence stays as it was written, under its digest, within a bound; a disk that refuses it stops nothing."""

import errno
import os
from pathlib import Path

import pytest

from tocsin.ids import digest
from tocsin.store import EvidenceFolder


def named(text: str) -> dict[str, bytes]:
    return {digest(text.encode()): text.encode()}


def test_evidence_is_found_by_its_digest_and_only_by_its_owner(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    [(name, data)] = named("one").items()
    assert folder.find(name) is None
    assert folder.keep({name: data}) == ""
    assert folder.find(name) == data
    assert (folder.path.stat().st_mode & 0o777, (folder.path / f"{name}.json").stat().st_mode & 0o777) == (0o700, 0o600)
    assert [file.name for file in folder.path.iterdir()] == [f"{name}.json"]


def test_evidence_that_was_changed_is_not_found_and_is_written_again(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    [(name, data)] = named("one").items()
    folder.keep({name: data})
    (folder.path / f"{name}.json").write_bytes(b"two")
    assert folder.find(name) is None
    folder.keep({name: data})
    assert folder.find(name) == data


def test_what_no_alert_has_shown_for_longest_goes_first(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, most_bytes=25)
    for at, text in enumerate(("a" * 10, "b" * 10, "c" * 10)):
        folder.keep(named(text))
        name = digest(text.encode())
        os.utime(folder.path / f"{name}.json", ns=(at, at))
    kept = [text for text in "abc" if folder.find(digest(text.encode() * 10))]
    assert kept == ["b", "c"]
    folder.keep(named("b" * 10))
    folder.keep(named("d" * 10))
    assert [text for text in "abcd" if folder.find(digest(text.encode() * 10))] == ["b", "d"]


def test_what_is_just_kept_stays_however_large_it_is(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, most_bytes=25)
    folder.keep(named("a" * 100))
    assert folder.find(digest(b"a" * 100)) is not None


def test_what_a_crash_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    folder.path.mkdir()
    (folder.path / "0123.part").write_bytes(b"half")
    folder.keep(named("one"))
    assert len(list(folder.path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_bytes(b"a file")
    said = EvidenceFolder(tmp_path).keep(named("one"))
    assert said == f"{tmp_path / 'evidence'}: cannot be written: File exists"


def test_a_full_disk_keeps_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    folder = EvidenceFolder(tmp_path)
    assert folder.keep(named("one")).endswith(": cannot be written: No space left on device")
    assert list(folder.path.iterdir()) == []


def test_a_name_that_is_no_digest_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_bytes(b"{}")
    folder = EvidenceFolder(tmp_path)
    folder.keep(named("one"))
    assert folder.find("../secret") is None
    assert folder.find("") is None
