import asyncio

import uvloop

from prepackaged.server.transport.idle_timer import IdleTimer

SOON, LATE = 0.001, 3600


def rung(*acts: str | float) -> int:
    """Return how often a timer fires after these delays and actions, in order."""

    async def act() -> int:
        rings: list[None] = []
        loop = asyncio.get_running_loop()
        alarm = IdleTimer(loop, lambda: rings.append(None))
        for each in acts:
            if isinstance(each, str):
                getattr(alarm, each)()
            else:
                alarm.set(each)
        over = IdleTimer(loop, (is_over := asyncio.Event()).set)
        over.set(20 * SOON)  # set last, and later than any timer that may fire
        await is_over.wait()
        alarm.cancel()
        return len(rings)

    return uvloop.run(act())


def test_a_timer_fires_once() -> None:
    """A timer fires once."""
    assert rung(SOON) == 1


def test_the_latest_delay_counts() -> None:
    """The latest delay counts, whether it is shorter or longer than the previous one."""
    assert rung(LATE, SOON) == 1
    assert rung(SOON, LATE) == 0


def test_a_postponed_timer_fires_at_its_new_time() -> None:
    """A postponed timer fires at its new time."""
    assert rung(SOON, 2 * SOON) == 1
    assert rung(SOON, "unset", 2 * SOON) == 1


def test_an_unset_or_cancelled_timer_does_not_fire() -> None:
    """A timer that is unset or cancelled does not fire."""
    assert rung(SOON, "unset") == 0
    assert rung(SOON, "cancel") == 0
