"""A Model's hooks run on one thread, the main one, without a running event loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from serving import OURS, PROGRAMS, UPSTREAM, Server, serve

MODELS = Path(__file__).parent / "models"
TIMES = {OURS: 500, UPSTREAM: 50}
# What a model uses in its hooks, and the result on the thread that set it up.
KINDS = {
    "asyncio_run": "slept",
    "own_loop": "slept",
    "no_running_loop": "none",
    "sqlite": "42",
    "alarm": "set",
    "thread_local": "set",
    "context_variable": "set",
    "decimal_context": "0.333",
    "main_thread": "True",
}
ASK = {"strData": "hi"}


@pytest.mark.parametrize("program", [OURS, UPSTREAM])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_is_called_on_the_thread_that_loaded_the_model(program: str, kind: str) -> None:
    """Both servers call every hook on the loading thread, even after many fast calls."""
    with (
        serve(MODELS, "Threads", PROGRAMS / program, kind=kind) as server,
        requests.Session() as session,
    ):
        ask = asker(session, server)
        metadata = session.get(f"{server.url}/metadata", timeout=60).json()
        assert metadata["name"] == ("" if program == UPSTREAM else KINDS[kind])
        for number in range(TIMES[program]):
            answer = ask("/api/v1.0/predictions", ASK)
            assert answer["strData"] == KINDS[kind]
            assert answer["meta"]["tags"] == {"tags": KINDS[kind]}
            if number % 50 == 0:
                health = session.get(f"{server.url}/health/status", timeout=60).json()
                assert health["strData"] == KINDS[kind]
                assert ask("/transform-input", ASK)["strData"] == KINDS[kind]
                assert ask("/send-feedback", {"reward": 1.0})["strData"] == KINDS[kind]


def asker(session: requests.Session, server: Server) -> Callable[[str, Any], Any]:
    """Return a function that posts a message to a path and returns the answer."""

    def ask(path: str, message: Any) -> Any:
        answer = session.post(f"{server.url}{path}", json=message, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask
