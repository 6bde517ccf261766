"""A Model that relies on running on one thread, as under seldon-core's microservice."""

import asyncio
import contextvars
import decimal
import signal
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

VARIABLE = contextvars.ContextVar("variable", default="unset")


async def slept() -> str:
    """Return after one iteration of the event loop."""
    await asyncio.sleep(0)
    return "slept"


class Threads:
    """Sets something up in its constructor or in `load`, and uses it in every hook.

    `kind` names it: one of the `use_` methods below, without the prefix.
    """

    def __init__(self, kind: str) -> None:
        self.use: Callable[[], Any] = getattr(self, f"use_{kind}")
        self.thread = threading.current_thread()
        self.local = threading.local()
        self.local.value = "set"

    def load(self) -> None:
        assert threading.current_thread() is self.thread
        self.database = sqlite3.connect(":memory:")
        self.database.execute("create table numbers as select 42 as number")
        self.loop = asyncio.new_event_loop()
        VARIABLE.set("set")
        decimal.getcontext().prec = 3
        signal.signal(signal.SIGALRM, lambda *_: None)

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        return f"{self.use()}"

    def tags(self) -> dict[str, Any]:
        return {"tags": f"{self.use()}"}

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:
        return f"{self.use()}"

    def health_status(self) -> Any:
        return f"{self.use()}"

    def init_metadata(self) -> dict[str, Any]:
        is_loaded = hasattr(self, "database")  # not yet under seldon-core's server
        return {"name": f"{self.use()}" if is_loaded else ""}

    def send_feedback(self, features: Any, names: Any, reward: Any, truth: Any, **_: Any) -> Any:
        return f"{self.use()}"

    def use_asyncio_run(self) -> str:
        return asyncio.run(slept())

    def use_own_loop(self) -> str:
        return self.loop.run_until_complete(slept())

    def use_no_running_loop(self) -> str:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return "none"
        return "a loop is running"

    def use_sqlite(self) -> int:
        return int(self.database.execute("select number from numbers").fetchone()[0])

    def use_alarm(self) -> str:
        signal.alarm(60)
        signal.alarm(0)
        return "set"

    def use_thread_local(self) -> str:
        return str(self.local.value)

    def use_context_variable(self) -> str:
        return VARIABLE.get()

    def use_decimal_context(self) -> str:
        return str(decimal.Decimal(1) / 3)

    def use_main_thread(self) -> bool:
        return threading.current_thread() is threading.main_thread()
