import pytest

from prepackaged.server.inference.latency import (
    CAUTIOUS_CALLS,
    LONG_SECONDS,
    QUICK_SECONDS,
    LatencyTracker,
)

QUICK, SLOW, LONG = QUICK_SECONDS / 2, QUICK_SECONDS * 2, LONG_SECONDS * 2


def after(*calls: float, rows: int = 1) -> LatencyTracker:
    """Return a tracker of these call times, each measured on or off the loop as it allows."""
    latency = LatencyTracker()
    for seconds in calls:
        busy = None if latency.is_quick(rows) else seconds
        latency.note(seconds, 1, rows, busy=busy)
    return latency


@pytest.mark.parametrize(
    ("calls", "is_quick"),
    [
        ([], False),
        ([QUICK] * 2, False),
        ([QUICK] * 3, True),
        ([QUICK] * 9 + [SLOW], True),
        ([QUICK] * 9 + [SLOW] * 2, True),
        ([QUICK] * 9 + [SLOW] * 3, False),
        ([QUICK] * 9 + [SLOW] * 3 + [QUICK] * CAUTIOUS_CALLS, True),
        ([QUICK] * 9 + [SLOW] * 3 + [QUICK] * (CAUTIOUS_CALLS - 1), False),
        ([QUICK] * 9 + [LONG], False),
        ([QUICK] * 9 + [LONG] + [QUICK] * (CAUTIOUS_CALLS - 1), False),
        ([QUICK] * 9 + [LONG] + [QUICK] * CAUTIOUS_CALLS, True),
    ],
)
def test_the_majority_of_recent_calls_decides_and_a_long_call_counts_for_many(
    *, calls: list[float], is_quick: bool
) -> None:
    """Most of the recent calls decide whether a model is quick, but a long call counts for many."""
    assert after(*calls).is_quick(1) == is_quick


def test_a_call_off_the_loop_counts_by_its_processor_time() -> None:
    """Calls off the event loop count by their CPU time, unless they take very long."""
    latency = LatencyTracker()

    for _ in range(3):
        latency.note(SLOW, 1, 1, busy=QUICK)
    assert latency.is_quick(1)
    latency.note(LONG, 1, 1, busy=QUICK)
    assert not latency.is_quick(1)


@pytest.mark.parametrize(
    ("rows", "seconds", "asked", "is_quick"),
    [
        (1, QUICK_SECONDS / 100, 60, True),
        (1, QUICK_SECONDS / 100, 1000, False),
        (1000, QUICK_SECONDS / 2, 1, True),
        (1000, QUICK_SECONDS * 2, 1, False),
    ],
    ids=["more rows, within reach", "far more rows", "fewer rows", "fewer rows of a slow model"],
)
def test_batches_of_unknown_sizes_are_judged_by_known_sizes(
    *, rows: int, seconds: float, asked: int, is_quick: bool
) -> None:
    """Batches of other sizes are estimated from known sizes, so the loop tries no large batch."""
    assert after(*[seconds] * 3, rows=rows).is_quick(asked) == is_quick


def test_known_sizes_are_judged_by_their_own_calls() -> None:
    """Sizes that were measured are judged by their own calls."""
    latency = after(*[QUICK] * 3)

    assert not latency.is_quick(1000)
    for _ in range(3):
        latency.note(QUICK, 1, 1000, busy=QUICK)
    assert latency.is_quick(1000)
    assert latency.is_quick(1)


def test_the_time_of_a_request_is_an_average() -> None:
    """The time per request is a moving average, where a new call counts for a tenth."""
    latency = after(4.0)

    latency.note(2.0, 4, 4)

    assert latency.seconds_per_request == pytest.approx(0.9 * 4.0 + 0.1 * 0.5)


def test_the_time_of_an_unknown_size_is_that_of_the_nearest_known_size() -> None:
    """For unknown sizes, the time of the next smaller known size is used, else the next larger."""
    latency = LatencyTracker()
    assert latency.call_seconds(1) == 0
    for _ in range(3):
        latency.note_call(0.2, 8)
        latency.note_call(0.1, 2)
    assert [latency.call_seconds(size) for size in (1, 2, 4, 8, 15, 256)] == [
        0.1,
        0.1,
        0.1,
        0.2,
        0.2,
        0.2,
    ]


def test_one_slow_call_does_not_count() -> None:
    """The median ignores a single slow call, such as the first."""
    latency = LatencyTracker()
    latency.note_call(5.0, 1)
    for _ in range(3):
        latency.note_call(0.1, 1)
    assert latency.call_seconds(1) == 0.1


def test_the_wait_is_the_time_of_all_calls_before() -> None:
    """The expected wait is the time of all full batches and one for the rest."""
    latency = LatencyTracker()
    latency.note_call(0.2, 8)
    latency.note_call(0.1, 1)
    assert latency.seconds_until(0, 8) == 0
    assert latency.seconds_until(17, 8) == pytest.approx(0.5)
