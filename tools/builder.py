"""What the builder stages of the Dockerfiles run, as root and in an image alone.

    python3 tools/builder.py environment LOCK    make /opt/venv from the lock
    python3 tools/builder.py package COMMON      make /opt/package from the shared package

The two are apart so that a change to the shared package makes no environment anew: the final
stage lays /opt/package over /opt/venv. Both hold what a server needs and no more: what is left out
is listed in docs/images.md. Twice the same input gives twice the same files, bytecode included.
Environments on a desk stay whole: uv links their files to its cache, and who debugs wants symbols.
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
# What a compiler would read, or a linker; there is neither in an image.
SOURCES = {".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".cxx", ".h", ".hpp", ".pxd", ".pyx"}
# NVIDIA's and Triton's compilers read theirs while the server runs.
RUNTIME_COMPILERS = {"nvidia", "triton"}
# Programs that tests and builds of PyTorch's own call; torch_shm_manager beside them stays.
PROGRAMS = ("torch/bin/protoc*", "torch/bin/test_*")
CUDA = "torch/lib/libtorch_cuda.so"  # of a PyTorch for GPUs
# When and from where uv installed: it would make two builds differ.
INSTALLERS_NOTES = {"direct_url.json", "uv_build.json", "uv_cache.json"}
EPOCH = 315532800  # the first day of 1980, the oldest that archives of every kind can hold


def main(words: list[str]) -> None:
    """Do what the command line asks for."""
    match words:
        case ["environment", lock]:
            environment.create(ENVIRONMENT, Path(lock), "--no-compile-bytecode")
            finish(ENVIRONMENT)
        case ["package", common]:
            # With scripts for the environment's interpreter, and without the cache, which knows
            # sources by the time of their topmost directory.
            where = ("--prefix", PACKAGE, "--python", ENVIRONMENT / "bin/python", "--no-cache")
            uv.run("pip", "install", "--quiet", "--no-deps", *where, Path(common).resolve())
            finish(PACKAGE)
        case _:
            sys.exit((__doc__ or "").strip())


def finish(directory: Path) -> None:
    """Leave out what no server needs, add bytecode, and forget when this was done."""
    remove(directory)
    strip(directory)
    compile_bytecode(directory)
    forget_times(directory)


def compile_bytecode(directory: Path) -> None:
    """Bytecode that depends on the sources alone: on no time, and made in one order by one process.

    `-S` keeps the interpreter from importing, and so compiling, any of them by itself.
    """
    how = ("-S", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash")
    command = [str(ENVIRONMENT / "bin/python"), *how, str(directory / "lib")]
    # Some packages have modules for later Pythons, which this one cannot compile.
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False)


def remove(directory: Path) -> None:
    """Delete tests, headers and other sources to compile, and the installer's notes."""
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
    """Whether it holds tests or headers; `tensorflow.test` is a part of TensorFlow's API."""
    is_package = (directory / "__init__.py").exists()
    return directory.name == "tests" or (directory.name in {"test", "include"} and not is_package)


def remove_without_cuda(packages: Path) -> None:
    """Delete torchvision's libraries that ask for those of CUDA beside a PyTorch for CPUs."""
    libraries = list(packages.glob("torchvision/*.so"))
    asked_for = Path(CUDA).name.encode()
    if (packages / CUDA).exists() or not any(asked_for in each.read_bytes() for each in libraries):
        return
    for library in (*libraries, *packages.glob("torchvision.libs/*")):
        library.unlink()


def strip(directory: Path) -> None:
    """Take debugging symbols out of the libraries that were published with them."""
    libraries = [path for path in site_packages(directory).rglob("*.so*") if may_be_stripped(path)]
    if libraries:
        subprocess.run(["/usr/bin/strip", "--strip-debug", *libraries], check=True)


def may_be_stripped(library: Path) -> bool:
    """Whether it has debugging symbols, and no segments that a packager moved.

    `auditwheel` puts the libraries that a wheel needs into `<name>.libs` and patches them and
    those that load them; `strip` would leave a file behind that the loader refuses.
    """
    if library.is_symlink() or ".libs/" in str(library):
        return False
    command = ["/usr/bin/readelf", "--wide", "--section-headers", str(library)]
    sections = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return " .debug_info " in sections and b".libs" not in library.read_bytes()


def forget_times(directory: Path) -> None:
    """Give every file the same time, so that a layer depends on names and contents alone."""
    for path in (directory, *directory.rglob("*")):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def site_packages(directory: Path) -> Path:
    """Where the environment has its packages."""
    return next(directory.glob("lib/python3.*/site-packages"))


if __name__ == "__main__":
    main(sys.argv[1:])
