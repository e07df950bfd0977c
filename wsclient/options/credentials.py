"""Login and password for HTTP, and what else can authenticate a request."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import ClientMiddlewareType

__all__ = ["Auth", "AuthLike", "BasicCredentials", "LoginAndPassword", "check_auth"]


@dataclass(frozen=True, slots=True, repr=False)
class BasicCredentials:
    """Login and password for basic authentication (RFC 7617).

    Attributes:
        login: without ``:``; may be empty.
        password: may be empty.
        encoding: how both are turned into bytes.

    Raises:
        TypeError: a value that is no `str`.
        ValueError: a ``:`` in the login, control characters, an unknown encoding, or characters
            that it does not have. Neither login nor password is in the text.
    """

    login: str
    password: str = ""
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        """Check each value."""
        for name in ("login", "password", "encoding"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"the {name} in auth must be a str, not {type(value).__name__}.")
        # RFC 7617, section 2: the first colon ends the login.
        if ":" in self.login:
            raise ValueError("the login in auth has a ':' in it, which basic auth cannot send.")
        if any(ord(c) < 0x20 or ord(c) == 0x7F for c in self.login + self.password):
            raise ValueError("login or password in auth has a control character: remove it.")
        try:
            (self.login + self.password).encode(self.encoding)
        except UnicodeEncodeError:
            # The exception holds login and password: it is not chained.
            raise ValueError(
                f"login or password in auth has a character that {self.encoding} cannot encode."
            ) from None
        except LookupError:
            raise ValueError("the encoding in auth is unknown: use 'utf-8'.") from None

    def __repr__(self) -> str:
        """Show neither login nor password: tokens are sent as either."""
        return "BasicCredentials('***')"

    @property
    def header_value(self) -> str:
        """The value of the header Authorization or Proxy-Authorization (RFC 7617, section 2)."""
        pair = f"{self.login}:{self.password}".encode(self.encoding)
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


Auth = BasicCredentials | ClientMiddlewareType
"""Basic credentials, or a middleware of aiohttp's client that authenticates the request."""


class LoginAndPassword(Protocol):
    """Anything that has a login and a password, such as `aiohttp.BasicAuth`."""

    @property
    def login(self) -> str:
        """The login."""

    @property
    def password(self) -> str:
        """The password that belongs to it."""


AuthLike = Auth | tuple[str, str] | LoginAndPassword
"""Credentials as callers may give them."""


def check_auth(auth: Any) -> Auth | None:
    """Return what the caller's `auth` stands for.

    Args:
        auth: ``None``; ``(login, password)``; an object with `login` and `password`, such as
            `aiohttp.BasicAuth`; or a client middleware, such as `aiohttp.DigestAuthMiddleware`.

    Raises:
        TypeError: anything else.
        ValueError: login or password cannot be sent.
    """
    if auth is None or isinstance(auth, BasicCredentials):
        return auth
    if isinstance(auth, type):
        raise TypeError(f"auth is the class {auth.__name__}: give an instance of it.")
    if hasattr(auth, "login") and hasattr(auth, "password"):
        encoding = getattr(auth, "encoding", "utf-8")
        return BasicCredentials(auth.login, auth.password or "", encoding)
    if isinstance(auth, (tuple, list)) and len(auth) == 2:
        return BasicCredentials(*auth)
    if callable(auth):
        middleware: ClientMiddlewareType = auth
        return middleware
    raise TypeError(
        "auth must be (login, password), a client middleware such as aiohttp.DigestAuthMiddleware "
        f"or None, not {type(auth).__name__}."
    )
