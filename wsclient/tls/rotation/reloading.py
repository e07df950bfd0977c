"""Identities in files: read in a thread, when somebody asks and they have changed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
import traceback
from typing import Final, NamedTuple

from ...errors import IdentityError
from ..files.stamps import Stamps, stamps_of
from ..identity.identity import ClientIdentity
from .last_good import LastGood, no_threads

__all__ = ["ReloadingProvider"]

_PAUSES: Final = (0.01, 0.04, 0.1, 0.15)
"""Seconds between attempts to read files that somebody may just be writing; 300 ms in all."""

_FRESH: Final = 5_000_000_000
"""Nanoseconds. Files that changed less long ago may be in the middle of being written."""

_RETRY: Final = 1.0
"""Seconds after which files that could not be used are read again although they are the same."""

_LASTING: Final = frozenset(
    {
        "is_a_directory",
        "key_too_small",
        "key_type_unsupported",
        "password_callback_failed",
        "password_required",
        "pkcs11_unavailable",
        "provider_failed",
    }
)
"""Reasons that are no sign of a file that is just being written."""


class _Reading(NamedTuple):
    """How one attempt to read the files ended.

    Attributes:
        number: of the question that it answers.
        stamps: of the files; ``None`` when they changed while they were read.
        identity: what was read, adopted already if the files were at rest; or ``None``.
        failure: why there is none.
    """

    number: int
    stamps: Stamps | None
    identity: ClientIdentity | None
    failure: IdentityError | None


class _Job:
    """Runs a reading; calls it off when it is thrown away without having run."""

    def __init__(
        self, provider: ReloadingProvider, number: int, flight: concurrent.futures.Future[_Reading]
    ) -> None:
        self._provider, self._number, self._flight = provider, number, flight

    def __call__(self) -> None:
        self._provider._read(self._number, self._flight)

    def __del__(self) -> None:
        fault = RuntimeError("the event loop's threads were shut down")
        self._provider._call_off(self._number, self._flight, fault)


class ReloadingProvider:
    """What the providers that read files have in common."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._last = LastGood(self, " and ".join(paths))
        # Reentrant, because a job may be thrown away at any point.
        self._lock = threading.RLock()
        self._flight: concurrent.futures.Future[_Reading] | None = None
        self._final: Stamps | None = None
        self._given_up: tuple[Stamps | None, float] | None = None

    @property
    def identity(self) -> ClientIdentity | None:
        """The last good identity; ``None`` before the first."""
        return self._last.identity

    @property
    def failure(self) -> IdentityError | None:
        """Why the files cannot be used at present; ``None`` when they can, as far as known."""
        return self._last.failure

    async def get(self) -> ClientIdentity:
        """Return what the files hold now; read them only if they have changed.

        Looking takes microseconds, on the event loop. Reading happens in a thread, once for all
        who ask at the same time, in any loop. While the files do not fit together or cannot be
        read, it is tried five times in 300 ms, if they may just be being written. Then the last
        good identity stays in use; a warning is logged on ``wsclient.tls``, one for each state
        of the files, and `failure` says why. So it is, too, when the threads of the loop have
        been shut down.

        Files that changed in the last two seconds are read again each time, because a second
        change need not show.

        Cancelling is safe, and disturbs nobody else who waits.

        Raises:
            IdentityError: the files cannot be used, and never could. The next call tries again.
        """
        pauses = iter(_PAUSES)
        while True:
            stamps = stamps_of(self._paths)
            known = self._known(stamps)
            if known is not None:
                return known
            flight, own = self._join()
            reading = await asyncio.wrap_future(flight)
            if reading.identity is not None and reading.stamps is not None:
                if own or reading.stamps == stamps:
                    return reading.identity
                continue  # The files changed after it was begun, so it may be of the old ones.
            pause = next(pauses, None) if self._may_heal(reading) else None
            if pause is None:
                return self._give_up(reading)
            await asyncio.sleep(pause)

    def _load(self) -> ClientIdentity:
        """Read the files; it blocks."""
        raise NotImplementedError

    def _known(self, stamps: Stamps) -> ClientIdentity | None:
        """Return the last good identity, if files with these stamps need not be read."""
        if self._final == stamps:
            return self._last.identity
        given_up = self._given_up
        if given_up is not None and given_up[0] == stamps and time.monotonic() < given_up[1]:
            return self._last.identity
        return None

    def _join(self) -> tuple[concurrent.futures.Future[_Reading], bool]:
        """Return the reading that is under way, begun if there is none; and whether it was."""
        with self._lock:
            if self._flight is not None:
                return self._flight, False
            flight = self._flight = concurrent.futures.Future[_Reading]()
        # Running, it cannot be cancelled by one of those who wait for it.
        flight.set_running_or_notify_cancel()
        number = self._last.ask()
        try:
            asyncio.get_running_loop().run_in_executor(None, _Job(self, number, flight))
        except RuntimeError as exc:
            self._call_off(number, flight, exc)
        return flight, True

    def _call_off(
        self, number: int, flight: concurrent.futures.Future[_Reading], exc: RuntimeError
    ) -> None:
        """Tell all who wait that there are no threads to read in."""
        if not flight.done():
            failure = no_threads(self._last, exc)
            self._land(flight, _Reading(number, stamps_of(self._paths), None, failure))

    def _read(self, number: int, flight: concurrent.futures.Future[_Reading]) -> None:
        """Read the files once, and tell all who wait. Runs in a thread."""
        try:
            reading = self._attempt(number)
        except BaseException as exc:
            # Whatever it is, nobody may wait for ever.
            reading = _Reading(number, Stamps(()), None, _unexpected(self._last, exc))
        self._land(flight, reading)

    def _attempt(self, number: int) -> _Reading:
        now = time.time_ns()
        before = stamps_of(self._paths)
        identity, failure = None, None
        try:
            identity = self._load()
        except IdentityError as exc:
            failure = _forget_locals(exc)
        except Exception as exc:
            failure = _forget_locals(_unexpected(self._last, exc))
        stamps = before if stamps_of(self._paths) == before else None
        if identity is not None and stamps is not None:
            identity = self._last.adopt(number, identity)
            self._final = stamps if stamps.settled(now) else None
        return _Reading(number, stamps, identity, failure)

    def _land(self, flight: concurrent.futures.Future[_Reading], reading: _Reading) -> None:
        with self._lock:
            self._flight = None
        flight.set_result(reading)

    def _may_heal(self, reading: _Reading) -> bool:
        """Tell whether the files may be better in a moment."""
        if reading.failure is None or reading.stamps is None:
            return True
        given_up = self._given_up
        if reading.failure.reason in _LASTING or (given_up and given_up[0] == reading.stamps):
            return False
        # Before the first success only what is new: else a wrong path would be waited for.
        return self.identity is not None or reading.stamps.changed_within(_FRESH, time.time_ns())

    def _give_up(self, reading: _Reading) -> ClientIdentity:
        """Return the identity to do with.

        Raises:
            IdentityError: there is none.
        """
        if reading.failure is not None:
            self._given_up = (reading.stamps, time.monotonic() + _RETRY)
            return self._last.keep(reading.number, reading.failure, reading.stamps)
        # A pair that fits, in files that never rest: the chain may be cut, but next time it is
        # read again.
        assert reading.identity is not None
        return self.identity or self._last.adopt(reading.number, reading.identity)


def _unexpected(last: LastGood, exc: BaseException) -> IdentityError:
    """Return the error for what is not the fault of the files, such as too few descriptors."""
    failure = IdentityError(
        f"The client certificate from {last.what} cannot be loaded: {type(exc).__name__}.",
        reason="provider_failed",
    )
    failure.__cause__ = exc
    return failure


def _forget_locals(failure: IdentityError) -> IdentityError:
    """Let go of what the frames of an exception hold: the private key, and its password."""
    # What a function of the caller raised is the caller's, and its frames may be in use.
    if failure.reason != "password_callback_failed":
        chained = failure.__cause__ or failure.__context__
        while chained is not None:
            traceback.clear_frames(chained.__traceback__)
            chained = chained.__cause__ or chained.__context__
    return failure.with_traceback(None)
