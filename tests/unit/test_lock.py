import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import images
import lock
import uv

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What was chosen: one tiny package without requirements of its own."""
    source = tmp_path / "requirements.in"
    source.write_text("iniconfig\n")
    return source


@pytest.fixture
def compiled(tmp_path: Path, source: Path) -> Path:
    """The lock that is compiled from it."""
    compiled = tmp_path / "requirements.txt"
    lock.compile_lock(compiled, source)
    return compiled


def test_a_lock_pins_a_version_with_its_digests(compiled: Path) -> None:
    """What ships is fixed to the byte, and the lock says who wrote it."""
    comments, pins = compiled.read_text().split("iniconfig==")
    assert "make lock" in comments
    assert pins.count("--hash=sha256:") >= 2


def test_a_fresh_lock_is_not_stale(compiled: Path, source: Path) -> None:
    """Compiling again, from the versions that the lock has, changes nothing."""
    assert lock.is_stale(compiled, (source,)) is False


def test_a_lock_is_stale_when_its_source_asks_for_more(compiled: Path, source: Path) -> None:
    """One more package makes the lock stale, and checking does not write it."""
    before = compiled.read_bytes()
    source.write_text("iniconfig\npluggy\n")
    assert lock.is_stale(compiled, (source,)) is True
    assert compiled.read_bytes() == before


def test_a_lock_is_stale_when_its_source_asks_for_less(compiled: Path, source: Path) -> None:
    """What nobody asks for any more must not ship."""
    source.write_text("# nothing\n")
    assert lock.is_stale(compiled, (source,)) is True


def test_a_missing_lock_is_stale(tmp_path: Path, source: Path) -> None:
    """An image whose lock was never compiled fails the check."""
    assert lock.is_stale(tmp_path / "missing.txt", (source,)) is True
    assert not (tmp_path / "missing.txt").exists()


def test_a_newer_release_does_not_make_a_lock_stale(tmp_path: Path, source: Path) -> None:
    """The check does not fail on the day that some package has a new release."""
    compiled = tmp_path / "requirements.txt"
    source.write_text("iniconfig==2.0.0\n")
    lock.compile_lock(compiled, source)
    source.write_text("iniconfig\n")
    assert lock.is_stale(compiled, (source,)) is False
    assert "iniconfig==2.0.0" in compiled.read_text()


def test_a_lock_takes_the_wheel_that_is_made_here(tmp_path: Path, source: Path) -> None:
    """Asking for seldon-core 1.17.1 gives the changed wheel, and none of its old pins."""
    compiled = tmp_path / "requirements.txt"
    source.write_text("seldon-core==1.17.1\n")
    lock.compile_lock(compiled, source)
    text = compiled.read_text()
    assert "\nseldon-core==1.17.1+prepackaged \\\n" in text
    assert "jaeger" not in text
    assert "opentracing" not in text


def test_a_lock_that_stays_as_it_is_keeps_its_time(compiled: Path, source: Path) -> None:
    """To make it is unchanged, and so is the environment that is made from it."""
    os.utime(compiled, (1, 1))
    lock.compile_lock(compiled, source)
    assert compiled.stat().st_mtime == 1
    source.write_text("iniconfig\npluggy\n")
    lock.compile_lock(compiled, source)
    assert compiled.stat().st_mtime > 1


# Which locks there are


def test_every_lock_is_compiled_unless_some_are_wanted(tmp_path: Path) -> None:
    """Those of all targets, of the development environment, and of two tools."""
    names = {str(path) for path in lock.locks(tmp_path)}
    assert {"requirements-dev.txt", "tests/contract/upstream.txt", "tools/protoc.txt"} < names
    assert {str(target.lock) for target in images.targets().values()} < names

    wanted = images.find("sklearn-1.6")
    assert list(lock.locks(tmp_path, wanted)) == [wanted.lock]


# What is chosen for the targets


@pytest.fixture
def alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The requirements.in of an image whose framework comes in a build of its own."""
    monkeypatch.setattr(images, "ROOT", tmp_path)
    requirements = tmp_path / "alpha/server/requirements.in"
    requirements.parent.mkdir(parents=True)
    requirements.write_text(
        "# chosen\ntorch==2.13.0+cpu  # the build for CPUs\ntorchvision==0.28.0+cpu\npillow\n"
    )
    return requirements


