"""An incident for whoever asks at the control socket: its events and the stretch of the journal around it, in pieces.

The recording travels over the socket, so that it ends up where the asker may write, as his file: the daemon itself may
write nowhere but in its own directories.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tocsin.config.load import Loaded
from tocsin.config.show import as_toml
from tocsin.errors import StoreError
from tocsin.lab.incident import Incident, cut, parts, recent, seek, span
from tocsin.store import EvidenceFolder, Exported, Store

CHUNK: Final = 512 * 1024
"""Bytes of the recording that go at once: as text a megabyte at most, which a reader takes as one line."""


class Incidents:
    """Answers about incidents from one store. Two exports at a time would cost twice the disk, so there is one."""

    def __init__(self, store: Store, state_dir: Path) -> None:
        self._store = store
        self._evidence = EvidenceFolder(state_dir)
        self._part = state_dir / "incident.part"
        self._one = asyncio.Lock()

    async def recent(self, count: int) -> list[dict[str, object]]:
        """Return the incidents that changed last, the newest first."""
        return await asyncio.to_thread(recent, self._store.history, count)

    async def export(self, wanted: str, margin_ns: int, now_wall_ns: int) -> AsyncGenerator[dict[str, object], None]:
        """Yield the pieces of one incident: its events, then the recording, then what that holds and what it lacks.

        Raises StoreError, also for one that is not known.
        """
        incident = await asyncio.to_thread(seek, self._store.history, wanted)
        for piece in parts(incident):
            yield piece
        for name, data in (await asyncio.to_thread(self._kept, incident)).items():
            for at in range(0, len(data), CHUNK):
                yield {"kind": "evidence", "digest": name, "data": base64.b64encode(data[at : at + CHUNK]).decode()}
        async with self._one:
            try:
                exported = await self._recorded(incident, margin_ns, now_wall_ns)
                with self._part.open("rb") as file:
                    while chunk := await asyncio.to_thread(file.read, CHUNK):
                        yield {"kind": "recording", "data": base64.b64encode(chunk).decode()}
                yield {"kind": "recorded", "missing": missing(exported)}
            except StoreError as error:
                yield {"kind": "recorded", "missing": [str(error)]}
            finally:
                self._part.unlink(missing_ok=True)

    def _kept(self, incident: Incident) -> dict[str, bytes]:
        return kept(incident, self._evidence)

    async def _recorded(self, incident: Incident, margin_ns: int, now_wall_ns: int) -> Exported:
        with suppress(FileNotFoundError):
            self._part.unlink()
        since, until = span(incident, margin_ns, now_wall_ns)
        return await self._store.export(self._part, from_wall_ns=since, to_wall_ns=until)


def kept(incident: Incident, folder: EvidenceFolder) -> dict[str, bytes]:
    """Return the evidence that was too long for the incident's events, by digest, as far as it is still there."""
    found = {name: folder.find(name) for name in cut(incident)}
    return {name: data for name, data in found.items() if data is not None}


def about(loaded: Loaded, now_wall_ns: int) -> dict[str, object]:
    """Return the piece that tells whose incidents these are, and the configuration in force, without secrets."""
    watchdog = loaded.tree.watchdog
    return {
        "kind": "about",
        "watchdog": f"{watchdog.site}/{watchdog.name}",
        "now_wall_ns": now_wall_ns,
        "config_hash": loaded.settings.config_hash,
        "shown": as_toml(loaded.document),
    }


def missing(exported: Exported) -> list[str]:
    """Return the gaps of an exported recording in words."""
    return [f"events {gap.first_event} to {gap.last_event}: {gap.reason}" for gap in exported.gaps]
