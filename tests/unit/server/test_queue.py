"""What waits for the model is taken on one thread while clients leave on another."""

import math

from prepackaged.server.inference.admission import Admission
from prepackaged.server.inference.latency import LatencyTracker
from prepackaged.server.inference.queue import WorkQueue
from prepackaged.server.inference.work import Work


def test_a_client_that_leaves_during_a_refusal_affects_no_other() -> None:
    """The queue gets shorter while it is looked through; the others are taken in their order."""
    works = [Work(item, print) for item in range(4)]
    leaving: list[Work] = []

    def together() -> int:  # which the look asks for with each request
        for work in leaving:
            work.cancel()
        return 4

    admission = Admission(LatencyTracker(), together)
    queue = WorkQueue(
        admission,
        lambda: 4,
        print,
        max_waiting=4,
        max_rows=math.inf,
        max_bytes=math.inf,
    )
    for work in works:
        queue.add(work)
    leaving.append(works[2])
    admission.is_stricter = True

    assert queue.take() == [works[0], works[1], works[3]]