def target_of(older: str = "", gpu: str = "") -> images.Target:
    """A target of that image."""
    versions = {"2.12": ["numpy<2.4", "pillow<13"]}
    image = images.Image("alpha", "Alpha models", "torch", "pytorch", versions, gpu)
    return images.Target(image, older, "gpu" if gpu else "cpu")


def test_an_images_own_target_is_what_was_chosen(alpha: Path, tmp_path: Path) -> None:
    """Its lock is compiled from requirements.in itself."""
    assert lock.chosen(target_of(), tmp_path) == alpha


@pytest.mark.parametrize(
    ("of", "framework", "build"),
    [
        (target_of(older="2.12"), "numpy<2.4\npillow<13\ntorch==2.12.*", "+cpu"),
        # The build for CPUs, which PIP_FIND_LINKS may lead to, is of the same public version.
        (target_of(gpu="torch"), "torch==2.13.0,!=2.13.0+cpu", ""),
        (target_of(gpu="torch[all]==2.11.0"), "torch[all]==2.11.0", ""),
    ],
    ids=["older", "gpu of the same version", "gpu of another version"],
)
def test_a_target_has_its_framework_in_place_of_the_images_own(
    of: images.Target, framework: str, build: str, alpha: Path, tmp_path: Path
) -> None:
    """All else stays as chosen but builds for CPUs, and requirements.in stays its one home."""
    chosen = lock.chosen(of, tmp_path).read_text()
    rest = f"# the build for CPUs\ntorchvision==0.28.0{build}\npillow\n"
    assert chosen == f"# chosen\n{framework}  {rest}"


def test_a_framework_that_is_not_pinned_is_refused(alpha: Path, tmp_path: Path) -> None:
    """What images.toml calls the package has to be chosen, with its version."""
    alpha.write_text("torch>=2\n")
    with pytest.raises(
        images.ImagesError, match=r"alpha/server/requirements\.in does not pin torch"
    ):
        lock.chosen(target_of(), tmp_path)


# The repository


def test_every_lock_of_the_repository_is_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No requirements.txt here is written by hand."""
    monkeypatch.chdir(ROOT)
    of_images = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/server/requirements*.txt")}
    assert "sklearn/server/requirements.txt" in of_images
    assert "sklearn/server/requirements-1.6.txt" in of_images
    assert {str(path) for path in lock.locks(tmp_path)} == of_images | {
        "tests/clients/requirements.txt",
        "bench/mlserver.txt",
        "requirements-dev.txt",
        "tests/contract/upstream.txt",
        "tools/protoc.txt",
    }


def test_a_lock_of_the_repository_is_not_stale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A committed lock, checked where it lies, is what its source says."""
    monkeypatch.chdir(ROOT)
    path = Path("tools/protoc.txt")
    assert lock.is_stale(path, lock.locks(tmp_path)[path]) is False


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what `make lock` reads."""
    for name in ("tools", "common", "tests/clients", "tests/contract", "bench", *images.images()):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "VERSION", "pyproject.toml", "images.toml", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_adding_a_version_is_one_line_and_make_lock(copy: Path) -> None:
    """Then there are its lock, its commands and its entry in the CI matrix; all else stays."""
    listed = copy / "images.toml"
    line = '"1.5" = ["pandas<3", "scipy<1.15"]'
    listed.write_text(
        listed.read_text().replace("[sklearn.versions]", f"[sklearn.versions]\n{line}")
    )
    before = {path: path.read_bytes() for path in copy.glob("*/server/requirements*.txt")}

    make(copy, "lock")

    after = {path: path.read_bytes() for path in copy.glob("*/server/requirements*.txt")}
    (added,) = after.keys() - before.keys()
    assert added == copy / "sklearn/server/requirements-1.5.txt"
    assert {path: after[path] for path in before} == before
    assert re.search(r"^scikit-learn==1\.5\.\d", added.read_text(), re.MULTILINE)
    built = make(copy, "-n", "build-sklearn-1.5")
    assert f"--tag infuseai/sklearn-prepackaged:{images.release()}-sklearn1.5 " in built
    assert "--build-arg REQUIREMENTS=requirements-1.5.txt" in built
    assert '"target": "sklearn-1.5"' in make(copy, "matrix")


def make(directory: Path, *arguments: str) -> str:
    """What make prints, whatever make runs this test."""
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "REGISTRY", "CHANGED"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=directory,
        env=environment | {"PREPACKAGED_CACHE": str(uv.CACHE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
