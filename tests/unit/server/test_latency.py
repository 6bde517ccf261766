import pytest

from prepackaged.server.inference.latency import (
    CAUTIOUS,
    LONG_SECONDS,
    QUICK_SECONDS,
    LatencyTracker,
)

QUICK, SLOW, LONG = QUICK_SECONDS / 2, QUICK_SECONDS * 2, LONG_SECONDS * 2


def after(*calls: float) -> LatencyTracker:
    """What is known after calls of so many seconds, each made where the last ones let it."""
    pace = LatencyTracker()
    for seconds in calls:
        pace.note(seconds, 1, busy=None if pace.is_quick else seconds)
    return pace


@pytest.mark.parametrize(
    ("calls", "is_quick"),
    [
        ([], False),
        ([QUICK] * 2, False),
        ([QUICK] * 3, True),
        ([QUICK] * 9 + [SLOW], True),
        ([QUICK] * 9 + [SLOW] * 2, True),
        ([QUICK] * 9 + [SLOW] * 3, False),
        ([QUICK] * 9 + [SLOW] * 3 + [QUICK] * CAUTIOUS, True),
        ([QUICK] * 9 + [SLOW] * 3 + [QUICK] * (CAUTIOUS - 1), False),
        ([QUICK] * 9 + [LONG], False),
        ([QUICK] * 9 + [LONG] + [QUICK] * (CAUTIOUS - 1), False),
        ([QUICK] * 9 + [LONG] + [QUICK] * CAUTIOUS, True),
    ],
)
def test_most_of_the_recent_calls_decide_and_a_long_one_for_long(
    *, calls: list[float], is_quick: bool
) -> None:
    """One that was interrupted does not make a model slow; one that holds everybody up does."""
    assert after(*calls).is_quick == is_quick


def test_a_call_aside_counts_by_what_the_processor_did() -> None:
    """It waits for the interpreter while the loop is busy; but one that sleeps long is long."""
    pace = LatencyTracker()

    for _ in range(3):
        pace.note(SLOW, 1, busy=QUICK)
    assert pace.is_quick
    pace.note(LONG, 1, busy=QUICK)
    assert not pace.is_quick


def test_the_time_an_item_takes_is_an_average() -> None:
    """Of batches each item takes its part; what is new counts for a tenth."""
    pace = after(4.0)

    pace.note(2.0, 4)

    assert pace.seconds_an_item == pytest.approx(0.9 * 4.0 + 0.1 * 0.5)
