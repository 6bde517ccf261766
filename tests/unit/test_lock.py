from pathlib import Path

import pytest

import lock

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What was chosen: one tiny package without requirements of its own."""
    source = tmp_path / "requirements.in"
    source.write_text("iniconfig\n")
    return source


@pytest.fixture
def target(tmp_path: Path, source: Path) -> Path:
    """The lock that is compiled from it."""
    target = tmp_path / "requirements.txt"
    lock.compile_lock(target, source)
    return target


def test_a_lock_pins_a_version_with_its_digests(target: Path) -> None:
    """What ships is fixed to the byte, and the lock says who wrote it."""
    comments, pins = target.read_text().split("iniconfig==")
    assert "make lock" in comments
    assert pins.count("--hash=sha256:") >= 2


def test_a_fresh_lock_is_not_stale(target: Path, source: Path) -> None:
    """Compiling again, from the versions that the lock has, changes nothing."""
    assert lock.is_stale(target, (source,)) is False


def test_a_lock_is_stale_when_its_source_asks_for_more(target: Path, source: Path) -> None:
    """One more package makes the lock stale, and checking does not write it."""
    before = target.read_bytes()
    source.write_text("iniconfig\npluggy\n")
    assert lock.is_stale(target, (source,)) is True
    assert target.read_bytes() == before


def test_a_lock_is_stale_when_its_source_asks_for_less(target: Path, source: Path) -> None:
    """What nobody asks for any more must not ship."""
    source.write_text("# nothing\n")
    assert lock.is_stale(target, (source,)) is True


def test_a_missing_lock_is_stale(tmp_path: Path, source: Path) -> None:
    """An image whose lock was never compiled fails the check."""
    assert lock.is_stale(tmp_path / "missing.txt", (source,)) is True
    assert not (tmp_path / "missing.txt").exists()


def test_a_newer_release_does_not_make_a_lock_stale(tmp_path: Path, source: Path) -> None:
    """The check does not fail on the day that some package has a new release."""
    target = tmp_path / "requirements.txt"
    source.write_text("iniconfig==2.0.0\n")
    lock.compile_lock(target, source)
    source.write_text("iniconfig\n")
    assert lock.is_stale(target, (source,)) is False
    assert "iniconfig==2.0.0" in target.read_text()


def test_a_lock_takes_the_wheel_that_is_made_here(tmp_path: Path, source: Path) -> None:
    """Asking for seldon-core 1.17.1 gives the changed wheel, and none of its old pins."""
    target = tmp_path / "requirements.txt"
    source.write_text("seldon-core==1.17.1\n")
    lock.compile_lock(target, source)
    text = target.read_text()
    assert "\nseldon-core==1.17.1+prepackaged \\\n" in text
    assert "jaeger" not in text
    assert "opentracing" not in text


def test_every_lock_of_the_repository_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No requirements.txt here is written by hand."""
    monkeypatch.chdir(ROOT)
    of_images = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/server/requirements.txt")}
    assert "sklearn/server/requirements.txt" in of_images
    assert {str(path) for path in lock.locks()} == of_images | {
        "requirements-dev.txt",
        "tests/contract/upstream.txt",
        "tools/protoc.txt",
    }


def test_a_lock_of_the_repository_is_not_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A committed lock, checked where it lies, is what its source says."""
    monkeypatch.chdir(ROOT)
    path = Path("tools/protoc.txt")
    assert lock.is_stale(path, lock.locks()[path]) is False
