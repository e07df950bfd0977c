"""Watching the identity while connections are open: it may be replaced, and it may expire.

Connections of one loop that have their identity from one provider share one watcher: a timer,
or a subscription, and a task only while it asks. It ends with the last of the connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import threading
import weakref
from collections.abc import Callable, Collection
from contextvars import Context
from typing import Final

from ..errors import TLSError
from .config import TLSConfig
from .contexts.preparing import seconds_to_warning, warn_of_expiry
from .identity.identity import ClientIdentity
from .rotation.last_good import IdentityProvider
from .rotation.providers import StaticIdentityProvider

__all__ = ["RotationWatch", "watch_rotation"]

_logger: Final = logging.getLogger("wsclient.tls")

_INTERVAL: Final = 60.0
"""Seconds between two looks, if nothing else is said."""

_LONGEST_TIMER: Final = 14 * 24 * 3600.0
"""Seconds that a timer takes at most: those of some event loops count 32 bits of milliseconds."""

_LONGEST_DELAY: Final = 10.0
"""Seconds over which the connections are closed, at most."""

# Shared by all loops and threads. The keys are the `id` of loop and provider: neither can be
# another's while the watcher lives, which holds both.
_watchers: weakref.WeakValueDictionary[tuple[int, int], _Watcher]
_watchers = weakref.WeakValueDictionary()
_watchers_lock: Final = threading.Lock()


def watch_rotation(
    config: TLSConfig, identity: ClientIdentity | None, close: Callable[[], object]
) -> RotationWatch | None:
    """Begin to look for an identity newer than that of a connection that has just been opened.

    It warns when the identity is about to expire and has not been replaced, once for each. With
    ``on_rotation="close"`` or an interval it looks every `config.refresh_interval` seconds, 60
    if that is ``None``, or whenever a provider with ``subscribe`` says so. Failures are logged on
    ``wsclient.tls``, the first of each kind in a row, and do not end it.

    To be called on the thread of the connection's loop, while that runs.

    Args:
        config: what the connection was opened with.
        identity: what it shows to the server; ``None`` for nothing.
        close: called once, on the loop, when the identity has been replaced, after a random
            part of ten seconds, or of half the interval if that is less; only for
            ``on_rotation="close"``. It should begin the closing, and not wait for it.

    Returns:
        What must be stopped when the connection has ended, in any way; ``None`` when there is
        nothing to look for.
    """
    closing = config.on_rotation == "close"
    provider = config.provider
    if identity is None or provider is None:
        return None
    interval = _INTERVAL if config.refresh_interval is None else config.refresh_interval
    looks = closing or config.refresh_interval is not None
    if not looks or isinstance(provider, StaticIdentityProvider):
        interval = math.inf
        if seconds_to_warning(identity, config.expiry_warning) == math.inf:
            return None
    watcher = _watcher_of(asyncio.get_running_loop(), provider)
    watch = RotationWatch(
        watcher, identity, interval, config.expiry_warning, close if closing else None
    )
    watcher.add(watch)
    return watch


class RotationWatch:
    """The part of a watcher that is about one connection.

    Attributes:
        identity: what the connection shows.
        latest: what the provider had when it was asked last, or what the connection shows.
        interval: seconds between two looks; infinity for none but to warn.
        expiry_warning: seconds before the end of an identity from which it is warned of.
        closing: whether the connection is to be closed when there is a newer identity.
    """

    __slots__ = (
        "_close",
        "_timer",
        "_watcher",
        "closing",
        "expiry_warning",
        "identity",
        "interval",
        "latest",
    )

    def __init__(
        self,
        watcher: _Watcher,
        identity: ClientIdentity,
        interval: float,
        expiry_warning: float | None,
        close: Callable[[], object] | None,
    ) -> None:
        self.identity = self.latest = identity
        self.interval = interval
        self.expiry_warning = expiry_warning
        self.closing = close is not None
        self._watcher: _Watcher | None = watcher
        self._close = close
        self._timer: asyncio.Handle | None = None

    @property
    def to_warning(self) -> float:
        """In how many seconds to ask for the sake of a warning; infinity for never."""
        # A moment later: two clocks never quite agree, and too early would be asked for nothing.
        return seconds_to_warning(self.latest, self.expiry_warning) + 1.0

    def warn(self) -> None:
        """Warn if it is time to."""
        warn_of_expiry(self.latest, self.expiry_warning)

    def stop(self) -> None:
        """End it: `close` will not be called any more.

        To be called on the thread of the loop; the loop may have been closed. Doing it again does
        nothing.
        """
        watcher, self._watcher, self._close = self._watcher, None, None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if watcher is not None:
            watcher.remove(self)

    def close_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call `close` in a while, so that not all connections come back at the same moment."""
        # Not a secret, and not the same in every process.
        delay = random.uniform(0, min(_LONGEST_DELAY, self.interval / 2))
        self._timer = loop.call_later(delay, self._call_close, context=Context())

    def _call_close(self) -> None:
        close = self._close
        self.stop()
        if close is None:
            return
        try:
            close()
        except Exception:
            _logger.exception("Closing a connection whose certificate was replaced failed.")


