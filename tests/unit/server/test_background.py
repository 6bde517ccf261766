"""Threads for large messages."""

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from prepackaged.server.transport.background import CollectorPause
from prepackaged.testing import serve


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The garbage collector is on before and after each test."""
    gc.enable()
    yield
    gc.enable()


def test_the_collector_is_off_until_the_last_thread_has_finished() -> None:
    """The collector stays off while any of several threads is in the block."""
    pause, is_inside, may_leave = CollectorPause(), threading.Event(), threading.Event()

    def stay() -> None:
        with pause:
            is_inside.set()
            may_leave.wait(60)

    other = threading.Thread(target=stay)
    with pause:
        assert not gc.isenabled()
        other.start()
        is_inside.wait(60)
    assert not gc.isenabled()
    may_leave.set()
    other.join()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    """The block does not turn on a collector that somebody else has turned off."""
    gc.disable()
    with CollectorPause():
        pass
    assert not gc.isenabled()


def test_an_error_turns_the_collector_on_again() -> None:
    """The collector is on again after an error in the block."""
    with pytest.raises(ValueError, match="no message"), CollectorPause():
        raise ValueError("no message")
    assert gc.isenabled()


class Mirror:
    """Returns its input."""

    def predict(self, X: Any, names: Any) -> Any:
        return X


def test_large_messages_are_parsed_and_written_without_collections() -> None:
    """The collector looks at a large message once after each step, not hundreds of times."""
    collected = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            collected.append(threading.current_thread().name)

    gc.callbacks.append(note)
    try:
        with serve(Mirror()) as server:
            body = {"jsonData": {"a": [["a", [], {}]] * 50_000}}
            answer = requests.post(f"{server.url}/predict", json=body, timeout=60)
    finally:
        gc.callbacks.remove(note)
    assert answer.json() == {**body, "meta": {}}
    assert len([name for name in collected if name.startswith("messages")]) <= 2
