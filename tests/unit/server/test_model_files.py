"""Whether a model's files have changed, and when a change is loaded."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from prepackaged.server.runtime.model_files import MOST_ENTRIES, Fingerprint, fingerprint
from prepackaged.server.runtime.polling import Poller


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model directory with a file, a directory, and a link to a file elsewhere."""
    directory = tmp_path / "model"
    (directory / "variables").mkdir(parents=True)
    (directory / "model.joblib").write_text("one")
    (directory / "variables" / "data").write_text("one")
    (tmp_path / "elsewhere").write_text("one")
    (directory / "code.py").symlink_to(tmp_path / "elsewhere")
    return directory


def test_the_same_files_have_the_same_fingerprint(directory: Path) -> None:
    """Nothing that reading does changes the fingerprint."""
    before = fingerprint(str(directory))
    (directory / "model.joblib").read_text()
    assert fingerprint(f"file://{directory}") == before
    assert sum(size for _, size, _, _ in before.files) == before.size == 9


@pytest.mark.parametrize("name", ["model.joblib", "variables/data", "code.py"])
def test_a_written_file_changes_the_fingerprint(directory: Path, name: str) -> None:
    """A change counts at every level, and behind links."""
    before = fingerprint(str(directory))
    (directory / name).write_text("two or more")
    assert fingerprint(str(directory)) != before


def test_a_replaced_file_of_the_same_size_and_time_changes_the_fingerprint(
    directory: Path,
) -> None:
    """The inode differs, as when a tool that keeps times has copied it."""
    file = directory / "model.joblib"
    before, times = fingerprint(str(directory)), file.stat()
    (directory / "next").write_text("two")
    os.utime(directory / "next", ns=(times.st_atime_ns, times.st_mtime_ns))
    (directory / "next").replace(file)
    assert fingerprint(str(directory)) != before


@pytest.mark.parametrize("name", ["a.partial", "model.joblib.tmp", ".model.swp", "..2026_data"])
def test_unfinished_files_do_not_change_the_fingerprint(directory: Path, name: str) -> None:
    """Names of unfinished files are ignored."""
    before = fingerprint(str(directory))
    (directory / name).write_text("half of")
    assert fingerprint(str(directory)) == before


def test_a_moved_link_changes_the_fingerprint(tmp_path: Path) -> None:
    """As in a ConfigMap: each file is a link through `..data`, which is moved."""
    for each in ("..one", "..two"):
        (tmp_path / each).mkdir()
        (tmp_path / each / "model.joblib").write_text(each)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "model.joblib").symlink_to("..data/model.joblib")
    before = fingerprint(str(tmp_path))
    (tmp_path / "..next").symlink_to("..two")
    (tmp_path / "..next").replace(tmp_path / "..data")
    assert fingerprint(str(tmp_path)).links != before.links


def test_the_files_beside_a_model_file_count(directory: Path) -> None:
    """If the model is a file, its author's code may be beside it."""
    uri = str(directory / "model.joblib")
    before = fingerprint(uri)
    (directory / "own.py").write_text("def f(): pass")
    assert fingerprint(uri) != before


def test_a_missing_directory_has_no_files(tmp_path: Path) -> None:
    """A directory that is gone, or a remote address, has no files."""
    assert fingerprint(str(tmp_path / "no")) == fingerprint("s3://bucket/model") == Fingerprint()


def test_cyclic_links_are_followed_only_to_a_limit(tmp_path: Path) -> None:
    """Links in a circle are followed only so far."""
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path)
    (tmp_path / "model").write_text("x")
    assert 0 < len(fingerprint(str(tmp_path)).files) <= MOST_ENTRIES


def test_an_unreachable_file_system_has_no_files(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of a network file system raise nothing: it may be back at the next check."""

    def fail(path: Path) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "is_file", fail)
    assert fingerprint(str(directory)) == Fingerprint()


def test_bytecode_does_not_change_the_fingerprint(directory: Path) -> None:
    """Importing the author's code writes `__pycache__` beside it."""
    before = fingerprint(str(directory))
    (directory / "__pycache__").mkdir()
    (directory / "__pycache__" / "code.pyc").write_text("x")
    assert fingerprint(str(directory)) == before


def test_polling_goes_on_after_an_error(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails in a check is logged, and the next check is made."""
    looks = []

    async def look() -> None:
        looks.append(1)
        if len(looks) < 3:
            raise RuntimeError("nothing is as it was")
        await asyncio.Event().wait()

    poller = Poller(str(directory), 0, Fingerprint, look)
    monkeypatch.setattr(poller, "look", look)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(poller.run(), 1))
    assert len(looks) == 3


class Loader:
    """Counts loads; what was tried last is what there was at its last load."""

    def __init__(self, directory: Path) -> None:
        self._uri = str(directory)
        self.tried = fingerprint(self._uri)
        self.loads = 0

    async def load(self) -> None:
        self.loads += 1
        self.tried = fingerprint(self._uri)

    def poller(self) -> Poller:
        """A poller that checks when the test asks for it."""
        return Poller(self._uri, 1, lambda: self.tried, self.load)


def test_a_change_is_loaded_once_two_checks_agree(directory: Path) -> None:
    """While a file is being written, nothing is loaded."""
    loader = Loader(directory)
    poller, loads = loader.poller(), []
    for text in ("one", "two", "two and", "two and more", None, None, None):
        if text:
            (directory / "model.joblib").write_text(text)
        asyncio.run(poller.look())
        loads.append(loader.loads)
    assert loads == [0, 0, 0, 0, 1, 1, 1]


def test_a_missing_directory_is_not_loaded(directory: Path) -> None:
    """A mount that is missing for a while changes nothing."""
    loader = Loader(directory)
    poller = loader.poller()
    directory.rename(directory.with_name("away"))
    for _ in range(3):
        asyncio.run(poller.look())
    directory.with_name("away").rename(directory)
    for _ in range(3):
        asyncio.run(poller.look())
    assert loader.loads == 0
