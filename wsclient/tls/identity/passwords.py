"""Passwords of private keys: checked when they are given, asked for when they are needed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from ...errors import IdentityError

__all__ = ["AskedPassword", "Password", "check_password", "resolve"]

Password = str | bytes | Callable[[], str | bytes | None] | None
"""A password, or a plain function that returns it; text is encoded as UTF-8."""

_LONGEST: Final = 1024
"""OpenSSL takes no more bytes than this."""


def check_password(value: Any, *, allow_empty: bool = False) -> Password:
    """Return a password as it was given, if it can be one; a callable is not called yet.

    Args:
        value: `str`, `bytes`, `bytearray`, a plain callable without arguments, or ``None``.
        allow_empty: whether it may be empty, as that of a PKCS#12 file may be.

    Raises:
        IdentityError: ``"password_incorrect"``; it is empty, longer than 1024 bytes, or has a
            lone surrogate in it.
        TypeError: it is something else, or a coroutine function. The text never shows it.
    """
    if value is None:
        return None
    if callable(value):
        if inspect.iscoroutinefunction(value):
            raise TypeError("password must be a plain function: it is called in a thread.")
        function: Callable[[], str | bytes | None] = value
        return function
    if isinstance(value, bytearray):
        value = bytes(value)
    if not isinstance(value, (str, bytes)):
        raise TypeError(
            "password must be str, bytes, a function that returns one of them, or None, not "
            f"{type(value).__name__}."
        )
    fault = _fault(value)
    if fault or not (value or allow_empty):
        raise IdentityError(
            f"password {fault or 'is empty: give None for a key that is not encrypted'}.",
            reason="password_incorrect",
        )
    return value


def resolve(password: Password, where: str) -> bytes | None:
    """Return a password as bytes; a callable is called, in the thread that calls this.

    Args:
        password: as `check_password` returned it.
        where: what it opens, such as ``"the file /etc/tls.key"``, for the text of an error.

    Returns:
        ``None`` when there is none, or when the callable returned ``None``.

    Raises:
        IdentityError: ``"password_callback_failed"``; the callable raised, which is chained, or
            returned something that is no password.
    """
    if password is None:
        return None
    if not callable(password):
        return _as_bytes(password)
    try:
        value: Any = password()
    except Exception as exc:
        raise _callback_fault(where, f"raised {type(exc).__name__}") from exc
    if value is None:
        return None
    if isinstance(value, bytearray):
        value = bytes(value)
    if not isinstance(value, (str, bytes)):
        if inspect.iscoroutine(value):
            value.close()
        raise _callback_fault(where, f"returned {type(value).__name__}, not str or bytes")
    fault = _fault(value)
    if fault:
        raise _callback_fault(where, f"returned a password that {fault}")
    return _as_bytes(value)


class AskedPassword:
    """A password that is asked for when it is first needed, and then only once.

    One belongs to one attempt to load a key, in one thread. It never shows what it holds.

    Args:
        password: as `check_password` returned it.
        where: what it opens, as in `resolve`.
    """

    __slots__ = ("_asked", "_password", "_value", "_where")

    def __init__(self, password: Password, where: str) -> None:
        self._password = password
        self._where = where
        self._asked = False
        self._value: bytes | None = None

    def __repr__(self) -> str:
        return f"<AskedPassword for {self._where}>"

    def get(self) -> bytes | None:
        """Return the password; ``None`` when there is none.

        Raises:
            IdentityError: as `resolve`. The next call asks again.
        """
        if not self._asked:
            self._value = resolve(self._password, self._where)
            self._asked = True
        return self._value


def _as_bytes(password: str | bytes) -> bytes:
    return password.encode() if isinstance(password, str) else password


def _fault(password: str | bytes) -> str:
    """Say what is wrong with a password; empty when nothing is."""
    try:
        size = len(_as_bytes(password))
    except UnicodeEncodeError:
        # The exception holds the password: it goes no further.
        return "has a lone surrogate in it"
    if size > _LONGEST:
        return f"is {size} bytes long, and OpenSSL takes {_LONGEST} at most"
    return ""


def _callback_fault(where: str, what: str) -> IdentityError:
    return IdentityError(
        f"The function that was given as the password of {where} {what}.",
        reason="password_callback_failed",
    )
