import subprocess
import sys
from pathlib import Path

import pytest

import builder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a package, with an interpreter to compile it."""
    monkeypatch.setattr(builder, "ENVIRONMENT", Path(sys.prefix))
    directory = tmp_path / "lib/alpha"
    directory.mkdir(parents=True)
    (directory / "__init__.py").write_text(
        "NAMES = {'one', 'two', 'three'}\nis_one = 'one'.__eq__\n"
    )
    return directory


def bytecode(package: Path) -> bytes:
    """Return the compiled bytecode."""
    (compiled,) = package.glob("__pycache__/*.pyc")
    return compiled.read_bytes()


def test_bytecode_contains_no_timestamp(package: Path) -> None:
    """Bytecode has the source's hash instead of its time, and imports do not check it (PEP 552)."""
    builder.compile_bytecode(package.parents[1])
    assert bytecode(package)[4:8] == (1).to_bytes(4, "little")


def test_bytecode_is_the_same_each_time(package: Path) -> None:
    """Compiling the same source twice gives the same bytes."""
    builder.compile_bytecode(package.parents[1])
    first = bytecode(package)
    (package / "__init__.py").touch()
    (package / "__pycache__").rename(package / "gone")
    builder.compile_bytecode(package.parents[1])
    assert bytecode(package) == first


def test_a_module_for_a_later_python_is_skipped(package: Path) -> None:
    """A module in a newer Python's syntax, as PyTorch has one, is skipped."""
    (package / "later.py").write_text("def f[T]() -> T: ...\n")
    builder.compile_bytecode(package.parents[1])
    assert bytecode(package)


def test_a_wrong_command_is_answered_with_the_usage() -> None:
    """A wrong command prints the usage."""
    done = subprocess.run(
        [sys.executable, builder.__file__, "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "builder.py environment LOCK" in done.stderr
