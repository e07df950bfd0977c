"""The rules that wait for a moment in one direction of one connection."""

from __future__ import annotations

from .moments import Moment, Tracker
from .rules import Event, Rule

__all__ = ["Watch"]


class Watch:
    """Knows how many bytes may pass before a rule must act.

    Attributes:
        rules: those that have not acted yet, in the order in which they were made.

    Args:
        tracker: follows the same bytes.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.rules: list[Rule] = []
        self._tracker = tracker
        # For each sequence that is looked for: the last bytes that passed, one less than it has.
        self._passed: dict[bytes, bytes] = {}

    def add(self, rule: Rule) -> None:
        """Wait for the moment of `rule` too."""
        self.rules.append(rule)
        if rule.when.match is not None:
            self._passed.setdefault(rule.when.match, b"")

    def clear(self) -> None:
        """Wait for nothing any more."""
        self.rules.clear()
        self._passed.clear()

    def at_byte(self, offset: int) -> list[Rule]:
        """Take out and return the rules for an offset that has been reached."""
        return self._take([rule for rule in self.rules if rule.when.byte == offset])

    def at_event(self, event: Event) -> list[Rule]:
        """Take out and return the rules for an event."""
        return self._take([rule for rule in self.rules if rule.when.event == event])

    def pass_on(self, data: memoryview, offset: int) -> tuple[int, list[Rule]]:
        """Take bytes up to the next moment that a rule waits for.

        Args:
            data: bytes that come next.
            offset: of the first of them.

        Returns:
            How many of them come before the moment, and the rules that act there; those for an
            offset are not among them, see `at_byte`. The rules are taken out.
        """
        if not self.rules:
            # The tracker must know where frames begin when the next rule is made.
            return self._tracker.feed(data, _unwanted)[0], []
        size = self._limit(data, offset)
        count, moment = self._tracker.feed(data[:size], self._wanted)
        reached = self._matched(data[:count]) if self._passed else []
        if moment is not None:
            reached += [rule for rule in self.rules if _is_at(rule, moment)]
        return count, self._take(reached)

    def _limit(self, data: memoryview, offset: int) -> int:
        """Return how many bytes come before the next offset or match that a rule waits for."""
        size = len(data)
        for rule in self.rules:
            if rule.when.byte is not None and rule.when.byte > offset:
                size = min(size, rule.when.byte - offset)
        for match, before in self._passed.items():
            found = (before + data[:size]).find(match)
            if found >= 0:
                size = found + len(match) - len(before)
        return size

    def _matched(self, data: memoryview) -> list[Rule]:
        found = []
        for match, before in self._passed.items():
            now = before + data
            if now.endswith(match):
                found.append(match)
            self._passed[match] = now[max(0, len(now) - len(match) + 1) :]
        return [rule for rule in self.rules if rule.when.match in found]

    def _wanted(self, moment: Moment) -> bool:
        return any(_is_at(rule, moment) for rule in self.rules)

    def _take(self, reached: list[Rule]) -> list[Rule]:
        if reached:
            # By identity: two rules may be equal, and both are to act.
            taken = {id(rule) for rule in reached}
            self.rules = [rule for rule in self.rules if id(rule) not in taken]
            waiting = {rule.when.match for rule in self.rules}
            self._passed = {match: p for match, p in self._passed.items() if match in waiting}
        return reached


def _unwanted(moment: Moment) -> bool:
    return False


def _is_at(rule: Rule, moment: Moment) -> bool:
    when = rule.when
    if moment.event is not None:
        return when.event == moment.event
    if when.frame is not None:
        return when.frame == moment.frame
    return when.opcode is not None and when.opcode == moment.opcode
