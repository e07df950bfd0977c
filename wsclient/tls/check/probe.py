"""`check_tls`: a handshake with a server, and what it tells about mutual TLS."""

from __future__ import annotations

import math
from typing import Any, Final

from yarl import URL

from ...errors import InvalidURLError, TLSError
from ...urls import parse_url, shown_url
from ..certificates.peer import PeerCertificate
from ..config import TLSConfig
from ..contexts.preparing import Prepared
from ..explaining.evidence import HandshakeFacts
from ..prepare import prepare
from .attempt import Target, attempt_handshake
from .findings import Findings, certificates, matches
from .narration import chain_step, name_step, outcome_steps, request_steps, steps_of
from .qualify import faults_of
from .report import TLSReport
from .steps import CheckStep
from .verdict import client_certificate_verdict, requirement, summary_of, verdict_of

__all__ = ["check_tls"]

_DEFAULT: Final = TLSConfig()


async def check_tls(
    url: str | URL, *, tls: TLSConfig | None = None, connect_timeout: float = 10.0
) -> TLSReport:
    """Do a TLS handshake with a server, send nothing else, and report what happened.

    The report tells what each side sent and checked, which client certificates the server asks
    for, whether ours is one of them, and what came of it. What fails is in the report, and is
    not raised: DNS, TCP and TLS.

    The connection is direct: proxies are not used, not even those of the environment. Sessions
    are not resumed. Up to two connections are made to the address. The second one is made

    - without our certificate and without verification, to see the server's certificates, if
      they were refused. Nothing is sent on it behind the handshake;
    - without our certificate, if the server accepted it, to see whether it insists on one.

    Some servers (nginx) complete the handshake with any client and refuse it in HTTP. That is not
    seen here; nor is a server that asks for a certificate after the handshake, for some paths.

    It may be cancelled, and leaves nothing open.

    Args:
        url: ``wss://`` or ``https://``; only host and port matter.
        tls: identity, trust and checks, as for `websocket_connect`; ``None`` for the defaults.
            With a key log file the handshakes are logged there.
        connect_timeout: seconds for resolving, connecting and the handshake, for each of the
            connections; more than 0. Up to one second is added, in which a server of TLS 1.3 may
            refuse our certificate.

    Returns:
        The report; there always is one.

    Raises:
        InvalidURLError: a `ValueError`; another scheme, or no usable host or port.
        TLSConfigurationError: a `ValueError`; identity or trust cannot be loaded. Nothing has
            been sent.
        ValueError: `connect_timeout` is not a positive, finite number.
        TypeError: a value of the wrong type.
    """
    parsed = _check_url(url)
    config = _check_config(tls)
    _check_timeout(connect_timeout)
    host = parsed.raw_host or ""
    # A zone belongs to this machine, and a dot at the end to the DNS; neither is in certificates.
    name = config.server_hostname or host.partition("%")[0].rstrip(".")
    target = Target(host, parsed.port or 443, name)
    return await _Check(shown_url(parsed), target, config, connect_timeout).run()


class _Check:
    """One run of `check_tls`."""

    def __init__(self, where: str, target: Target, config: TLSConfig, timeout: float) -> None:
        self._where = where
        self._target = target
        self._config = config
        self._timeout = timeout
        self._steps: list[CheckStep] = []

    async def run(self) -> TLSReport:
        first = await self._find(await prepare(self._config))
        self._steps += [*steps_of(first), *outcome_steps(first)]
        second: Findings | None = None
        if first.verify_error is not None:
            second = await self._look(first)
        elif first.error is None and first.sent:
            second = await self._without_identity(first)
        return self._report(first, second)

    async def _find(self, prepared: Prepared, like: Findings | None = None) -> Findings:
        place = None if like is None else like.attempt.place
        attempt = await attempt_handshake(
            self._target, prepared.context, self._timeout, place=place
        )
        facts = HandshakeFacts(
            where=self._where,
            identity=prepared.identity,
            trust=prepared.trust,
            server_hostname=self._target.server_hostname,
            handshake=attempt.handshake,
        )
        return Findings.of(attempt, self._target, facts)

    async def _look(self, first: Findings) -> Findings:
        """Connect once more to see the certificates that we have refused."""
        config = TLSConfig(
            verify=False,
            minimum_version=self._config.minimum_version,
            maximum_version=self._config.maximum_version,
            ciphers=self._config.ciphers,
        )
        found = await self._find(await prepare(config), first)
        text = (
            "A second connection, which verifies nothing and shows no certificate of ours, to "
            "see what was refused:"
        )
        self._steps.append(CheckStep("without_verification", None, text))
        chain = certificates(found.chain)
        if chain:
            self._steps.append(chain_step(chain, verified=False))
            if first.checks_name:
                self._steps.append(name_step(found, chain[0]))
        else:
            self._steps.append(
                CheckStep("server_certificate", None, "This time, no certificate came.")
            )
        if first.facts.request is None:
            self._steps += request_steps(found)
        return found

    async def _without_identity(self, first: Findings) -> Findings:
        """Connect once more, to see whether the server insists on a certificate."""
        found = await self._find(await prepare(self._config.without_identity()), first)
        required = requirement(found)
        if required is None:
            outcome = "it came to nothing, so that this is not known."
        elif required:
            alert = getattr(found.error, "alert", None)
            outcome = f"the server refuses it ({alert or 'without a word'}), so it insists on one."
        else:
            outcome = "it goes as well; the server insists on none, or only in HTTP."
        text = f"A second connection, without our certificate: {outcome}"
        data = {"certificate_required": required}
        self._steps.append(CheckStep("without_identity", None, text, data=data))
        return found

    def _report(self, first: Findings, second: Findings | None) -> TLSReport:
        chain = certificates(first.chain or (second.chain if second else ()))
        required = requirement(first) if second is None else requirement(second)
        verdict = client_certificate_verdict(first, required=required)
        return TLSReport(
            url=self._where,
            address=None if first.attempt.place is None else str(first.attempt.place),
            steps=tuple(self._steps),
            verdict=verdict_of(first, verdict),
            summary=summary_of(first, verdict),
            error=first.error,
            server_chain=chain,
            name_checked=self._target.server_hostname if first.checks_name else None,
            name_matches=_name_matches(first, chain),
            chain_error=first.verify_error,
            trust=first.facts.trust or (),
            certificate_requested=_requested(first, second),
            certificate_required=required,
            client_certificate=verdict,
            certificate_sent=_sent(first, second),
            **_agreed(first, second),
            **_asked(first, second),
        )


