"""The last good identity of a provider: kept when the next one cannot be had."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from ...errors import IdentityError
from ..identity.identity import ClientIdentity

__all__ = ["IdentityProvider", "LastGood", "Subscribe", "no_threads"]

_logger: Final = logging.getLogger("wsclient.tls")

Subscribe = Callable[[Callable[[], object]], Callable[[], object]]
"""Takes what to call, from any thread, when there is a new identity; returns what ends that."""


class IdentityProvider(Protocol):
    """Anything that knows the client's present identity.

    A provider that learns of a new identity by itself may have a method ``subscribe``, as
    `Subscribe` says. It is used where `on_rotation` or `refresh_interval` would ask again and
    again.
    """

    async def get(self) -> ClientIdentity:
        """Return the present identity; called for every connection that is opened.

        Raises:
            IdentityError: there is none.
        """


class LastGood:
    """The last identity that could be used, and what has gone wrong since.

    Any thread may use it. Who asks takes a number first: an answer that comes after one to a
    later question is out of date.

    Attributes:
        identity: the last that could be used; ``None`` before the first.
        failure: what went wrong since; ``None`` when nothing did.
        what: where it comes from, for the log.

    Args:
        source: the provider that the identities name as their source.
        what: as the attribute.
    """

    def __init__(self, source: IdentityProvider, what: str) -> None:
        self.what = what
        self._source = source
        self._lock = threading.Lock()
        self._asked = 0
        self._answered = 0
        self._told: object = None
        self.identity: ClientIdentity | None = None
        self.failure: IdentityError | None = None

    def ask(self) -> int:
        """Return the number of a new question."""
        with self._lock:
            self._asked += 1
            return self._asked

    def adopt(self, number: int, new: ClientIdentity) -> ClientIdentity:
        """Take an answer over, and return the identity that rules now."""
        with self._lock:
            old = self.identity
            if old is not None and number < self._answered:
                return old
            self._answered = number
            self.failure, told, self._told = None, self._told, None
            if old is None:
                current = new.with_generation(1, self._source)
            elif new != old:
                current = new.with_generation(old.generation + 1, self._source)
            else:
                current = old
            self.identity = current
        if old is not None and current is not old:
            _logger.info(
                "The client certificate from %s was replaced: %s, generation %d; before it %s.",
                self.what,
                current.description,
                current.generation,
                old.description,
            )
        elif told is not None:
            _logger.info("The client certificate from %s can be used again.", self.what)
        return current

    def keep(self, number: int, failure: IdentityError, state: object) -> ClientIdentity:
        """Return the last good identity in spite of a failure; the first one of a kind is logged.

        Args:
            number: of the question.
            failure: why there is no better answer.
            state: failures of the same state and reason are of the same kind.

        Raises:
            IdentityError: there is no good one.
        """
        with self._lock:
            last = self.identity
            if last is not None and number < self._answered:
                return last
            self.failure = failure
            kind = (failure.reason, state)
            news = last is not None and kind != self._told
            self._told = kind
        if last is None:
            # Many tasks may get it at once, and raising writes into the exception.
            raise copy.copy(failure) from failure.__cause__
        if news:
            _logger.warning(
                "The last good client certificate stays in use, %s: %s", last.description, failure
            )
        return last


def no_threads(last: LastGood, exc: RuntimeError) -> IdentityError:
    """Return the error for a loop whose threads have been shut down."""
    failure = IdentityError(
        f"The client certificate from {last.what} cannot be read: the event loop has shut down "
        "its threads.",
        reason="provider_failed",
    )
    failure.__cause__ = exc
    return failure
