"""Certificates for tests of TLS and mutual TLS, made in memory and written on demand."""

from __future__ import annotations

from .authority import CertificateAuthority, RevocationReason
from .building import Moment, Name, Purpose
from .files import CertificateFiles, PEMIdentity
from .issued import IssuedCertificate, Rooted
from .issuing import IssueOptions, self_signed_certificate
from .keys import KeyType, PrivateKey, generate_key
from .volume import KubernetesVolume

__all__ = [
    "CertificateAuthority",
    "CertificateFiles",
    "IssueOptions",
    "IssuedCertificate",
    "KeyType",
    "KubernetesVolume",
    "Moment",
    "Name",
    "PEMIdentity",
    "PrivateKey",
    "Purpose",
    "RevocationReason",
    "Rooted",
    "generate_key",
    "self_signed_certificate",
]
