import asyncio

import uvloop

from prepackaged.server.transport.idle_timer import IdleTimer

SOON, LATE = 0.001, 3600


def rung(*acts: str | float) -> int:
    """How often an alarm has rung that was set to these seconds, unset or cancelled, in order."""

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
        over.set(20 * SOON)  # set last and later than what may ring
        await is_over.wait()
        alarm.cancel()
        return len(rings)

    return uvloop.run(act())


def test_an_alarm_rings_once_when_its_time_has_come() -> None:
    """And not again."""
    assert rung(SOON) == 1


def test_the_latest_time_counts() -> None:
    """Whether it is sooner than the one before or later."""
    assert rung(LATE, SOON) == 1
    assert rung(SOON, LATE) == 0


def test_an_alarm_that_was_put_off_rings_at_its_new_time() -> None:
    """The timer that ends meanwhile goes on."""
    assert rung(SOON, 2 * SOON) == 1
    assert rung(SOON, "unset", 2 * SOON) == 1


def test_an_alarm_that_is_unset_or_cancelled_is_silent() -> None:
    """As while a request is answered, and when the connection is gone."""
    assert rung(SOON, "unset") == 0
    assert rung(SOON, "cancel") == 0
