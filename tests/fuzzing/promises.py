"""What every error that the library raises must keep to, whatever it was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wsclient.errors import IdentityError, MessageTooBigError, ProtocolError, TrustError

__all__ = ["check_failure", "check_reason", "check_text", "shown"]

_LONGEST_TEXT: Final = 1500

_IDENTITY_REASONS: Final = frozenset(
    """file_not_found permission_denied is_a_directory certificate_unreadable certificate_is_der
    certificate_missing key_unreadable key_missing key_mismatch password_required
    password_incorrect password_callback_failed pkcs12_unreadable pkcs12_no_key key_too_small
    key_type_unsupported swapped_files provider_failed pkcs11_unavailable""".split()
)
"""The closed set that `IdentityError` documents."""

_TRUST_REASONS: Final = frozenset(
    """file_not_found permission_denied is_a_directory not_a_directory no_certificates unreadable
    crl_unreadable""".split()
)
"""The closed set that `TrustError` documents."""


def check_text(text: str) -> None:
    """Check that a text can be logged: not endless, one line, nothing a terminal acts on."""
    assert text, "an error without a text"
    assert len(text) <= _LONGEST_TEXT, f"a text of {len(text)} characters"
    assert text.isprintable(), f"control characters in {text!r}"


def check_failure(error: ProtocolError | MessageTooBigError) -> None:
    """Check the attributes of an error about what the peer has sent."""
    check_text(str(error))
    assert error.section in str(error), "the section is not in the text"
    if isinstance(error, ProtocolError):
        assert error.close_code in (1002, 1007), error.close_code
    else:
        assert error.close_code == 1009
        assert error.limit >= 0


def check_reason(error: IdentityError | TrustError) -> None:
    """Check that the reason is one of the closed set of its class."""
    known = _IDENTITY_REASONS if isinstance(error, IdentityError) else _TRUST_REASONS
    assert error.reason in known, f"the reason {error.reason!r} is not documented"


def shown(error: BaseException) -> Iterator[str]:
    """Yield all texts that a traceback of an error shows, its causes included."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield str(here)
        yield repr(here)
        # What a logger may format: the arguments, which str() need not show.
        yield repr(here.args)
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
