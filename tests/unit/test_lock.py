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
    """A source file with one small package without requirements."""
    source = tmp_path / "requirements.in"
    source.write_text("iniconfig\n")
    return source


@pytest.fixture
def compiled(tmp_path: Path, source: Path) -> Path:
    """The lock compiled from this source."""
    compiled = tmp_path / "requirements.txt"
    lock.write({compiled: (source,)})
    return compiled


def test_a_lock_pins_a_version_with_its_digests(compiled: Path) -> None:
    """A lock pins versions with hashes, and names the command that wrote it."""
    comments, pins = compiled.read_text().split("iniconfig==")
    assert "make lock" in comments
    assert pins.count("--hash=sha256:") >= 2


def test_a_fresh_lock_is_not_stale(compiled: Path, source: Path) -> None:
    """A lock that was just compiled is not stale."""
    assert lock.changed({compiled: (source,)}) == {}


def test_a_lock_is_stale_when_its_source_asks_for_more(compiled: Path, source: Path) -> None:
    """A lock is stale if its source has a new package; the check does not change it."""
    before = compiled.read_bytes()
    source.write_text("iniconfig\npluggy\n")
    assert list(lock.changed({compiled: (source,)})) == [compiled]
    assert compiled.read_bytes() == before


def test_a_lock_is_stale_when_its_source_asks_for_less(compiled: Path, source: Path) -> None:
    """A lock is stale if its source lacks one of its packages."""
    source.write_text("# nothing\n")
    assert list(lock.changed({compiled: (source,)})) == [compiled]


def test_a_missing_lock_is_stale(tmp_path: Path, source: Path) -> None:
    """A missing lock is stale, and the check does not create it."""
    missing = tmp_path / "missing.txt"
    assert list(lock.changed({missing: (source,)})) == [missing]
    assert not missing.exists()


def test_a_newer_release_does_not_make_a_lock_stale(tmp_path: Path, source: Path) -> None:
    """A newer release of a package does not make a lock stale."""
    compiled = tmp_path / "requirements.txt"
    source.write_text("iniconfig==2.0.0\n")
    lock.write({compiled: (source,)})
    source.write_text("iniconfig\n")
    assert lock.changed({compiled: (source,)}) == {}
    assert "iniconfig==2.0.0" in compiled.read_text()


def test_a_lock_pins_the_wheel_that_is_built_here(tmp_path: Path, source: Path) -> None:
    """The lock pins the modified seldon-core wheel, without its old dependencies."""
    compiled = tmp_path / "requirements.txt"
    source.write_text("seldon-core==1.17.1\n")
    lock.write({compiled: (source,)})
    text = compiled.read_text()
    assert "\nseldon-core==1.17.1+prepackaged \\\n" in text
    assert "jaeger" not in text
    assert "opentracing" not in text


def test_an_unchanged_lock_keeps_its_time(compiled: Path, source: Path) -> None:
    """An unchanged lock keeps its modification time, so that environments are not rebuilt."""
    os.utime(compiled, (1, 1))
    lock.write({compiled: (source,)})
    assert compiled.stat().st_mtime == 1
    source.write_text("iniconfig\npluggy\n")
    lock.write({compiled: (source,)})
    assert compiled.stat().st_mtime > 1


# The list of locks


def test_every_lock_is_compiled_unless_some_are_named(tmp_path: Path) -> None:
    """By default all locks are listed, for a target only its own."""
    names = {str(path) for path in lock.locks(tmp_path)}
    assert {"requirements-dev.txt", "tests/contract/upstream.txt", "tools/protoc.txt"} < names
    assert {str(target.lock) for target in images.targets().values()} < names

    wanted = images.find("sklearn-1.6")
    assert list(lock.locks(tmp_path, wanted)) == [wanted.lock]


# The requirements of each target


@pytest.fixture
def alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The requirements.in of an image with a CPU build of its framework."""
    monkeypatch.setattr(images, "ROOT", tmp_path)
    requirements = tmp_path / "alpha/server/requirements.in"
    requirements.parent.mkdir(parents=True)
    requirements.write_text(
        "# chosen\ntorch==2.13.0+cpu  # the build for CPUs\ntorchvision==0.28.0+cpu\npillow\n"
    )
    return requirements


def target_of(older: str = "", gpu: str = "") -> images.Target:
    """Build a target of this image."""
    versions = {"2.12": ["numpy<2.4", "pillow<13"]}
    image = images.Image("alpha", "Alpha models", "torch", "pytorch", versions, gpu)
    return images.Target(image, older, "gpu" if gpu else "cpu")


def test_an_images_own_target_is_compiled_from_its_requirements(
    alpha: Path, tmp_path: Path
) -> None:
    """An image's own target is compiled from requirements.in itself."""
    assert lock.chosen(target_of(), tmp_path) == alpha


@pytest.mark.parametrize(
    ("of", "framework", "build"),
    [
        (target_of(older="2.12"), "numpy<2.4\npillow<13\ntorch==2.12.*", "+cpu"),
        # PIP_FIND_LINKS may lead to the CPU build, which has the same public version.
        (target_of(gpu="torch"), "torch==2.13.0,!=2.13.0+cpu", ""),
        (target_of(gpu="torch[all]==2.11.0"), "torch[all]==2.11.0", ""),
    ],
    ids=["older", "gpu of the same version", "gpu of another version"],
)
def test_a_target_replaces_the_images_framework(
    of: images.Target, framework: str, build: str, alpha: Path, tmp_path: Path
) -> None:
    """A target replaces the image's framework, and a GPU target drops all CPU builds."""
    chosen = lock.chosen(of, tmp_path).read_text()
    rest = f"# the build for CPUs\ntorchvision==0.28.0{build}\npillow\n"
    assert chosen == f"# chosen\n{framework}  {rest}"


def test_a_framework_that_is_not_pinned_is_refused(alpha: Path, tmp_path: Path) -> None:
    """A framework without a pin in requirements.in is an error."""
    alpha.write_text("torch>=2\n")
    with pytest.raises(SystemExit, match=r"alpha/server/requirements\.in does not pin torch"):
        lock.chosen(target_of(), tmp_path)


# The repository


def test_every_lock_of_the_repository_is_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All requirements.txt files of the repository are compiled locks."""
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
    """A committed lock is up to date with its source."""
    monkeypatch.chdir(ROOT)
    path = Path("tools/protoc.txt")
    assert lock.changed({path: lock.locks(tmp_path)[path]}) == {}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all files that `make lock` reads."""
    for name in ("tools", "common", "tests/clients", "tests/contract", "bench", *images.images()):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "VERSION", "pyproject.toml", "images.toml", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_adding_a_version_is_one_line_and_make_lock(copy: Path) -> None:
    """One line in images.toml and `make lock` add a version's lock, commands and CI entry."""
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
    """Return make's output, independent of an outer make."""
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
