"""The commands of the builder stages in Dockerfiles, which run as root and only in an image.

    python3 tools/builder.py environment LOCK    make /opt/venv from the lock
    python3 tools/builder.py package COMMON      make /opt/package from the shared package

There are two commands so that a change to the shared package does not rebuild the environment: the
final stage copies /opt/package over /opt/venv. Both directories contain only what a server needs;
docs/images.md lists what is removed. The same input gives the same files, including bytecode.
Nothing is removed from a developer's environment, because its files are links into uv's cache and
debugging needs symbols.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import environment
import uv

ENVIRONMENT = Path("/opt/venv")
PACKAGE = Path("/opt/package")
# Input of compilers and linkers, which images do not contain.
SOURCES = {".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".cxx", ".h", ".hpp", ".pxd", ".pyx"}
# Packages with compilers that run in the server and need such files.
RUNTIME_COMPILERS = {"nvidia", "triton"}
# Programs that only PyTorch's own tests and builds call; torch_shm_manager is kept.
PROGRAMS = ("torch/bin/protoc*", "torch/bin/test_*")
CUDA = "torch/lib/libtorch_cuda.so"  # exists only in builds of PyTorch for GPUs
# Files with the time and source of an installation by uv, which would make two builds differ.
INSTALLERS_NOTES = {"direct_url.json", "uv_build.json", "uv_cache.json"}
EPOCH = 315532800  # 1 January 1980, the earliest time that every archive format supports


def main(words: list[str]) -> None:
    """Run the command on the command line."""
    match words:
        case ["environment", lock]:
            environment.create(ENVIRONMENT, Path(lock), "--no-compile-bytecode")
            finish(ENVIRONMENT)
        case ["package", common]:
            # With --python, scripts call the environment's interpreter. Without --no-cache, uv
            # would miss changes, because it compares only the time of the topmost directory.
            where = ("--prefix", PACKAGE, "--python", ENVIRONMENT / "bin/python", "--no-cache")
            uv.run("pip", "install", "--quiet", "--no-deps", *where, Path(common).resolve())
            finish(PACKAGE)
        case _:
            sys.exit((__doc__ or "").strip())


def finish(directory: Path) -> None:
    """Remove files that no server needs, add bytecode, and give all files the same time."""
    remove(directory)
    strip(directory)
    compile_bytecode(directory)
    forget_times(directory)


def compile_bytecode(directory: Path) -> None:
    """Compile bytecode without times, in a fixed order; `-S` imports no module of the image."""
    how = ("-S", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash")
    command = [str(ENVIRONMENT / "bin/python"), *how, str(directory / "lib")]
    # Some packages have modules for later versions of Python, which this version cannot compile.
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False)


def remove(directory: Path) -> None:
    """Delete tests, headers and other input of compilers, and the installer's notes."""
    packages = site_packages(directory)
    for path in [each for each in packages.rglob("*") if not RUNTIME_COMPILERS & set(each.parts)]:
        if path.is_dir() and is_for_developers(path):
            shutil.rmtree(path)
        elif path.is_file() and (path.suffix in SOURCES or path.name in INSTALLERS_NOTES):
            path.unlink()
    for pattern in PROGRAMS:
        for program in packages.glob(pattern):
            program.unlink()
    remove_without_cuda(packages)


def is_for_developers(directory: Path) -> bool:
    """Whether a directory has tests or headers; `tensorflow.test` is part of TensorFlow's API."""
    is_package = (directory / "__init__.py").exists()
    return directory.name == "tests" or (directory.name in {"test", "include"} and not is_package)


def remove_without_cuda(packages: Path) -> None:
    """Delete torchvision's libraries if they need CUDA and PyTorch is built for CPUs."""
    libraries = list(packages.glob("torchvision/*.so"))
    asked_for = Path(CUDA).name.encode()
    if (packages / CUDA).exists() or not any(asked_for in each.read_bytes() for each in libraries):
        return
    for library in (*libraries, *packages.glob("torchvision.libs/*")):
        library.unlink()


def strip(directory: Path) -> None:
    """Remove debugging symbols from libraries that have them."""
    libraries = [path for path in site_packages(directory).rglob("*.so*") if may_be_stripped(path)]
    if libraries:
        subprocess.run(["/usr/bin/strip", "--strip-debug", *libraries], check=True)


def may_be_stripped(library: Path) -> bool:
    """Whether a library has debugging symbols and was not patched by `auditwheel`.

    `auditwheel` copies the libraries that a wheel needs into `<name>.libs`, and patches these and
    the libraries that load them; after `strip`, the loader would refuse patched files.
    """
    if library.is_symlink() or ".libs/" in str(library):
        return False
    command = ["/usr/bin/readelf", "--wide", "--section-headers", str(library)]
    sections = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return " .debug_info " in sections and b".libs" not in library.read_bytes()


def forget_times(directory: Path) -> None:
    """Set every file's time to `EPOCH`, so that a layer depends only on names and contents."""
    for path in (directory, *directory.rglob("*")):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def site_packages(directory: Path) -> Path:
    """The site-packages directory below an environment or prefix."""
    return next(directory.glob("lib/python3.*/site-packages"))


if __name__ == "__main__":
    main(sys.argv[1:])