def _name_matches(first: Findings, chain: tuple[PeerCertificate, ...]) -> bool | None:
    if not first.checks_name or first.name_refused:
        return False if first.name_refused else None
    if first.chain:
        return True  # OpenSSL has checked it.
    return matches(first.target.server_hostname, chain[0].facts) if chain else None


def _requested(first: Findings, second: Findings | None) -> bool | None:
    if first.requested is None and second is not None:
        return second.requested
    return first.requested


def _sent(first: Findings, second: Findings | None) -> bool | None:
    if first.verify_error is not None and second is not None and second.requested:
        # With TLS 1.2 it had not asked yet when we refused it.
        return False
    return first.sent


def _agreed(found: Findings, second: Findings | None) -> dict[str, Any]:
    """Return what client and server have agreed on, and what went wrong then."""
    handshake, error = found.attempt.handshake, found.error
    alert = error.alert if isinstance(error, TLSError) and error.side == "peer" else None
    if handshake is None:
        return {"alert": alert}
    cipher = handshake.cipher()
    return {
        # A failed handshake of TLS 1.2 does not always tell.
        "tls_version": found.facts.tls_version or (second.facts.tls_version if second else None),
        "cipher": cipher[0] if cipher else None,
        "alpn": handshake.selected_alpn_protocol() if found.facts.established else None,
        "alert": alert,
    }


def _asked(first: Findings, second: Findings | None) -> dict[str, Any]:
    """Return what the server asked for, and whether our certificate is that."""
    identity = first.facts.identity
    request = first.facts.request or (second.facts.request if second else None)
    known: dict[str, Any] = {"identity": None if identity is None else identity.description}
    if request is None:
        return known
    known["acceptable_authorities"] = request.authorities
    known["signature_algorithms"] = request.signature_algorithms
    if identity is not None:
        known["identity_faults"] = faults_of(identity, request)
        known["identity_qualifies"] = not known["identity_faults"]
    return known


def _check_url(url: Any) -> URL:
    """Return a URL of a server that speaks TLS."""
    if not isinstance(url, (str, URL)):
        raise TypeError(f"url must be a str or a yarl.URL, not {type(url).__name__}.")
    try:
        parsed = parse_url(url, what="The URL", example="wss://host:port")
    except ValueError as exc:
        raise InvalidURLError(str(exc)) from None
    if parsed.scheme not in ("wss", "https"):
        raise InvalidURLError(
            f"The URL begins with {parsed.scheme}://, which has no TLS to check: write wss:// or "
            "https://."
        )
    return parsed


def _check_config(tls: Any) -> TLSConfig:
    if tls is None:
        return _DEFAULT
    if not isinstance(tls, TLSConfig):
        raise TypeError(f"tls must be a TLSConfig or None, not {type(tls).__name__}.")
    # A server does not look at our certificate again in a session that is resumed.
    return tls.replace(session_resumption=False) if tls.session_resumption else tls


def _check_timeout(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"connect_timeout must be a number, not {type(value).__name__}.")
    if not (value > 0 and math.isfinite(value)):
        raise ValueError("connect_timeout must be a finite number of seconds, more than 0.")
