import subprocess
from pathlib import Path

import pytest

import environment
import seldon_wheel
import uv

pytestmark = pytest.mark.usefixtures("private_cache")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lock that only pins seldon-core, as the repository's locks do."""
    text = (ROOT / "requirements-dev.txt").read_text()
    start = text.index("seldon-core==")
    pin = text[start : text.index("setuptools==")]
    path = tmp_path_factory.mktemp("lock") / "requirements.txt"
    path.write_text(pin)
    return path


@pytest.fixture(scope="module")
def made(private_cache: None, lock: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of an environment created from this lock."""
    directory = tmp_path_factory.mktemp("environment") / "env"
    environment.create(directory, lock)
    return directory / "lib/python3.11/site-packages"


def test_an_environment_has_the_packages_of_its_lock(made: Path) -> None:
    """Only the packages in the lock are installed, without resolving their requirements."""
    assert {path.name for path in made.glob("*.dist-info")} == {
        "seldon_core-1.17.1+prepackaged.dist-info"
    }
    assert not (made / "numpy").exists()


def test_an_environment_comes_with_bytecode(made: Path) -> None:
    """Bytecode is compiled, so that a read-only environment also starts fast."""
    assert list((made / "seldon_core/__pycache__").glob("microservice.*.pyc"))


def test_compiling_bytecode_can_be_skipped(lock: Path, tmp_path: Path) -> None:
    """Compiling can be skipped: images compile after removing unneeded files."""
    environment.create(tmp_path / "env", lock, "--no-compile-bytecode")
    assert not list((tmp_path / "env/lib").rglob("seldon_core/**/*.pyc"))


def test_an_environment_has_the_python_that_ships(made: Path) -> None:
    """The environment has Python 3.11, whichever Python runs the tool."""
    command = [made.parents[2] / "bin/python", "-c", "import sys; print(sys.version_info[:2])"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "(3, 11)\n"


def test_an_existing_environment_is_replaced(lock: Path, tmp_path: Path) -> None:
    """An existing environment is replaced."""
    directory = tmp_path / "env"
    (directory / "lib").mkdir(parents=True)
    (directory / "lib/leftover").touch()
    environment.create(directory, lock)
    assert not (directory / "lib/leftover").exists()


@pytest.mark.parametrize(
    ("digest", "complaint"),
    [(f" --hash=sha256:{'0' * 64}", "Hash mismatch"), ("", "must have a hash")],
    ids=["another digest", "no digest"],
)
def test_only_locked_packages_are_installed(
    digest: str, complaint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A package with another hash than in the lock, or without one, is an error."""
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"seldon-core==1.17.1+prepackaged{digest}\n")
    with pytest.raises(SystemExit) as caught:
        environment.create(tmp_path / "env", lock)
    assert caught.value.code not in (0, None)
    assert complaint in capfd.readouterr().err


def test_files_that_the_tools_change_are_no_hard_links(made: Path, tmp_path: Path) -> None:
    """Files that the tools change are not hard links into uv's cache."""
    seldon_wheel.make(tmp_path / "wheels" / seldon_wheel.WHEEL, tmp_path)
    written = {inode(path) for path in (tmp_path / "tree").rglob("*") if path.is_file()}
    wheels = {inode(path) for path in (uv.CACHE / "wheels").rglob("*.whl")}
    shared = {inode(path) for path in made.rglob("*") if path.is_file()}
    assert (written | wheels).isdisjoint(shared)
    assert {path.stat().st_nlink for path in (tmp_path / "tree").rglob("*.py")} == {1}


def inode(path: Path) -> tuple[int, int]:
    """Return the identity of a file, independent of its name."""
    return path.stat().st_dev, path.stat().st_ino


def test_the_shared_package_is_a_link_to_its_sources(lock: Path, tmp_path: Path) -> None:
    """The shared package is linked to its sources, so changes need no new environment."""
    environment.main(tmp_path / "env", lock, ROOT / "common")
    packages = tmp_path / "env/lib/python3.11/site-packages"
    assert (packages / "prepackaged.pth").read_text().strip() == str(ROOT / "common/src")
