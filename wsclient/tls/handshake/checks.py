"""What a server's certificate must have besides what OpenSSL checks: pins, SPIFFE ids, consent."""

from __future__ import annotations

import base64
import binascii
import inspect
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from ...errors import TLSConfigurationError
from ..certificates.peer import PeerCertificate
from ..certificates.spiffe import is_spiffe_id, is_trust_domain, trust_domain_of

__all__ = ["AuthorizeServer", "PeerChecks", "PeerRefusedError", "Refusal"]

AuthorizeServer = Callable[[PeerCertificate], object]
"""Returns True or ``None`` to accept a server and False to refuse it; or raises to refuse it."""

Refusal = Literal["pin_mismatch", "spiffe_id_mismatch", "not_authorized"]

_PIN: Final = "sha256//"
_DIGEST_SIZE: Final = 32
_PIN_FORM: Final = "'sha256//' and the base64 of the SHA-256 of the server's public key"


class PeerRefusedError(ssl.SSLCertVerificationError):
    """The server's certificate has passed OpenSSL's checks, but not ours.

    It is raised inside the handshake and looks like OpenSSL's own refusal to whoever runs it.

    Attributes:
        refusal: ``"pin_mismatch"``, ``"spiffe_id_mismatch"`` or ``"not_authorized"``.
        text: one sentence that says what is wrong.
        hint: one sentence on what to do about it.
        verify_code: always 50, ``X509_V_ERR_APPLICATION_VERIFICATION``.
        verify_message: the same as `text`.
        reason: always ``"CERTIFICATE_VERIFY_FAILED"``.
        library: always ``"SSL"``.
    """

    def __init__(self, refusal: Refusal, text: str, hint: str) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, text)
        self.refusal = refusal
        self.text = text
        self.hint = hint
        self.verify_code = 50
        self.verify_message = text
        self.reason = "CERTIFICATE_VERIFY_FAILED"
        self.library = "SSL"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.refusal, self.text, self.hint)


