import shutil
import subprocess
from pathlib import Path

import pytest

import builder


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment without packages."""
    (tmp_path / "lib/python3.11/site-packages").mkdir(parents=True)
    return tmp_path


def put(environment: Path, name: str, body: bytes = b"") -> Path:
    """Write a file of an installed package."""
    path = environment / "lib/python3.11/site-packages" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "alpha/tests/test_alpha.py",
        "alpha/core/tests/data/big.csv",
        "alpha/test/program",
        "alpha/include/alpha.inc",
        "alpha/core.h",
        "alpha/core.pyx",
        "alpha/libalpha.a",
        "torch/bin/protoc-3.13.0.0",
        "torch/bin/test_api",
        "alpha-1.dist-info/direct_url.json",
    ],
)
def test_files_that_only_developers_need_are_removed(environment: Path, name: str) -> None:
    """Tests, headers, sources and installation notes are removed."""
    path = put(environment, name)
    builder.remove(environment)
    assert not path.exists()


COMPILED = ("torchvision/_C.so", "torchvision/image.so", "torchvision.libs/libnvjpeg.so.13")


@pytest.mark.parametrize(
    ("body", "has_cuda", "stays"),
    [
        (b"needs libtorch_cuda.so", False, False),
        (b"needs libtorch_cuda.so", True, True),
        (b"needs libtorch_cpu.so", False, True),
    ],
    ids=["for CUDA without it", "for CUDA", "for CPUs"],
)
def test_libraries_that_need_cuda_are_removed(
    environment: Path, body: bytes, *, has_cuda: bool, stays: bool
) -> None:
    """Libraries that need CUDA are removed if PyTorch is built without it."""
    libraries = [put(environment, name, body) for name in COMPILED]
    if has_cuda:
        put(environment, "torch/lib/libtorch_cuda.so")

    builder.remove(environment)

    assert [each.exists() for each in libraries] == [stays] * len(COMPILED)


@pytest.mark.parametrize(
    "name",
    [
        "alpha/testing.py",
        "alpha/testing/__init__.py",
        "alpha/tests.py",
        "alpha/py.typed",
        "alpha/core.pyi",
        "torch/bin/torch_shm_manager",
        "nvidia/cuda_runtime/include/cuda_fp16.h",
        "triton/backends/nvidia/driver.c",
        "alpha-1.dist-info/licenses/LICENSE",
    ],
)
def test_files_that_a_server_may_read_stay(environment: Path, name: str) -> None:
    """Modules for testing, headers for GPU compilers and licences are kept."""
    path = put(environment, name)
    builder.remove(environment)
    assert path.exists()


def test_a_module_named_test_stays(environment: Path) -> None:
    """TensorFlow's module `tf.test` is kept."""
    module = put(environment, "tensorflow/_api/v2/test/__init__.py")
    builder.remove(environment)
    assert module.exists()


def test_every_file_has_the_earliest_time_of_zip(environment: Path) -> None:
    """All files, directories and links get the time 1 January 1980, the first that ZIP supports."""
    file = put(environment, "alpha/core.py")
    link = environment / "link"
    link.symlink_to("lib")
    builder.forget_times(environment)
    times = {path.lstat().st_mtime for path in (environment, file.parent, file, link)}
    assert times == {315532800.0}


@pytest.fixture
def library(environment: Path) -> Path:
    """A compiled library with debugging symbols."""
    if not shutil.which("cc"):
        pytest.skip("there is no compiler")
    path = put(environment, "alpha/core.so")
    command = ["cc", "-g", "-shared", "-x", "c", "-o", str(path), "-"]
    subprocess.run(command, input="int answer(void) { return 42; }", text=True, check=True)
    return path


def test_a_library_with_debugging_symbols_may_be_stripped(library: Path) -> None:
    """A library with debugging symbols is stripped."""
    assert builder.may_be_stripped(library)
    builder.strip(library.parents[4])
    assert not builder.may_be_stripped(library)


def test_a_stripped_library_is_not_stripped_again(library: Path) -> None:
    """A stripped library is not stripped again."""
    subprocess.run(["strip", "--strip-debug", library], check=True)
    assert not builder.may_be_stripped(library)


def test_a_library_that_auditwheel_patched_is_not_stripped(library: Path) -> None:
    """Libraries that auditwheel patched are not stripped, since `strip` would break them."""
    patched = library.with_name("patched.so")
    patched.write_bytes(library.read_bytes() + b"$ORIGIN/../alpha.libs\0")
    bundled = library.parents[1] / "alpha.libs/libgfortran.so.5"
    bundled.parent.mkdir()
    shutil.copy(library, bundled)
    assert not builder.may_be_stripped(patched)
    assert not builder.may_be_stripped(bundled)


def test_other_files_are_not_stripped(environment: Path) -> None:
    """Linker scripts and empty files with the name of a library are not stripped."""
    assert not builder.may_be_stripped(
        put(environment, "alpha/libalpha.so", b"INPUT(libalpha.so.1)")
    )
    assert not builder.may_be_stripped(put(environment, "alpha/empty.so"))