class _Watcher:
    """Asks one provider on one loop for all connections that want to know."""

    def __init__(self, loop: asyncio.AbstractEventLoop, provider: IdentityProvider) -> None:
        self._loop = loop
        self._provider = provider
        self._watches: set[RotationWatch] = set()
        self._timer: asyncio.Handle | None = None
        # Kept here: not every loop's handles know their time.
        self._due = math.inf
        self._shortened = False
        self._subscribed = False
        self._task: asyncio.Task[None] | None = None
        self._ask_again = False
        self._unsubscribe: Callable[[], object] | None = None
        self._told: object = None

    def add(self, watch: RotationWatch) -> None:
        """Ask for one more connection."""
        self._watches.add(watch)
        looks = watch.interval < math.inf
        if looks and not self._subscribed:
            self._subscribed = True
            self._subscribe()
        self._set_timer()
        if looks and self._unsubscribe is not None:
            # What was told while the connection was being opened came too early for it.
            self.notice()

    def remove(self, watch: RotationWatch) -> None:
        """Do not ask for a connection any more; end with the last one."""
        self._watches.discard(watch)
        if self._watches:
            return
        timer, self._timer = self._timer, None
        task, self._task = self._task, None
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        self._ask_again = self._subscribed = False
        if timer is not None:
            timer.cancel()
        own = asyncio.current_task(self._loop)
        if task is not None and task is not own and not self._loop.is_closed():
            task.cancel()
        if unsubscribe is not None:
            try:
                unsubscribe()
            except Exception:
                _logger.exception("Unsubscribing from %r failed.", self._provider)

    def notice(self) -> None:
        """Ask soon; any thread may say so."""
        # A loop that has ended has no connections any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_to_ask, context=Context())

    def _subscribe(self) -> None:
        subscribe = getattr(self._provider, "subscribe", None)
        if not callable(subscribe):
            return
        watcher = weakref.ref(self)

        def changed(*_: object) -> None:
            # The provider may outlive the loop, and shall not keep it.
            known = watcher()
            if known is not None:
                known.notice()

        try:
            unsubscribe = subscribe(changed)
        except Exception:
            _logger.exception("Subscribing to %r failed; it is asked instead.", self._provider)
        else:
            self._unsubscribe = unsubscribe if callable(unsubscribe) else lambda: None

    def _set_timer(self) -> None:
        """Ask when the first of the connections needs it, if not earlier."""
        delay = min(self._delay_of(watch) for watch in self._watches)
        if delay == math.inf:
            return
        shortened, delay = delay > _LONGEST_TIMER, min(delay, _LONGEST_TIMER)
        due = self._loop.time() + delay
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due, self._shortened = due, shortened
        self._timer = self._loop.call_later(delay, self._time_out, context=Context())

    def _delay_of(self, watch: RotationWatch) -> float:
        # Who looks all the time, warns then.
        if watch.interval < math.inf and self._unsubscribe is None:
            return watch.interval
        return watch.to_warning

    def _time_out(self) -> None:
        self._timer = None
        if self._shortened:
            self._set_timer()
        else:
            self._begin_to_ask()

    def _begin_to_ask(self) -> None:
        if not self._watches:
            return
        if self._task is not None and not self._task.done():
            self._ask_again = True
            return
        self._ask_again = False
        self._task = self._loop.create_task(self._ask())

    async def _ask(self) -> None:
        # The answer may be older than what a connection has that is opened meanwhile.
        asked = tuple(self._watches)
        try:
            identity = await self._provider.get()
        except Exception as exc:
            self._tell(exc)
            for watch in asked:
                watch.warn()
        else:
            self._told = None
            for watch in asked:
                watch.latest = identity
                watch.warn()
            self._compare(asked, identity)
        if self._task is not asyncio.current_task():
            return  # The last connection has gone meanwhile.
        self._task = None
        if self._ask_again:
            self._begin_to_ask()
        elif self._watches:
            self._set_timer()

    def _compare(self, asked: Collection[RotationWatch], identity: ClientIdentity) -> None:
        """Have the connections closed that show an older identity."""
        outdated = [
            watch
            for watch in asked
            if watch in self._watches
            and watch.closing
            and watch.identity.generation <= identity.generation
            and watch.identity != identity
        ]
        if not outdated:
            return
        _logger.info(
            "Open connections with an older client certificate will be closed: %d. The new one "
            "is %s.",
            len(outdated),
            identity.description,
        )
        for watch in outdated:
            watch.close_soon(self._loop)
            self.remove(watch)

    def _tell(self, exc: Exception) -> None:
        """Log a failure, unless the one before was of the same kind."""
        kind = (type(exc), getattr(exc, "reason", None))
        if kind != self._told:
            self._told = kind
            # What a foreign exception says may hold secrets that are not ours to show.
            told = f": {exc}" if isinstance(exc, TLSError) else "."
            _logger.warning(
                "Asking %r for a new client certificate failed with %s%s",
                self._provider,
                type(exc).__name__,
                told,
            )


def _watcher_of(loop: asyncio.AbstractEventLoop, provider: IdentityProvider) -> _Watcher:
    key = (id(loop), id(provider))
    with _watchers_lock:
        watcher = _watchers.get(key)
        if watcher is None:
            watcher = _watchers[key] = _Watcher(loop, provider)
        return watcher
