"""Take out of an image's environment what no server needs.

What goes is listed in docs/images.md. Environments on a desk stay as they are: uv links their
files to its cache, and who debugs wants symbols and sources.
"""

import base64
import csv
import hashlib
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

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


def remove(directory: Path) -> None:
    """Delete tests, headers and other sources to compile, and the installer's notes."""
    packages = site_packages(directory)
    for path in list(packages.rglob("*")):
        parts = path.relative_to(packages).parts
        if path.is_dir() and is_for_developers(path) and not RUNTIME_COMPILERS & set(parts):
            shutil.rmtree(path)
        elif path.is_file() and is_superfluous(path) and not RUNTIME_COMPILERS & set(parts):
            path.unlink()
    remove_without_cuda(packages)
    for pattern in PROGRAMS:
        for program in packages.glob(pattern):
            program.unlink()


def remove_without_cuda(packages: Path) -> None:
    """Delete torchvision's libraries that ask for those of CUDA beside a PyTorch for CPUs."""
    libraries = list(packages.glob("torchvision/*.so"))
    asked_for = Path(CUDA).name.encode()
    if (packages / CUDA).exists() or not any(asked_for in each.read_bytes() for each in libraries):
        return
    for library in (*libraries, *packages.glob("torchvision.libs/*")):
        library.unlink()


def is_for_developers(directory: Path) -> bool:
    """Whether it holds tests or headers; `tensorflow.test` is a part of TensorFlow's API."""
    is_package = (directory / "__init__.py").exists()
    return directory.name == "tests" or (directory.name in {"test", "include"} and not is_package)


def is_superfluous(file: Path) -> bool:
    """Whether it is for a compiler, or a note of the installer's."""
    return file.suffix in SOURCES or file.name in INSTALLERS_NOTES


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
    if library.is_symlink() or ".libs/" in str(library) or not is_elf(library):
        return False
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        return b".debug_info" in section_names(body) and body.find(b".libs") < 0


def is_elf(file: Path) -> bool:
    """Whether it is a program or library; a linker's script has such a name too."""
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def section_names(body: mmap.mmap) -> list[bytes]:
    """The names of the sections of a 64-bit ELF file, as its header leads to them."""
    (table,) = struct.unpack_from("<Q", body, 0x28)
    entry_size, _, of_names = struct.unpack_from("<3H", body, 0x3A)
    offset, size = struct.unpack_from("<2Q", body, table + of_names * entry_size + 0x18)
    return body[offset : offset + size].split(b"\0")


def correct_records(directory: Path) -> None:
    """Let each package's RECORD say what is there."""
    packages = site_packages(directory)
    for record in packages.glob("*.dist-info/RECORD"):
        rows = list(csv.reader(record.read_text().splitlines()))
        with record.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(corrected(rows, packages))


def corrected(rows: list[list[str]], packages: Path) -> Iterator[list[str]]:
    """The rows whose files there are, with new digests where a file was stripped."""
    for name, digest, size in rows:
        path = packages / name
        if not path.exists():
            continue
        changed = size and path.stat().st_size != int(size)
        yield described(name, path.read_bytes()) if changed else [name, digest, size]


def described(name: str, body: bytes) -> list[str]:
    """A row of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    return [name, f"sha256={digest}", str(len(body))]


def forget_times(directory: Path) -> None:
    """Give every file the same time, so that a layer depends on names and contents alone."""
    for path in (directory, *directory.rglob("*")):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def site_packages(directory: Path) -> Path:
    """Where the environment has its packages."""
    return next(directory.glob("lib/python3.*/site-packages"))
