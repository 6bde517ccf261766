"""What a reload does when memory is short, and how changes take turns."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from prepackaged.own_code import forgotten
from prepackaged.server.inference.model_thread import ModelThread, started
from prepackaged.server.protocols.v2.repository import LOAD
from prepackaged.server.runtime import memory, reload
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loaded import LoadedModel
from prepackaged.server.runtime.model_files import Fingerprint
from prepackaged.server.runtime.reload import Reloader, ReloadError
from prepackaged.server.runtime.server import RunningServer
from prepackaged.server.runtime.turns import Turns
from prepackaged.server.telemetry.metrics import Metrics

MEGABYTE = 2**20
MODEL = """
class Heavy:
    callable_from_any_thread = True
    def predict(self, X, names):
        return X
"""


@pytest.fixture
def interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A class that can be imported."""
    (tmp_path / "heavy.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    return "heavy.Heavy"


@contextmanager
def reloading(interface: str, needed: int, size: int = 0, **settings: Any) -> Iterator[Any]:
    """A server whose model took `needed` bytes and has files of `size`, and its reloader."""
    config = Config(interface, {}, **settings)
    with LoopThread() as loop, started(ModelThread()) as thread:
        model = reload.load(config, loop).model
        loaded = LoadedModel(model, {}, "", 1.0, needed)
        files = Fingerprint((), (("model", size, 0, 0),))
        server: Any = loop.run(RunningServer.of(model, {}, config, thread.submit, Metrics()))
        yield loop, server, loop.run(Reloader.of(server, loop, thread, loaded, files))


def test_a_reload_is_refused_if_memory_is_short(
    interface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has both numbers, and the old model stays."""
    monkeypatch.setattr(reload, "available", lambda: 50 * MEGABYTE)
    with reloading(interface, 80 * MEGABYTE) as (loop, server, reloader):
        before = server.service
        with pytest.raises(ReloadError, match=r"about 80 MB of memory .* and 50 MB are free"):
            loop.run(reloader.change(LOAD))
        assert server.service is before


def test_larger_files_need_more_memory(interface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of twice the size is taken to need twice the memory."""
    monkeypatch.setattr(reload, "available", lambda: 50 * MEGABYTE)
    twice = Fingerprint((), (("model", 2000, 0, 0),))
    monkeypatch.setattr(reload, "fingerprint", lambda _: twice)
    with (
        reloading(interface, 40 * MEGABYTE, 1000) as (loop, _, reloader),
        pytest.raises(ReloadError, match="about 80 MB"),
    ):
        loop.run(reloader.change(LOAD))


def test_the_old_model_is_unloaded_first_if_that_is_allowed(
    interface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the new one loads, there is no model."""
    monkeypatch.setattr(reload, "available", lambda: 50 * MEGABYTE)
    had, real = [], reload.load
    with reloading(interface, 80 * MEGABYTE, unload_first=True) as (loop, server, reloader):

        def load(config: Config, loop: LoopThread) -> LoadedModel:
            had.append(server.has_model)
            return real(config, loop)

        monkeypatch.setattr(reload, "load", load)
        loop.run(reloader.change(LOAD))
        assert had == [False]
        assert server.has_model


def test_without_a_model_no_memory_is_reserved(
    interface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unloaded server loads whatever memory there is."""
    monkeypatch.setattr(reload, "available", lambda: 0)
    with reloading(interface, 80 * MEGABYTE) as (loop, server, reloader):
        loop.run(reloader.change("unload"))
        assert not server.has_model
        loop.run(reloader.change(LOAD))
        assert server.has_model


def test_pages_of_files_count_as_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of files that were read count as free, because the kernel gives them up."""
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    limit.write_text("1000000")
    used.write_text("700000")
    (tmp_path / "memory.stat").write_text("anon 100000\ninactive_file 600000\n")
    monkeypatch.setattr(memory, "CGROUP_USES", ((limit, used, "inactive_file"),))
    assert memory.available() == 900_000
    limit.write_text("max")
    assert memory.available() > 900_000


def test_requests_during_a_run_share_one_more_run() -> None:
    """One runs, ten ask: there are two runs, and all get the outcome of one of them."""
    runs: list[str] = []

    async def work(what: str) -> int:
        runs.append(what)
        await asyncio.sleep(0.01)
        return len(runs)

    async def ask() -> list[int]:
        turns = Turns(work)
        first = asyncio.create_task(turns.run(LOAD))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = [asyncio.create_task(turns.run(LOAD)) for _ in range(10)]
        return list(await asyncio.gather(first, *others))

    assert asyncio.run(ask()) == [1] + [2] * 10
    assert runs == [LOAD, LOAD]


def test_changes_are_made_in_the_order_of_requests() -> None:
    """A load after an unload does not share a run with a load before it."""
    runs: list[str] = []

    async def work(what: str) -> None:
        await asyncio.sleep(0.01)
        runs.append(what)

    async def ask() -> None:
        turns = Turns(work)
        async with asyncio.TaskGroup() as group:
            for what in (LOAD, LOAD, "unload", "unload", LOAD):
                group.create_task(turns.run(what))
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    asyncio.run(ask())
    assert runs == [LOAD, LOAD, "unload", LOAD]


def test_a_run_continues_if_its_client_disconnects() -> None:
    """A client that disconnects does not stop a load in the middle."""
    done = []

    async def work(what: str) -> None:
        await asyncio.sleep(0.01)
        done.append(what)

    async def ask() -> None:
        turns = Turns(work)
        first = asyncio.create_task(turns.run(LOAD))
        await asyncio.sleep(0)
        first.cancel()
        await turns.run("unload")

    asyncio.run(ask())
    assert done == [LOAD, "unload"]


def test_the_model_s_code_is_imported_again_and_restored_on_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules below the directory are forgotten; after an error, the old ones are back."""
    (tmp_path / "own_step.py").write_text("ANSWER = 1")
    monkeypatch.syspath_prepend(tmp_path)
    own_step = import_module("own_step")
    (tmp_path / "own_step.py").write_text("ANSWER = 1 + 1")
    with pytest.raises(ValueError, match="broken"), forgotten([tmp_path]):
        raise ValueError("broken")
    assert import_module("own_step") is own_step
    with forgotten([tmp_path]):
        monkeypatch.syspath_prepend(tmp_path)
        anew = import_module("own_step")
    assert (own_step.ANSWER, anew.ANSWER) == (1, 2)


def test_code_of_a_failed_model_is_not_used_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version has a directory of its own; one that fails leaves none of its modules."""
    monkeypatch.setattr("sys.path", [*sys.path])
    for version in ("v2", "v3"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "own_helper.py").write_text(f"VERSION = {version!r}")
    with suppress(ValueError), forgotten([tmp_path / "v1"]):
        sys.path.append(str(tmp_path / "v2"))
        assert import_module("own_helper").VERSION == "v2"
        raise ValueError("it answers its samples wrongly")
    with forgotten([tmp_path / "v1"]):
        sys.path.append(str(tmp_path / "v3"))
        assert import_module("own_helper").VERSION == "v3"


def test_an_environment_in_the_directory_is_not_imported_again() -> None:
    """The directory may contain the server's own packages."""
    with forgotten([Path(sys.prefix)]):
        assert import_module("numpy") is sys.modules["numpy"]
        assert "prepackaged.own_code" in sys.modules
