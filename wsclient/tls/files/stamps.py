"""What tells one state of a file from another without reading it.

What cannot be seen: a file that is written over in place, with the same size, within the tick of
the file system's clock in which it was read. So a reading is final only when the files have been
left alone for a while; until then they are read again (`Stamps.settled`). And a writer that
stops between two writes in place, just where what is there makes sense, shows itself only by
its next write.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["Stamp", "Stamps", "stamp_of", "stamps_of"]

_COARSEST_TICK: Final = 2_000_000_000
"""Nanoseconds: FAT counts in two seconds; the others are finer, a few milliseconds at most."""


class Stamp(NamedTuple):
    """The state of one file, links followed.

    The time of the last change of its inode (`changed`) tells what tools hide that set the time
    of modification back, such as ``cp -p`` and ``rsync -t``.
    """

    modified: int
    changed: int
    size: int
    inode: int
    device: int


@dataclass(frozen=True, slots=True)
class Stamps:
    """The states of several files at one time. Two are equal if no file has changed.

    Attributes:
        files: one of each file in their order; ``None`` for one that is not there.
    """

    files: tuple[Stamp | None, ...]

    def settled(self, now: int) -> bool:
        """Tell whether a change after `now` must show in the stamps.

        Args:
            now: the time of day in nanoseconds, before the stamps were taken.
        """
        return not self.changed_within(_COARSEST_TICK, now)

    def changed_within(self, age: int, now: int) -> bool:
        """Tell whether a file has changed lately.

        A time in the future, from a clock that is wrong, does not count.

        Args:
            age: nanoseconds.
            now: the time of day in nanoseconds.
        """
        newest = (max(each.modified, each.changed) for each in self.files if each is not None)
        return any(-_COARSEST_TICK < now - each < age for each in newest)


def stamp_of(path: str) -> Stamp | None:
    """Return the state of a file; ``None`` when it cannot be reached.

    It takes some microseconds with a local file. It blocks for as long as the file system does.

    Args:
        path: of the file, or of a link to it.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Stamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


def stamps_of(paths: Sequence[str]) -> Stamps:
    """Return the states of several files, as `stamp_of`.

    Taken before and after files were read, equal stamps prove that all that was read was there
    at the same time, also with files that are reached through one link, such as Kubernetes'
    ``..data``: a file that was replaced does not come back.

    Args:
        paths: of the files.
    """
    return Stamps(tuple(map(stamp_of, paths)))