@dataclass(frozen=True, slots=True, init=False)
class PeerChecks:
    """What a server's certificate must have. Immutable and hashable; false if there is nothing.

    All that is given must hold.

    Attributes:
        pins: of public keys, in curl's form. Only the server's own certificate counts, as with
            curl; authorities above it cannot be pinned.
        spiffe_ids: SPIFFE ids, one of which the certificate must have.
        spiffe_trust_domain: where its SPIFFE id must be; ``None`` for anywhere.
        authorize_server: asked last; ``None`` for nobody.
    """

    pins: frozenset[str]
    spiffe_ids: frozenset[str]
    spiffe_trust_domain: str | None
    authorize_server: AuthorizeServer | None

    def __init__(
        self,
        *,
        pinned_public_keys: str | Iterable[str] = (),
        spiffe_ids: str | Iterable[str] = (),
        spiffe_trust_domain: str | None = None,
        authorize_server: AuthorizeServer | None = None,
    ) -> None:
        """Check the values and keep them.

        Args:
            pinned_public_keys: pins such as ``"sha256//"`` and 44 characters of base64; a string
                may hold several with ``;`` between them, as curl has it. Pin the next key as
                well, as a backup: the server may then change to it.
            spiffe_ids: one id or several, such as ``"spiffe://example.org/ns/prod/sa/web"``.
            spiffe_trust_domain: such as ``"example.org"``.
            authorize_server: a plain function, called with a `PeerCertificate` on the event
                loop while the handshake waits: it must not block. It accepts by True or ``None``
                and refuses by False, by an exception, or by anything else.

        Raises:
            TLSConfigurationError: a `ValueError`; a pin, id or domain that is none, or ids that
                are all outside the trust domain.
            TypeError: a value of the wrong type, or a coroutine function.
        """
        keep = object.__setattr__
        keep(self, "pins", _check_pins(pinned_public_keys))
        keep(self, "spiffe_trust_domain", _check_trust_domain(spiffe_trust_domain))
        keep(self, "spiffe_ids", _check_spiffe_ids(spiffe_ids, self.spiffe_trust_domain))
        keep(self, "authorize_server", _check_authorize_server(authorize_server))

    def __bool__(self) -> bool:
        """Return whether there is anything to check."""
        return self.asks_spiffe or bool(self.pins) or self.authorize_server is not None

    @property
    def asks_spiffe(self) -> bool:
        """Whether a SPIFFE id or trust domain is asked for."""
        return bool(self.spiffe_ids) or self.spiffe_trust_domain is not None

    def check(self, peer: PeerCertificate | None) -> None:
        """Return if the peer is the right one.

        Args:
            peer: its certificate; ``None`` if it has shown none, which no check accepts.

        Raises:
            PeerRefusedError: it is not; an exception of `authorize_server` is its cause.
        """
        if not self:
            return
        if peer is None:
            raise PeerRefusedError(
                self._first_refusal(),
                "The server has shown no certificate to check.",
                "Remove ciphers without authentication from the server's configuration.",
            )
        if self.pins:
            self._check_pin(peer)
        if self.asks_spiffe:
            self._check_spiffe(peer)
        if self.authorize_server is not None:
            self._ask(self.authorize_server, peer)

    def _first_refusal(self) -> Refusal:
        if self.pins:
            return "pin_mismatch"
        return "spiffe_id_mismatch" if self.asks_spiffe else "not_authorized"

    def _check_pin(self, peer: PeerCertificate) -> None:
        shown = peer.spki_sha256
        if not shown:
            raise PeerRefusedError(
                "pin_mismatch",
                "The public key in the server's certificate cannot be read, so no pin matches.",
                "Give the server a well-formed certificate.",
            )
        if shown not in self.pins:
            raise PeerRefusedError(
                "pin_mismatch",
                f"The server's public key {shown} is not among the pinned ones: "
                f"{_listed(self.pins)}.",
                "If the server has changed its key on purpose, add this pin to "
                "pinned_public_keys; if not, somebody else may be answering.",
            )

    def _check_spiffe(self, peer: PeerCertificate) -> None:
        found = peer.spiffe_id
        if found is None:
            raise PeerRefusedError("spiffe_id_mismatch", *_no_spiffe_id(peer))
        domain = trust_domain_of(found)
        if found == f"spiffe://{domain}" or peer.is_authority:
            raise PeerRefusedError(
                "spiffe_id_mismatch",
                f"The server's certificate with the SPIFFE id {found} is that of an authority, "
                "which cannot stand for a service.",
                "Give the server an X509-SVID of its own.",
            )
        if self.spiffe_trust_domain is not None and domain != self.spiffe_trust_domain:
            raise PeerRefusedError(
                "spiffe_id_mismatch",
                f"The server is {found}, and not in the trust domain {self.spiffe_trust_domain}.",
                "Check the address, or set spiffe_trust_domain to the server's domain.",
            )
        if self.spiffe_ids and found not in self.spiffe_ids:
            raise PeerRefusedError(
                "spiffe_id_mismatch",
                f"The server is {found}, and not {_listed(self.spiffe_ids)}.",
                "Check the address, or add the server's id to spiffe_ids.",
            )

    def _ask(self, authorize: AuthorizeServer, peer: PeerCertificate) -> None:
        try:
            answer = _certain(authorize(peer))
        except Exception as exc:
            raise PeerRefusedError(
                "not_authorized",
                f"authorize_server failed with {type(exc).__name__} for {_named(peer)}.",
                "The exception that it raised is chained and says why.",
            ) from exc
        if not answer:
            raise PeerRefusedError(
                "not_authorized",
                f"authorize_server refused {_named(peer)}.",
                "Check the address, or let authorize_server accept this certificate.",
            )


def _certain(answer: object) -> bool:
    """Return what `authorize_server` meant; an accident must not look like consent.

    Raises:
        TypeError: it is not clear.
    """
    if answer is None or isinstance(answer, bool):
        return answer is not False
    if inspect.iscoroutine(answer):
        answer.close()
    raise TypeError(
        f"authorize_server must return True, None or False, not {type(answer).__name__}."
    )


def _named(peer: PeerCertificate) -> str:
    name = peer.spiffe_id or peer.subject or ", ".join(peer.dns_names)
    return f"the certificate of {name}" if name else "the certificate of nobody in particular"


