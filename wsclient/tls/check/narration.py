"""An attempt told step by step, in the order of what went over the wire."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

from ...errors import TLSError
from ..certificates.peer import PeerCertificate
from ..handshake.alerts import alert_name
from ..identity.identity import ClientIdentity
from .findings import Findings, certificates, is_address, matches, words_of
from .link import EndedError
from .qualify import moment
from .steps import CheckStep, StepName
from .text import sentence, without_hint

__all__ = ["chain_step", "name_step", "outcome_steps", "request_steps", "steps_of"]

_VERSIONS: Final = {
    ssl.TLSVersion.TLSv1_2: "1.2",
    ssl.TLSVersion.TLSv1_3: "1.3",
    ssl.TLSVersion.MAXIMUM_SUPPORTED: "1.3",
}


def steps_of(found: Findings) -> Iterator[CheckStep]:
    """Tell an attempt up to its outcome, which `outcome_steps` tells."""
    yield from _reaching(found)
    handshake = found.attempt.handshake
    if handshake is None:
        return
    yield _client_hello(found)
    if not found.facts.answered:
        return
    yield _server_hello(found)
    # RFC 8446, section 2, and RFC 5246, section 7.3. Our own checks come last, but with TLS 1.3
    # nothing is sent before them.
    if found.facts.tls_version == "TLSv1.3":
        yield from request_steps(found)
        yield from _server(found)
        yield from _checks(found)
        yield from _client_certificate(found)
    else:
        yield from _server(found)
        yield from request_steps(found)
        yield from _client_certificate(found)
        yield from _checks(found)


def _reaching(found: Findings) -> Iterator[CheckStep]:
    attempt, host = found.attempt, found.target.host
    places = list(dict.fromkeys(place.address[0] for place in attempt.places))
    if not places:
        yield _failed_step("resolve", found)
        return
    if places != [host]:
        text = f"{host} is {', '.join(places)}."
        yield CheckStep("resolve", True, text, data={"addresses": places})
    for place, fault in attempt.refusals:
        mark = None if attempt.place is not None else False
        text = f"{place} took no connection: {words_of(fault)}."
        yield CheckStep("connect", mark, text, data={"address": str(place)})
    if attempt.place is not None:
        seconds = attempt.seconds.get("connect", 0.0)
        yield CheckStep(
            "connect",
            True,
            f"{attempt.place} took the TCP connection after {seconds * 1000:.1f} ms.",
            data={"address": str(attempt.place), "seconds": seconds},
        )


def _failed_step(name: StepName, found: Findings) -> CheckStep:
    return CheckStep(name, False, "" if found.error is None else without_hint(found.error))


def _client_hello(found: Findings) -> CheckStep:
    assert found.attempt.handshake is not None
    context = found.attempt.handshake.context
    oldest = _VERSIONS.get(context.minimum_version, "?")
    newest = _VERSIONS.get(context.maximum_version, "?")
    versions = f"TLS {oldest}" if oldest == newest else f"TLS {oldest} to {newest}"
    name = found.target.server_hostname
    # RFC 6066, section 3: an address is never sent there.
    asked = "no server name, as it is an address" if is_address(name) else f"server name {name}"
    return CheckStep(
        "client_hello",
        None,
        f"ClientHello: {versions}, {asked}, protocol http/1.1.",
        "sent",
        data={"minimum_version": oldest, "maximum_version": newest, "server_name": name},
    )


def _server_hello(found: Findings) -> CheckStep:
    handshake = found.attempt.handshake
    assert handshake is not None
    cipher = handshake.cipher()
    alpn = handshake.selected_alpn_protocol() if found.facts.established else None
    # A handshake of TLS 1.2 that fails does not tell what was agreed on.
    known = [found.facts.tls_version, cipher and cipher[0], alpn and f"protocol {alpn}"]
    told = ", ".join(each for each in known if each)
    return CheckStep(
        "server_hello",
        None,
        f"ServerHello: {told}." if told else "ServerHello.",
        "received",
        data={
            "tls_version": found.facts.tls_version,
            "cipher": cipher[0] if cipher else None,
            "alpn": alpn,
        },
    )


def request_steps(found: Findings) -> Iterator[CheckStep]:
    """Tell what a server asks for, or that it does not ask."""
    request = found.facts.request
    if request is None:
        if found.requested is False:
            text = "No CertificateRequest: the server does not ask who we are."
            yield CheckStep("certificate_request", None, text)
        return
    named = request.authorities or ("none named",)
    details = [f"authority: {name}" for name in named]
    details.append(f"signatures: {', '.join(request.signature_algorithms) or 'none named'}")
    if request.certificate_types:
        details.append(f"types: {', '.join(request.certificate_types)}")
    yield CheckStep(
        "certificate_request",
        None,
        "CertificateRequest: the server asks for our certificate.",
        "received",
        tuple(details),
        {
            "authorities": list(request.authorities),
            "signature_algorithms": list(request.signature_algorithms),
            "certificate_types": list(request.certificate_types),
        },
    )


def _server(found: Findings) -> Iterator[CheckStep]:
    chain = certificates(found.chain)
    if chain:
        yield chain_step(chain, verified=found.verifies)
    error = found.verify_error
    if error is not None and found.name_refused:
        text = f"Certificate of the server: it is not for {found.target.server_hostname}."
        yield CheckStep("name", False, text, "received", data={"verify_code": error[0]})
    elif error is not None:
        roots = ", ".join(found.facts.trust or ())
        text = f"Certificate of the server: {error[1]} (code {error[0]}). We trust: {roots}."
        yield CheckStep("chain", False, text, "received", data={"verify_code": error[0]})
    elif chain:
        yield from _accepted(found)


def _accepted(found: Findings) -> Iterator[CheckStep]:
    name = found.target.server_hostname
    if found.verifies:
        roots = ", ".join(found.facts.trust or ())
        text = f"It leads to a root that we trust ({roots}), and the dates are good."
        yield CheckStep("chain", True, text)
    else:
        yield CheckStep("chain", None, "Whether it leads to a root that we trust is not checked.")
    if found.checks_name:
        yield CheckStep("name", True, f"It is for {name}.")
    elif found.verifies:
        yield CheckStep("name", None, "Whether it is for the name is not checked.")


def _checks(found: Findings) -> Iterator[CheckStep]:
    if found.refused_by_checks:
        text = str(getattr(found.attempt.fault, "text", ""))
        yield CheckStep("checks", False, sentence(text))
    elif found.checks_more and found.facts.established:
        yield CheckStep("checks", True, "It passes the further checks: pins, SPIFFE or our own.")


def chain_step(chain: tuple[PeerCertificate, ...], *, verified: bool) -> CheckStep:
    """Tell what certificates a server has.

    Args:
        chain: the server's own first.
        verified: whether it is the verified chain, and not what the server sent.
    """
    kind = "verified up to the root" if verified else "as sent"
    details: list[str] = []
    for number, each in enumerate(chain):
        until = moment(each.not_after)
        details.append(f"{number}: {each.subject or '(no subject)'}, {each.key_type}")
        details.append(f"   by {each.issuer}, {moment(each.not_before)} to {until}")
        if number == 0:
            names = [*each.dns_names, *each.ip_addresses, *each.uris]
            details.append(f"   for {', '.join(names) or 'no name at all'}")
            details.append(f"   pin {each.spki_sha256}")
    subjects = [each.subject for each in chain]
    text = f"Certificate of the server, {kind}:"
    return CheckStep(
        "server_certificate", None, text, "received", tuple(details), {"subjects": subjects}
    )


def name_step(found: Findings, leaf: PeerCertificate) -> CheckStep:
    """Tell whether the certificate that a server sent is for the name that was asked for."""
    name = found.target.server_hostname
    if matches(name, leaf.facts):
        return CheckStep("name", True, f"It is for {name}.")
    return CheckStep("name", False, f"It is not for {name}.")


def _qualification(identity: ClientIdentity, faults: tuple[str, ...]) -> CheckStep:
    if faults:
        text = f"Ours does not fit: {identity.description}."
    else:
        text = f"Ours fits, as far as one can see: {identity.description}."
    return CheckStep("qualification", not faults, text, details=faults)


def _client_certificate(found: Findings) -> Iterator[CheckStep]:
    sent, identity, faults = found.sent, found.facts.identity, found.faults
    if identity is not None and faults is not None:
        yield _qualification(identity, faults)
    elif found.facts.request is not None:
        yield CheckStep("qualification", None, "No certificate of ours is configured.")
    if sent:
        yield CheckStep("client_certificate", None, "Certificate: ours.", "sent")
    elif found.refused_by_checks or found.verify_error is not None:
        if identity is not None and sent is False:
            text = "It is not sent: we do not trust the server."
            yield CheckStep("client_certificate", None, text)
    elif sent is False:
        yield CheckStep("client_certificate", None, "Certificate: an empty one.", "sent")


def outcome_steps(found: Findings) -> Iterator[CheckStep]:
    """Tell how an attempt came out, unless that has been told already."""
    attempt = found.attempt
    if attempt.succeeded:
        yield _success(found)
    elif attempt.handshake is None:
        # The resolver or each address has a line of its own.
        if attempt.places and not attempt.refusals:
            yield _failed_step("outcome", found)
    else:
        yield _failure(found)


def _success(found: Findings) -> CheckStep:
    if found.attempt.aftermath == "ticket":
        text = "A session ticket: the handshake is complete at the other end, too."
        return CheckStep("outcome", True, text, "received")
    if found.attempt.aftermath == "data":
        text = "Data: the handshake is complete at the other end, too."
        return CheckStep("outcome", True, text, "received")
    return CheckStep("outcome", True, "The handshake is complete, and no objection came.")


def _failure(found: Findings) -> CheckStep:
    attempt, error = found.attempt, found.error
    if isinstance(attempt.fault, ssl.SSLCertVerificationError):
        return _our_alert(found)
    if isinstance(error, TLSError) and error.alert_number is not None and error.side == "peer":
        text = f"Alert {error.alert} ({error.alert_number})."
        data = {"alert": error.alert, "alert_number": error.alert_number}
        return CheckStep("outcome", False, text, "received", data=data)
    if attempt.aftermath == "eof" or isinstance(attempt.fault, EndedError):
        reset = isinstance(attempt.fault, EndedError) and attempt.fault.reset
        text = f"The end of the connection ({'RST' if reset else 'FIN'}), and no alert."
        return CheckStep("outcome", False, text, "received", data={"reset": reset})
    if isinstance(attempt.fault, ssl.SSLError):
        reason = attempt.fault.reason or "no reason known"
        text = f"What OpenSSL cannot go on with: {reason}."
        return CheckStep("outcome", False, text, "received", data={"openssl_reason": reason})
    return CheckStep("outcome", False, f"Nothing more came: {words_of(attempt.fault)}.")


def _our_alert(found: Findings) -> CheckStep:
    assert found.attempt.handshake is not None
    sent = [alert_name(each) for who, each in found.attempt.handshake.alerts if who == "sent"]
    if sent and not found.refused_by_checks:
        return CheckStep("outcome", False, f"Alert {sent[-1]}: we refuse the server.", "sent")
    return CheckStep("outcome", False, "The end of the connection: we refuse the server.", "sent")
