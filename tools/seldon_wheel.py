"""Make a seldon-core wheel that lives with maintained releases of what it needs.

seldon-core 1.17.1 is the contract, but as published it pins numpy < 2, protobuf < 4,
Werkzeug < 2.3, gunicorn < 20.2 and more: releases without security fixes, and older than
any current framework accepts. Its code needs none of those pins. This program takes the
published wheel (by digest) and writes `seldon_core-1.17.1+prepackaged`, which differs in:

- the protobuf modules, generated anew from the .proto files that the wheel itself carries;
- the requirements: current releases, and no tracing packages that are no longer maintained;
- its own tests, left out because they install as a top-level package named `tests`.

A new wheel, rather than files edited after installation, cannot reach into an installer's
cache through hard links, keeps RECORD right, and lets a fork `pip install` more packages
without being pulled back to the old pins. The same input gives the same bytes, so the
locks hold its digest like any other.
"""

import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import uv

TOOLS = Path(__file__).parent
VERSION = "1.17.1+prepackaged"
WHEEL = f"seldon_core-{VERSION}-py3-none-any.whl"
PUBLISHED = (
    "seldon-core==1.17.1"
    " --hash=sha256:9960d9cdce90d1b6e5ef7292f1a337372605da055597fcdcab1c3edc6dee04ef\n"
)
PUBLISHED_METADATA = "seldon_core-1.17.1.dist-info"
METADATA = f"seldon_core-{VERSION}.dist-info"
# What the code imports, at the oldest releases that its tests here ran with.
REQUIREMENTS = (
    "click>=8.1",
    "flask>=3.1",
    "flask-cors>=6",
    "grpcio>=1.85.1",
    "grpcio-reflection>=1.85.1",
    "gunicorn>=23",
    "jsonschema>=4",
    "numpy>=2",
    "prometheus-client>=0.20",
    "protobuf>=7.35,<8",
    "pyyaml>=6",
    "requests>=2.32",
    "setuptools>=78",  # stands in for distutils, which seldon_core.microservice imports
    "werkzeug>=3.1",
)
TENSOR = "proto/tensorflow/core/framework"


def ensure(directory: Path) -> Path:
    """The path of the wheel inside `directory`, made now unless this very input made it."""
    inputs = Path(__file__).read_bytes() + (TOOLS / "protoc.txt").read_bytes()
    wheel = directory / hashlib.sha256(inputs).hexdigest()[:16] / WHEEL
    if not wheel.exists():
        print(f"-> making {WHEEL}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            make(wheel, Path(scratch))
    return wheel


def make(wheel: Path, scratch: Path) -> None:
    """Unpack the published wheel, change it, and write the new one."""
    tree, protoc = scratch / "tree", scratch / "protoc"
    (scratch / "published.txt").write_text(PUBLISHED)
    install = ("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target")
    uv.run(*install, tree, "--link-mode", "copy", "-r", scratch / "published.txt")
    uv.run(*install, protoc, "-r", TOOLS / "protoc.txt")
    generate_modules(tree, protoc)
    write_wheel(wheel, {**modules(tree), **metadata(tree)})


def generate_modules(tree: Path, protoc: Path) -> None:
    """Run protoc over the wheel's .proto files, under the names that seldon-core gave them."""
    package = tree / "seldon_core"
    tensor = [str(path.relative_to(package)) for path in sorted((package / TENSOR).glob("*.proto"))]
    run_protoc(protoc, package, "-Iproto", "--python_out=proto", *tensor)
    outputs = ("--python_out=.", "--pyi_out=.", "--grpc_python_out=.")
    run_protoc(protoc, package, "-I.", "-Iproto", *outputs, "proto/prediction.proto")
    for module in (package / "proto").rglob("*_pb2*.py*"):
        module.write_text(import_from_package(module.read_text()))


def run_protoc(protoc: Path, directory: Path, *arguments: str) -> None:
    """Run the protoc that grpcio-tools brings, inside `directory`."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{protoc}/grpc_tools/_proto"]
    python_path = {"PYTHONPATH": str(protoc)}
    subprocess.run([*command, *arguments], cwd=directory, env=python_path, check=True)


def import_from_package(source: str) -> str:
    """Generated imports, rewritten from the .proto search path to `seldon_core.proto`."""
    source = source.replace("from tensorflow.core", "from seldon_core.proto.tensorflow.core")
    return source.replace("from proto import", "from seldon_core.proto import")


def modules(tree: Path) -> dict[str, bytes]:
    """The package's files by their name in the wheel, bytecode aside."""
    files = (path for path in (tree / "seldon_core").rglob("*") if path.is_file())
    kept = (path for path in files if "__pycache__" not in path.parts)
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in kept}


def metadata(tree: Path) -> dict[str, bytes]:
    """The wheel's .dist-info files but RECORD, with the new version and requirements."""
    published = tree / PUBLISHED_METADATA
    kept = {name: (published / name).read_bytes() for name in ("LICENSE", "entry_points.txt")}
    wheel = "Wheel-Version: 1.0\nGenerator: prepackaged\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    changed = {
        "METADATA": "\n".join(metadata_lines((published / "METADATA").read_text())),
        "WHEEL": wheel,
    }
    encoded = {name: text.encode() for name, text in changed.items()}
    return {f"{METADATA}/{name}": body for name, body in (kept | encoded).items()}


def metadata_lines(published: str) -> Iterator[str]:
    """The published METADATA with our version and requirements, and a note that says so."""
    headers, _, description = published.partition("\n\n")
    dropped = ("Version:", "Requires-Dist:", "Provides-Extra:")
    yield from (line for line in headers.splitlines() if not line.startswith(dropped))
    yield f"Version: {VERSION}"
    yield from (f"Requires-Dist: {requirement}" for requirement in REQUIREMENTS)
    yield ""
    yield "Changed from the published 1.17.1: protobuf modules generated anew, requirements"
    yield "moved to maintained releases, tracing packages and its own tests left out."
    yield description


def write_wheel(wheel: Path, files: dict[str, bytes]) -> None:
    """Write a wheel whose bytes depend on nothing but `files`, whole or not at all."""
    record = "".join(f"{name},{digest(body)},{len(body)}\n" for name, body in sorted(files.items()))
    record += f"{METADATA}/RECORD,,\n"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    partial = wheel.with_suffix(f".{os.getpid()}")  # its own: `make -j` runs several of these
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, body in (*sorted(files.items()), (f"{METADATA}/RECORD", record.encode())):
            archive.writestr(zip_entry(name), body)
    partial.replace(wheel)


def zip_entry(name: str) -> zipfile.ZipInfo:
    """A zip entry with fixed time and permissions."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    return entry


def digest(body: bytes) -> str:
    """A file's digest as RECORD writes it."""
    encoded = base64.urlsafe_b64encode(hashlib.sha256(body).digest())
    return f"sha256={encoded.rstrip(b'=').decode()}"


if __name__ == "__main__":
    print(ensure(uv.CACHE / "wheels"))
