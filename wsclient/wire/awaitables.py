"""Awaitables that need not be awaited.

`write_message`, `ping` and `close` act at once, when they are called. What they return is for
those who want to wait. A plain coroutine would warn when it is dropped; a future would have to
be made for every call. These are coroutines to `asyncio.create_task`, `gather` and `wait_for`
as well, because they are `collections.abc.Coroutine`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["DONE", "Completion", "Done", "Lazy"]

T = TypeVar("T")


class Completion(Coroutine[Any, Any, T], Generic[T]):
    """The end of something that has begun already; it need not be awaited.

    It is a class of its own, so that type checkers do not complain about a coroutine that
    nobody awaits.
    """

    __slots__ = ()


class Lazy(Completion[T]):
    """A coroutine that is made when somebody waits for it, and not before.

    Awaiting it again starts a new one.

    Args:
        make: makes the coroutine.
    """

    __slots__ = ("_coroutine", "_make")

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make
        self._coroutine: Coroutine[Any, Any, T] | None = None

    def __await__(self) -> Generator[Any, Any, T]:
        return self._make().__await__()

    def send(self, value: Any) -> Any:
        """Resume, as `asyncio.Task` does."""
        return self._resume(self._begun().send, value)

    def throw(self, *error: Any) -> Any:
        """Raise inside, as `asyncio.Task` does to cancel."""
        try:
            return self._resume(self._begun().throw, *error)
        finally:
            # The traceback has this frame: a cycle would keep all that the coroutine knew of.
            del error

    def _begun(self) -> Coroutine[Any, Any, T]:
        if self._coroutine is None:
            self._coroutine = self._make()
        return self._coroutine

    def _resume(self, method: Callable[..., Any], *given: Any) -> Any:
        try:
            return method(*given)
        except BaseException:
            # It has ended, one way or the other: the next one who waits starts anew.
            self._coroutine = None
            raise
        finally:
            del given  # As above.

    def close(self) -> None:
        """End the waiting."""
        coroutine, self._coroutine = self._coroutine, None
        if coroutine is not None:
            coroutine.close()


_NOTHING: Any = iter(())


class Done(Completion[None]):
    """Something that is done already; one object serves every caller."""

    __slots__ = ()

    # All that `await` needs is an iterator at its end, got without a call into Python.
    __await__ = _NOTHING.__iter__

    def send(self, value: Any) -> Any:
        """End at once."""
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        """Raise what is thrown in."""
        first = error[0]
        try:
            raise first if isinstance(first, BaseException) else first(*error[1:2])
        finally:
            del error, first  # The traceback has this frame.

    def close(self) -> None:
        """Do nothing."""


DONE = Done()
