"""The parent of several workers."""

from itertools import pairwise

from prepackaged.server.runtime.workers import LONGEST_PAUSE_SECONDS, pause_seconds


def test_the_pause_after_any_number_of_deaths_is_at_most_the_longest() -> None:
    """Pauses grow up to the longest one, also after thousands of deaths in a row."""
    pauses = [pause_seconds(deaths) for deaths in range(1, 5000)]

    assert pauses[:3] == [0.25, 0.5, 1]
    assert all(before <= after for before, after in pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