def _no_spiffe_id(peer: PeerCertificate) -> tuple[str, str]:
    if len(peer.uris) > 1:
        return (
            f"The server's certificate has {len(peer.uris)} URIs, and an X509-SVID has one.",
            "Give the server a certificate with exactly one SPIFFE id.",
        )
    if peer.uris:
        return (
            f"The URI in the server's certificate is no SPIFFE id: {peer.uris[0]!a}.",
            "Give the server a certificate with a well-formed SPIFFE id.",
        )
    return (
        "The server's certificate has no SPIFFE id.",
        "Check the address, or do without spiffe_ids and spiffe_trust_domain for this server.",
    )


def _listed(values: Iterable[str]) -> str:
    first, *more = sorted(values)
    return first if not more else f"{first} or {len(more)} other{'s' if len(more) > 1 else ''}"


def _check_pins(value: Any) -> frozenset[str]:
    """Return pins without spaces around them."""
    found: set[str] = set()
    for each in _strings("pinned_public_keys", value):
        # Curl's way to write several into one string.
        pins = [pin.strip() for pin in each.split(";")]
        found.update(_valid_pin(pin) for pin in (pins[:-1] if pins[-1:] == [""] else pins))
        if pins == [""]:
            raise TLSConfigurationError(f"A pin of pinned_public_keys is empty: give {_PIN_FORM}.")
    return frozenset(found)


def _valid_pin(pin: str) -> str:
    if not pin.startswith(_PIN):
        raise TLSConfigurationError(
            f"The pin {_shortened(pin)} of pinned_public_keys does not begin with 'sha256//': "
            f"give {_PIN_FORM}."
        )
    digits = pin.removeprefix(_PIN)
    try:
        digest = base64.b64decode(digits, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _DIGEST_SIZE or base64.b64encode(digest).decode() != digits:
        raise TLSConfigurationError(
            f"The pin {_shortened(pin)} of pinned_public_keys is not 44 characters of base64 "
            f"behind 'sha256//': give {_PIN_FORM}."
        )
    return pin


def _shortened(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:77] + "...")


def _check_trust_domain(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"spiffe_trust_domain must be a str or None, not {type(value).__name__}.")
    if not is_trust_domain(value):
        raise TLSConfigurationError(
            f"spiffe_trust_domain {_shortened(value)} is no trust domain: give its name alone, in "
            "lower case, such as 'example.org'."
        )
    return value


def _check_spiffe_ids(value: Any, domain: str | None) -> frozenset[str]:
    found = frozenset(_strings("spiffe_ids", value))
    for each in found:
        if not is_spiffe_id(each) or each == f"spiffe://{trust_domain_of(each)}":
            raise TLSConfigurationError(
                f"{_shortened(each)} of spiffe_ids is no SPIFFE id of a service: give the whole "
                "of it, such as 'spiffe://example.org/ns/prod/sa/web'."
            )
        if domain is not None and trust_domain_of(each) != domain:
            raise TLSConfigurationError(
                f"{_shortened(each)} of spiffe_ids is not in spiffe_trust_domain {domain!r}, so "
                "no server could have it: leave one of the two out."
            )
    return found


def _strings(name: str, value: Any) -> tuple[str, ...]:
    """Return one string or several as several."""
    values = (value,) if isinstance(value, (str, bytes)) else value
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be strings, not {type(value).__name__}.")
    found = tuple(values)
    for each in found:
        if not isinstance(each, str):
            raise TypeError(f"{name} must be strings, not {type(each).__name__}.")
    return found


def _check_authorize_server(value: Any) -> AuthorizeServer | None:
    if value is None:
        return None
    if not callable(value):
        raise TypeError(f"authorize_server must be callable, not {type(value).__name__}.")
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(
        getattr(value, "__call__", None)  # noqa: B004  # its kind, not whether it is there
    ):
        raise TypeError(
            "authorize_server must be a plain function: the handshake cannot wait for a coroutine."
        )
    try:
        hash(value)
    except TypeError:
        raise TypeError("authorize_server must be hashable.") from None
    return value  # type: ignore[no-any-return]  # a callable of whatever kind
