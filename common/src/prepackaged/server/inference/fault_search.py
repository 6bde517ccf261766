"""Find the request at fault among requests that failed together."""

from collections.abc import Sequence

from prepackaged.server.inference.requests import InferenceRequest

MOST_SOUGHT = 3  # the most searches in a row; then each request of a failed batch runs alone


class FaultSearch:
    """Halves the suspects with each call; other requests get their turn between the calls.

    After a failed batch of n requests, about log2(n) calls find the request at fault, which then
    gets its error. The calls that succeed answer the requests in them.
    """

    def __init__(self) -> None:
        self._suspects: set[int] = set()  # by id, which keeps no request that has left
        self._found = 0

    def at_once(self, together: int) -> int:
        """The most requests for the next call: half of the suspects, or `together` without any."""
        return (len(self._suspects) + 1) // 2 or together

    def begin_call(self, requests: Sequence[InferenceRequest]) -> None:
        """End the search if the clients of all suspects have disconnected."""
        if self._suspects and self._suspects.isdisjoint(map(id, requests)):
            self._suspects.clear()

    def note_answers(self, requests: Sequence[InferenceRequest]) -> None:
        """Learn that requests were answered together."""
        if self._suspects:
            self._suspects.difference_update(map(id, requests))
        else:
            self._found = 0

    def note_failure(self, requests: Sequence[InferenceRequest]) -> bool:
        """Learn that requests failed together; return whether it is worth the calls to search."""
        if self._suspects or self._found < MOST_SOUGHT:
            self._suspects = set(map(id, requests))
            return True
        self._found = 0
        return False

    def note_alone(self, request: InferenceRequest, *, is_failure: bool) -> None:
        """Record the outcome of a request in a call of its own."""
        if id(request) not in self._suspects:
            return
        if is_failure:
            self._suspects.clear()
        else:
            self._suspects.discard(id(request))
        if not self._suspects:  # found, or no request is at fault alone and they only fail together
            self._found += 1
