"""Roots that the environment names where the caller names none, and how roots are told of."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import TrustError
from .trust import Trust, TrustContents

__all__ = ["heed_environment", "told"]


class _EnvironmentTrust(Trust):
    """Roots that are named by SSL_CERT_FILE and SSL_CERT_DIR; what fails says so."""

    # Two of them are equal if their values are, and never equal to what a caller gave.
    __slots__ = ()

    @property
    def directories(self) -> tuple[str, ...]:
        """As OpenSSL reads the variable: several, with what stands between paths in PATH."""
        return tuple(each for each in (self.capath or "").split(os.pathsep) if each)

    def read(self) -> TrustContents:
        with self._named():
            return Trust.read(self)

    def load_into(self, context: ssl.SSLContext, contents: TrustContents) -> None:
        with self._named():
            Trust.load_into(self, context, contents)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except TrustError as exc:
            if not any(path and path in str(exc) for path in (self.cafile, *self.directories)):
                raise
            said = str(exc).removesuffix(exc.hint).strip()
            hint = (
                f"{exc.hint} The environment names it: {', '.join(told(self))}. Correct or unset "
                "that, or choose other roots by TLSConfig(trust=...) or TLSConfig(cafile=...)."
            )
            raise TrustError(
                said, reason=exc.reason, hint=hint.strip(), openssl_reason=exc.openssl_reason
            ) from exc


def heed_environment(trust: Trust) -> Trust:
    """Return whom to trust at this moment.

    Where the caller chose no roots, those of SSL_CERT_FILE and SSL_CERT_DIR count, as with
    OpenSSL's own programs. A variable that is empty counts as one that is not set, and Python's
    option -E has none heeded.

    Args:
        trust: what the caller gave.

    Returns:
        The same unless the environment has a say in it.
    """
    if trust.chosen or not trust.verify or sys.flags.ignore_environment:
        return trust
    # OpenSSL may be built with other names for them.
    file, directory = (os.environ.get(name) or None for name in _VARIABLES)
    if file is directory is None:
        return trust
    return _EnvironmentTrust(
        cafile=file,
        capath=directory,
        crlfile=trust.crlfile,
        crldata=trust.crldata,
        crl_check=trust.crl_check,
        strict=trust.strict,
    )


def _variables() -> tuple[str, str]:
    paths = ssl.get_default_verify_paths()
    return paths.openssl_cafile_env, paths.openssl_capath_env


_VARIABLES = _variables()


def told(trust: Trust) -> tuple[str, ...]:
    """Return where the roots come from, for a person to read; empty without verification.

    Args:
        trust: what `heed_environment` returned.
    """
    if not trust.verify:
        return ()
    by_environment = isinstance(trust, _EnvironmentTrust)
    names = _VARIABLES if by_environment else ("cafile", "capath")
    paths = zip(names, (trust.cafile, trust.capath), strict=True)
    return (
        *([] if trust.roots is None else [trust.roots]),
        *(f"{name}={path}" for name, path in paths if path is not None),
        *([] if trust.cadata is None else ["cadata"]),
    )
