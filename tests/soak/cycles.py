"""Finds which objects hold each other: Tarjan's algorithm over the references of objects."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

__all__ = ["cycles"]


def cycles(objects: Sequence[Any]) -> list[list[Any]]:
    """Return the groups of objects in which each can be reached from each other.

    What hangs from such a group, and could be freed by itself, is in none.

    Args:
        objects: references to others than these are not followed.
    """
    return _Search(objects).groups()


class _Search:
    """One search; no recursion, for chains may be long."""

    def __init__(self, objects: Sequence[Any]) -> None:
        self._objects = {id(each): each for each in objects}
        self._next = {
            key: [id(other) for other in gc.get_referents(each) if id(other) in self._objects]
            for key, each in self._objects.items()
        }
        self._order: dict[int, int] = {}
        self._lowest: dict[int, int] = {}
        self._stack: list[int] = []
        self._stacked: set[int] = set()
        self._found: list[list[Any]] = []

    def groups(self) -> list[list[Any]]:
        for key in self._objects:
            if key not in self._order:
                self._search(key)
        return self._found

    def _search(self, root: int) -> None:
        self._enter(root)
        path = [(root, iter(self._next[root]))]
        while path:
            key, ahead = path[-1]
            for other in ahead:
                if other not in self._order:
                    self._enter(other)
                    path.append((other, iter(self._next[other])))
                    break
                if other in self._stacked:
                    self._lowest[key] = min(self._lowest[key], self._order[other])
            else:
                path.pop()
                self._leave(key)
                if path:
                    before = path[-1][0]
                    self._lowest[before] = min(self._lowest[before], self._lowest[key])

    def _enter(self, key: int) -> None:
        self._order[key] = self._lowest[key] = len(self._order)
        self._stack.append(key)
        self._stacked.add(key)

    def _leave(self, key: int) -> None:
        if self._lowest[key] != self._order[key]:
            return
        group: list[int] = []
        while not group or group[-1] != key:
            group.append(self._stack.pop())
            self._stacked.discard(group[-1])
        if len(group) > 1 or key in self._next[key]:
            self._found.append([self._objects[each] for each in group])
