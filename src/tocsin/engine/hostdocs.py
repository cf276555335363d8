"""What the status says of the host."""

from tocsin.engine.state import EngineState
from tocsin.engine.timesources import usable
from tocsin.model.host import CertificateRecord, ClockRecord, DiskRecord, UnitRecord

_DAY_S = 86_400


def host(state: EngineState) -> dict[str, object] | None:
    """Return disks, units, clock and certificates as they were seen last; None where the host is not watched."""
    wanted = state.settings.host if state.settings is not None else None
    if wanted is None:
        return None
    known = state.host
    return {
        "disks": [_disk(path, known.disks.get(path)) for path in wanted.disks],
        "units": [_unit(unit, known.units.get(unit)) for unit in wanted.units],
        "clock": _clock(known.clock) if wanted.ntp else None,
        "certificates": [
            _certificate(name, known.certificates.get(name), state.wall_ns) for name in wanted.certificates
        ],
    }


def _disk(path: str, record: DiskRecord | None) -> dict[str, object]:
    row: dict[str, object] = {"path": path, "used_permille": None, "inodes_permille": None, "full_in_h": None}
    if record is None:
        return row | {"problem": "not looked at yet"}
    if not record.sample.problem:
        row |= {
            "used_permille": record.sample.used_permille,
            "inodes_permille": record.sample.inodes_permille,
            "full_in_h": record.full_in_h,
        }
    return row | {"problem": record.sample.problem}


def _unit(unit: str, record: UnitRecord | None) -> dict[str, object]:
    if record is None:
        return {"unit": unit, "active": "unknown", "sub": "", "restarts": None, "problem": "not looked at yet"}
    sample = record.sample
    return {
        "unit": unit,
        "active": "unknown" if sample.problem else sample.active,
        "sub": "" if sample.problem else sample.sub,
        "restarts": sample.restarts,
        "problem": sample.problem,
    }


def _clock(record: ClockRecord) -> dict[str, object]:
    return {
        "state": "unknown" if record.offset_ns is None else "known",
        "offset_ms": None if record.offset_ns is None else record.offset_ns // 10**6,
        "servers": len(record.samples),
        "usable": len(usable(record.samples)),
        "false": list(record.false),
        "problems": [f"{one.server}: {one.problem}" for one in record.samples if one.problem],
    }


def _certificate(endpoint: str, record: CertificateRecord | None, wall_ns: int) -> dict[str, object]:
    if record is None:
        return {"endpoint": endpoint, "days_left": None, "distrust": "", "problem": "not looked at yet"}
    sample = record.sample
    left = None if sample.not_after_s is None else (sample.not_after_s - wall_ns // 10**9) // _DAY_S
    return {"endpoint": endpoint, "days_left": left, "distrust": sample.distrust, "problem": sample.problem}
