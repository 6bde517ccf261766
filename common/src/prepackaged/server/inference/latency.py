"""How long a model takes, and so on which thread it is called."""

from collections import deque

QUICK_SECONDS = 0.001  # a call that the event loop can bear
LONG_SECONDS = 0.01  # one that it is not to bear a second time soon
RECENT = 5  # calls whose middle counts: on busy processors one is soon interrupted
CAUTIOUS = 100  # calls made aside after the loop has borne too much


class LatencyTracker:
    """Learns from every call; for one thread at a time."""

    def __init__(self) -> None:
        self._recent = deque([LONG_SECONDS] * RECENT, RECENT)  # unknown yet: not on the loop
        self._cautious = 0
        self.seconds_an_item = 0.0  # on the average of late

    @property
    def is_quick(self) -> bool:
        """Whether the next call may be made on the event loop."""
        return not (self._cautious or self._is_slow())

    def note(self, seconds: float, items: int, *, busy: float | None = None) -> None:
        """Learn from a call of the model with so many items.

        `busy` are the processor's seconds of a call that was made aside: there a call may take
        long because the loop has the interpreter, which is no fault of the model's.
        """
        is_long = seconds > LONG_SECONDS
        self._recent.append(seconds if is_long or busy is None else busy)
        if is_long or (busy is None and self._is_slow()):
            self._cautious = CAUTIOUS
        else:
            self._cautious = max(self._cautious - 1, 0)
        self.note_item(seconds / items)

    def _is_slow(self) -> bool:
        return sorted(self._recent)[RECENT // 2] > QUICK_SECONDS

    def note_item(self, seconds: float) -> None:
        """Learn what one item took, of whatever is asked of the model."""
        average = self.seconds_an_item
        self.seconds_an_item = average * 0.9 + seconds * 0.1 if average else seconds
