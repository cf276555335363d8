"""A certificate of an endpoint that ends soon, has ended, or that cannot be trusted.

Who watches over TLS is cut off by the same certificate as everybody else, so it is looked at before it ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.clock import NS
from tocsin.detect.base import SelfDetector
from tocsin.model.alert import Finding, Grade, Limits, Over, Under
from tocsin.model.host import ENDPOINT, CertificateRecord, labels_of
from tocsin.model.view import SelfView

ID = "host.cert"
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class CertParams:
    """In days until it ends. Most are renewed 30 days before, those of 90 days and shorter a third of it before."""

    warning_days: int | None = 14
    critical_days: int | None = 3
    clear_days: int = 21
    """What has more left is well."""
    distrusted: Over | None = Over(over=1)
    """Its chain cannot be verified, or it is of another host: a warning."""


def host_cert(view: SelfView, params: CertParams) -> Iterator[Finding]:
    """Yield one finding per endpoint whose certificate is in trouble; `value` in days that it ends too early, or 1."""
    if view.host is None:
        return
    for record in view.host.record.certificates.values():
        sample = record.sample
        if sample.problem or sample.not_after_s is None:
            continue
        left_s = sample.not_after_s - view.wall_ns // NS
        days = left_s // _DAY_S
        if days < params.clear_days and (days < _most(params) or not sample.distrust):
            yield _ending(view, params, record, left_s)
        elif sample.distrust:
            limits = Limits(warning=params.distrusted)
            said = f"the certificate of {sample.endpoint} cannot be trusted: {sample.distrust}"
            yield _finding(view, record, 1, "distrust", limits, said)


def _most(params: CertParams) -> int:
    return max(params.warning_days or 0, params.critical_days or 0) + 1


def when(left_s: int) -> str:
    """Say when a certificate ends, or ended, that has so many seconds left."""
    days = abs(left_s) // _DAY_S
    span = "less than a day" if days == 0 else "1 day" if days == 1 else f"{days} days"
    return f"ends in {span}" if left_s >= 0 else f"ended {span} ago"


def _ending(view: SelfView, params: CertParams, record: CertificateRecord, left_s: int) -> Finding:
    days = left_s // _DAY_S
    limits = Limits(
        warning=_within(params.warning_days, params.clear_days),
        critical=_within(params.critical_days, params.clear_days),
        clear=Under(under=1),
    )
    said = f"the certificate of {record.sample.endpoint} {when(left_s)}"
    return _finding(view, record, params.clear_days - days, f"days short of {params.clear_days}", limits, said)


def _within(days: int | None, clear: int) -> Over | None:
    """Return the limit that is reached when no more days than this are left."""
    return None if days is None else Over(over=max(1, clear - days))


def _finding(view: SelfView, record: CertificateRecord, value: int, unit: str, limits: Limits, said: str) -> Finding:
    sample = record.sample
    return Finding(
        detector=ID,
        labels=labels_of(view.labels, (ENDPOINT, sample.endpoint)),
        value=value,
        unit=unit,
        limits=limits,
        sample=record.number,
        summary=said,
        grade=Grade.PROVEN,
        evidence={"not_after": sample.not_after_s, "distrust": sample.distrust},
    )


DETECTOR = SelfDetector(id=ID, params=CertParams, run=host_cert)
