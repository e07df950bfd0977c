"""Contexts: built once, off the loop, kept for the next connection, and never changed after.

A context that was given a second certificate or other roots would go on presenting the old
ones in part, and lose them all if loading failed. So each state of the settings, of the files
that they name, and of the identity has a context of its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import itertools
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from ...errors import TrustError
from ..files.stamps import Stamps
from ..handshake.context import HandshakeContext
from ..identity.identity import ClientIdentity
from .settings import ContextSettings
from .trust import Trust, TrustContents

__all__ = ["context_for", "drop_context"]

_logger: Final = logging.getLogger("wsclient.tls")

_CACHE_SIZE: Final = 32
_PAUSES: Final = (0.02, 0.04, 0.08, 0.16)
"""Seconds between attempts to read files that somebody may just be writing; 300 ms in all."""


class _Key(NamedTuple):
    """What makes one context differ from another, but for the state of the trusted files."""

    settings: ContextSettings
    keylog: str | None
    identity: ClientIdentity | None
    direct: bool


class _Outcome(NamedTuple):
    """How building ended; a future that holds an exception itself would demand a reader."""

    context: HandshakeContext | None
    error: BaseException | None


# Shared by all loops and threads of the process, hence no asyncio primitives.
_lock: Final = threading.RLock()
_contexts: OrderedDict[tuple[_Key, int], HandshakeContext] = OrderedDict()
_keepers: OrderedDict[Trust, _TrustKeeper] = OrderedDict()
_building: dict[_Key, concurrent.futures.Future[_Outcome]] = {}
_versions: Final = itertools.count(1)


class _TrustKeeper:
    """The contents of trusted files that were good when last read.

    Attributes:
        lock: held by the one thread that reads.
        contents: the last good ones; ``None`` before the first.
        version: a number that no other contents have.
    """

    def __init__(self, trust: Trust) -> None:
        self.lock = threading.Lock()
        self.contents: TrustContents | None = None
        self.version = 0
        self._trust = trust
        self._failed: Stamps | None = None
        self._told = ""

    def is_current(self, stamps: Stamps) -> bool:
        """Tell whether files with these stamps are known, and good."""
        known = self.contents
        return known is not None and known.settled and known.stamps == stamps

    def refresh(self, key: _Key) -> HandshakeContext | None:
        """Read the files if they have changed; the lock must be held. Blocks, up to 300 ms.

        Returns:
            The context that has proved the new contents good, without an identity; ``None`` when
            `contents` are as they were.

        Raises:
            TrustError: there are no good ones yet.
            TLSConfigurationError: the key log cannot be written.
        """
        stamps = self._trust.stamps()
        if self.is_current(stamps):
            self._good("can be used again")
            return None
        # Files that are known to be bad are not waited for again.
        pauses = iter(() if stamps == self._failed else _PAUSES)
        while True:
            try:
                return self._read(key)
            except TrustError as exc:
                before, stamps = stamps, self._trust.stamps()
                # At first only a file that is just changing is worth waiting for.
                patient = self.contents is not None or stamps != before
                pause = next(pauses, None) if patient else None
                if pause is None:
                    self._give_up(exc, stamps)
                    return None
            time.sleep(pause)

    def _read(self, key: _Key) -> HandshakeContext | None:
        """Read the files once; ``None`` means that nothing has changed."""
        contents, known = self._trust.read(), self.contents
        if known is not None and dataclasses.replace(known, settled=contents.settled) == contents:
            self.contents = contents
            self._good("can be used again")
            return None
        context = key.settings.context(contents, key.keylog)
        # In this order: who sees the new contents must not find the context of the old ones.
        self.version = next(_versions)
        self.contents = contents
        # A volume that is swapped as a whole brings the same roots again.
        if known is None or (known.roots, known.crls) == (contents.roots, contents.crls):
            self._good("can be used again")
        else:
            self._good("were replaced", news=True)
        return context

    def _good(self, what: str, *, news: bool = False) -> None:
        """Forget the last failure, and say so if it was told of."""
        if news or self._told:
            _logger.info("Trusted roots or revocation lists %s: %s.", what, self._trust.paths)
        self._failed, self._told = None, ""

    def _give_up(self, exc: TrustError, stamps: Stamps) -> None:
        """Stay with the last good contents, if there are any, and say so once."""
        if self.contents is None:
            raise exc
        self._failed = stamps
        if str(exc) != self._told:
            self._told = str(exc)
            _logger.warning("What was trusted before stays trusted: %s", exc)


async def context_for(
    settings: ContextSettings, identity: ClientIdentity | None, *, direct: bool = False
) -> HandshakeContext:
    """Return the context for these settings and this identity, from the cache if it is there.

    Building reads files and takes milliseconds, so that it happens in a thread. Concurrent calls
    for the same context build once, from any loop. Cancelling the call leaves the thread to
    finish by itself; its context is kept for the next call.

    Trusted files that have changed are read again. If they cannot be used, the last good ones
    are, and a warning is logged on ``wsclient.tls``.

    Args:
        settings: of the context, which must not be changed: others use it too.
        identity: what it shows to servers; ``None`` for nothing.
        direct: whether the context may be one that has gone direct, if there is nothing in it
            that forbids that.

    Raises:
        TrustError: the trusted files cannot be used, and could not before. The next call tries
            again.
        IdentityError: OpenSSL does not accept the identity.
        TLSConfigurationError: the key log cannot be written.
    """
    keylog = _keylog(settings)
    direct = direct and identity is None and settings.may_go_direct and keylog is None
    key = _Key(settings, keylog, identity, direct)
    # A few microseconds for a local file, far less than the way to a thread and back.
    context = _cached(key, settings.trust.stamps())
    if context is not None:
        return context
    outcome = await asyncio.wrap_future(_begin(key))
    if outcome.error is not None:
        try:
            raise outcome.error
        finally:
            del outcome  # else the error would hold the frame that holds it
    assert outcome.context is not None
    return outcome.context


def drop_context(settings: ContextSettings, identity: ClientIdentity | None) -> None:
    """Forget the contexts of an identity that has been replaced; connections keep theirs."""
    with _lock:
        for key, version in list(_contexts):
            if key.identity == identity and key.settings == settings:
                del _contexts[key, version]


def _keylog(settings: ContextSettings) -> str | None:
    """Return where to write the secrets of connections, as ssl.create_default_context() does."""
    if settings.keylog_filename is not None or sys.flags.ignore_environment:
        return settings.keylog_filename
    return os.environ.get("SSLKEYLOGFILE") or None


def _cached(key: _Key, stamps: Stamps) -> HandshakeContext | None:
    """Return the context built from files with these stamps, if it is still known."""
    with _lock:
        keeper = _keepers.get(key.settings.trust)
        if keeper is None or not keeper.is_current(stamps):
            return None
        return _known(key, keeper)


def _known(key: _Key, keeper: _TrustKeeper) -> HandshakeContext | None:
    context = _contexts.get((key, keeper.version))
    if context is not None:
        _contexts.move_to_end((key, keeper.version))
        if key.settings.trust in _keepers:
            _keepers.move_to_end(key.settings.trust)
    return context


def _begin(key: _Key) -> concurrent.futures.Future[_Outcome]:
    """Return the future of the one thread that builds for `key`."""
    with _lock:
        future = _building.get(key)
        if future is not None:
            return future
        future = _building[key] = concurrent.futures.Future()
    # From now on it cannot be cancelled by one of those who wait for it.
    future.set_running_or_notify_cancel()
    try:
        asyncio.get_running_loop().run_in_executor(None, _Job(key, future))
    except BaseException as exc:
        # The loop's threads have been shut down.
        _settle(key, future, _Outcome(None, exc))
    return future


class _Job:
    """Runs `_finish`; tells all who wait also when it is thrown away without having run."""

    def __init__(self, key: _Key, future: concurrent.futures.Future[_Outcome]) -> None:
        self._work = key, future

    def __call__(self) -> None:
        _finish(*self._work)

    def __del__(self) -> None:
        if not self._work[1].done():
            fault = RuntimeError("the event loop's threads were shut down")
            _settle(*self._work, _Outcome(None, fault))


def _finish(key: _Key, future: concurrent.futures.Future[_Outcome]) -> None:
    """Build, and tell all who wait. Runs in a thread."""
    try:
        outcome = _Outcome(_build(key), None)
    except BaseException as exc:
        outcome = _Outcome(None, exc)
    _settle(key, future, outcome)


def _settle(key: _Key, future: concurrent.futures.Future[_Outcome], outcome: _Outcome) -> None:
    with _lock:
        if future.done():
            return
        _building.pop(key, None)
        future.set_result(outcome)


def _build(key: _Key) -> HandshakeContext:
    """Return the context for `key` and the present state of its files. Blocks."""
    settings, identity = key.settings, key.identity
    keeper = _keeper(settings.trust)
    with keeper.lock:
        context = keeper.refresh(key)
        if context is None:
            with _lock:
                known = _known(key, keeper)
            if known is not None:
                return known
            assert keeper.contents is not None
            context = settings.context(keeper.contents, key.keylog)
        if identity is not None:
            settings.show(identity, context)
        if key.direct:
            context.go_direct()
        _keep(key, keeper, context)
        return context


def _keeper(trust: Trust) -> _TrustKeeper:
    with _lock:
        keeper = _keepers.get(trust)
        if keeper is None:
            keeper = _keepers[trust] = _TrustKeeper(trust)
        _keepers.move_to_end(trust)
        while len(_keepers) > _CACHE_SIZE:
            _keepers.popitem(last=False)
        return keeper


def _keep(key: _Key, keeper: _TrustKeeper, context: HandshakeContext) -> None:
    """Put a context into the cache; out of it those of older files, and the one least used."""
    with _lock:
        for other, version in list(_contexts):
            if version != keeper.version and other.settings.trust == key.settings.trust:
                del _contexts[other, version]
        _contexts[key, keeper.version] = context
        while len(_contexts) > _CACHE_SIZE:
            _contexts.popitem(last=False)
