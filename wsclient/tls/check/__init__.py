"""Why mutual TLS with a server fails, or that it does not: `check_tls`."""

from __future__ import annotations

from .probe import check_tls
from .report import ClientCertificateVerdict, TLSReport, TLSVerdict
from .steps import CheckStep, StepDirection, StepName

__all__ = [
    "CheckStep",
    "ClientCertificateVerdict",
    "StepDirection",
    "StepName",
    "TLSReport",
    "TLSVerdict",
    "check_tls",
]
