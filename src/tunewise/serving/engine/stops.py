"""Holds back what may become a stop string, so that no part of one is ever streamed."""

from collections.abc import Sequence


class StopFilter:
    """Text in as it is generated, text out that is safe to show.

    Args:
        stops: texts that end the answer and are no part of it.

    Attributes:
        stopped: whether one of them came; what is fed afterwards is dropped.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stopped = False
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of all text so far that was not given yet and cannot belong to a stop string."""
        if self.stopped:
            return ""
        self._held += text
        found = [
            (place + len(stop), place)
            for stop in self._stops
            if (place := self._held.find(stop)) >= 0
        ]
        if found:  # The one that was complete first: in whatever parts the text comes.
            self.stopped = True
            return self._take(min(found)[1])
        return self._take(self._safe())

    def flush(self) -> str:
        """What was held back, once it is certain that nothing follows."""
        return "" if self.stopped else self._take(len(self._held))

    def _take(self, length: int) -> str:
        given, self._held = self._held[:length], self._held[length:]
        return given

    def _safe(self) -> int:
        """Characters before the first place from which the rest begins a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for place in range(max(0, len(self._held) - longest), len(self._held)):
            if any(stop.startswith(self._held[place:]) for stop in self._stops):
                return place
        return len(self._held)
