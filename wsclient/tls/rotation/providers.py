"""Where a client's identity comes from at each connect, and how it is replaced.

All providers may be shared by many connections, event loops and threads. None of them reads a
file or calls a plain function on the loop, and none has a task of its own: what runs in a thread
ends by itself and is kept for the next who asks, so that every `get` may be cancelled.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ...errors import IdentityError
from ..identity.arguments import checked_files, checked_path
from ..identity.identity import ClientIdentity, read_files, read_pkcs12, register_sources
from ..identity.passwords import Password, check_password
from .last_good import IdentityProvider, LastGood, Subscribe, no_threads
from .reloading import ReloadingProvider

__all__ = [
    "CallableIdentityProvider",
    "FileIdentityProvider",
    "IdentityProvider",
    "IdentitySource",
    "PKCS12IdentityProvider",
    "StaticIdentityProvider",
    "Subscribe",
    "as_provider",
]

_Path = str | os.PathLike[str]

IdentitySource = Callable[[], ClientIdentity] | Callable[[], Awaitable[ClientIdentity]]
"""A function that returns the present identity; a plain one is called in a thread."""


class StaticIdentityProvider:
    """An identity that is never replaced.

    Args:
        identity: returned each time.
    """

    __slots__ = ("_identity",)

    def __init__(self, identity: ClientIdentity) -> None:
        self._identity = identity

    def __repr__(self) -> str:
        return f"StaticIdentityProvider({self._identity!r})"

    async def get(self) -> ClientIdentity:
        """Return the identity, without suspending."""
        return self._identity


class FileIdentityProvider(ReloadingProvider):
    """A certificate chain and its private key in PEM files, read again when they change.

    It sees files that are renamed into place, written over, or swapped by a link as Kubernetes
    does with ``..data``; key and certificate are always of the same state. Nothing is read
    before the first `get`.

    Attributes:
        certfile: path of the certificate chain.
        keyfile: path of the private key; ``None`` when it is in `certfile`.

    Args:
        certfile: `str` or `os.PathLike`; the order of the certificates does not matter.
        keyfile: likewise; ``None`` means that the key is in `certfile`.
        password: of the key, or a function that returns it, called in a thread at each reading;
            ``None`` for a key that is not encrypted.

    Raises:
        IdentityError: PEM text in the place of a path, an empty path or password.
        TypeError: a value of the wrong type.
    """

    def __init__(
        self, certfile: _Path, keyfile: _Path | None = None, password: Password = None
    ) -> None:
        self.certfile, self.keyfile, self._password = checked_files(certfile, keyfile, password)
        super().__init__(
            (self.certfile,) if self.keyfile is None else (self.certfile, self.keyfile)
        )

    def __repr__(self) -> str:
        return f"FileIdentityProvider({self.certfile!r}, {self.keyfile!r})"

    def _load(self) -> ClientIdentity:
        return read_files(self.certfile, self.keyfile, self._password)


class PKCS12IdentityProvider(ReloadingProvider):
    """A PKCS#12 file, often named ``.p12`` or ``.pfx``, read again when it changes.

    Nothing is read before the first `get`.

    Attributes:
        path: of the file.

    Args:
        path: `str` or `os.PathLike`.
        password: of the file, or a function that returns it, called in a thread at each
            reading; ``None`` for none.

    Raises:
        IdentityError: an empty path, or a password that cannot be one.
        TypeError: a value of the wrong type.
    """

    def __init__(self, path: _Path, password: Password = None) -> None:
        self.path = checked_path("path", path)
        self._password = check_password(password, allow_empty=True)
        self._kept: tuple[bytes, ClientIdentity] | None = None
        super().__init__((self.path,))

    def __repr__(self) -> str:
        return f"PKCS12IdentityProvider({self.path!r})"

    def _load(self) -> ClientIdentity:
        # Opening one with RSA takes 40 to 300 ms, in which the interpreter stands still: not again
        # for the same content, as long as the file is new.
        before, kept = _digest(self.path), self._kept
        if kept is not None and kept[0] == before:
            return kept[1]
        identity = read_pkcs12(self.path, self._password)
        if before is not None and before == _digest(self.path):
            self._kept = before, identity
        return identity


class CallableIdentityProvider:
    """A function that returns the present identity, such as that of a SPIFFE agent or of Vault.

    It is called for every connection that is opened, so it should keep what it has fetched. The
    identities that it returns are numbered: a new generation begins when one differs from the
    one before.

    With SPIFFE (py-spiffe keeps the certificate up to date in a thread of its own)::

        source = spiffe.X509Source()

        def current():
            svid = source.svid
            return ClientIdentity.from_cryptography(
                svid.private_key, svid.leaf, svid.cert_chain[1:]
            )

        tls = TLSConfig(identity=current, ...)

    With a service that issues certificates over HTTP, such as Vault::

        async def current():
            if expires_soon(kept.identity):
                answer = await vault.issue("client", common_name="billing")
                chain = "\n".join([answer.certificate, *answer.ca_chain])
                kept.identity = ClientIdentity.from_pem(chain, answer.private_key)
            return kept.identity

    Attributes:
        subscribe: as given; ``None`` for none.

    Args:
        function: a plain one is called in a thread, several at once if several connections are
            opened; an async one is awaited.
        subscribe: tells of new identities; ``None`` means that the function is asked now and
            then, where somebody wants to know.

    Raises:
        TypeError: one of them cannot be called.
    """

    def __init__(self, function: IdentitySource, *, subscribe: Subscribe | None = None) -> None:
        for name, value in (("function", function), ("subscribe", subscribe)):
            if not callable(value) and (value is not None or name == "function"):
                raise TypeError(f"{name} must be a function, not {type(value).__name__}.")
        self.subscribe = subscribe
        self._function = function
        self._name = _name_of(function)
        self._last = LastGood(self, self._name)

    def __repr__(self) -> str:
        return f"<CallableIdentityProvider {self._name}>"

    @property
    def identity(self) -> ClientIdentity | None:
        """The last good identity; ``None`` before the first."""
        return self._last.identity

    @property
    def failure(self) -> IdentityError | None:
        """Why the last call failed; ``None`` when it did not."""
        return self._last.failure

    async def get(self) -> ClientIdentity:
        """Call the function and return its identity.

        When it fails, the last good identity stays in use, and a warning is logged on
        ``wsclient.tls``, one for each kind of failure. So it is, too, when the threads of the
        loop have been shut down. Of several calls at the same time, the answer to one that was
        begun earlier never replaces the answer to one that was begun later.

        Cancelling cancels an async function; a plain one goes on in its thread for nothing.

        Raises:
            IdentityError: it failed, and has never succeeded. What it raised is chained; an
                `IdentityError` comes as it is.
        """
        number = self._last.ask()
        try:
            identity = await self._call()
        except IdentityError as exc:
            return self._last.keep(number, exc, type(exc.__cause__))
        except Exception as exc:
            return self._last.keep(number, self._failed(exc), type(exc))
        return self._last.adopt(number, identity)

    def _failed(self, exc: Exception) -> IdentityError:
        # What it says may hold secrets that are not ours to show.
        failure = IdentityError(
            f"The identity provider {self._name} raised {type(exc).__name__}.",
            reason="provider_failed",
        )
        failure.__cause__ = exc
        return failure

    async def _call(self) -> ClientIdentity:
        if _is_async(self._function):
            value: Any = self._function()
        else:
            try:
                value, fault = await asyncio.to_thread(_outcome, self._function)
            except RuntimeError as exc:
                raise no_threads(self._last, exc) from exc
            if fault is not None:
                raise fault if isinstance(fault, IdentityError) else self._failed(fault)
        if inspect.isawaitable(value):
            value = await value
        if not isinstance(value, ClientIdentity):
            raise IdentityError(
                f"The identity provider {self._name} returned {type(value).__name__}.",
                reason="provider_failed",
                hint="It must return a ClientIdentity.",
            )
        return value


def as_provider(value: Any) -> IdentityProvider:
    """Return what provides the identity that `value` stands for.

    Args:
        value: a `ClientIdentity`, whose files are asked again if it came from some; a provider
            of this module, which is returned as it is; any other object with the methods of
            `IdentityProvider`; or a function, as for `CallableIdentityProvider`.

    Returns:
        For an object or function of others, a new `CallableIdentityProvider`: it keeps the last
        good identity and numbers the generations.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(value, ClientIdentity):
        return value.source or StaticIdentityProvider(value)
    if isinstance(value, (ReloadingProvider, CallableIdentityProvider, StaticIdentityProvider)):
        return value
    # Mappings have a method of this name, too.
    if not isinstance(value, (type, Mapping)):
        get = getattr(value, "get", None)
        if callable(get):
            return CallableIdentityProvider(get, subscribe=getattr(value, "subscribe", None))
        if callable(value):
            return CallableIdentityProvider(value)
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    raise TypeError(
        "identity must be a ClientIdentity, an identity provider, or a function that returns a "
        f"ClientIdentity, not {kind}. Give the paths of files as cert=."
    )


def _digest(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None  # Reading it properly will say why.


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - asked for what it is, not whether
    )


def _outcome(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Call a function in a thread; a future could not carry `StopIteration`."""
    try:
        return function(), None
    except Exception as exc:
        return None, exc


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name)


register_sources(files=FileIdentityProvider, pkcs12=PKCS12IdentityProvider)
