"""Make a seldon-core wheel that works with maintained releases of its dependencies.

seldon-core 1.17.1 defines the protocol, but the published wheel requires numpy < 2, protobuf < 4
and more: releases without security fixes, which no current framework accepts. Its code works
without these limits. `seldon_core-1.17.1+prepackaged` differs from the published wheel in:

- the protobuf modules, generated anew from the .proto files that the wheel itself carries;
- Flask and jsonschema, imported by the functions that call them: a server that needs neither starts
  0.2 s sooner;
- the requirements: current releases, without tracing packages that are no longer maintained;
- its own tests, which are left out: they install as a top-level package named `tests`.

Unlike files edited after installation, a new wheel keeps RECORD right, and a fork can install more
packages without the old limits. The same input gives the same bytes, so locks can contain its
digest.
"""

import ast
import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import uv

PROTOC = Path(__file__).with_name("protoc.txt")
REQUIREMENTS = Path(__file__).with_name("seldon_core.in")
VERSION = "1.17.1+prepackaged"
WHEEL = f"seldon_core-{VERSION}-py3-none-any.whl"
PUBLISHED = (
    "seldon-core==1.17.1"
    " --hash=sha256:9960d9cdce90d1b6e5ef7292f1a337372605da055597fcdcab1c3edc6dee04ef\n"
)
PUBLISHED_METADATA = "seldon_core-1.17.1.dist-info"
METADATA = f"seldon_core-{VERSION}.dist-info"
TENSOR = "proto/tensorflow/core/framework"
# Modules of seldon-core, with packages that only some of their functions need.
IMPORTED_LATER = {"flask_utils.py": ("flask", "werkzeug"), "metadata.py": ("jsonschema",)}
CHANGES = """\
Changed from the published 1.17.1: protobuf modules generated anew, requirements
moved to maintained releases, tracing packages and its own tests left out, Flask and
jsonschema imported by the functions that call them.
"""
WHEEL_FILE = (
    "Wheel-Version: 1.0\nGenerator: prepackaged\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)


def ensure(directory: Path) -> Path:
    """The path of the wheel in `directory`; made now if the same input has not made it before."""
    inputs = b"".join(file.read_bytes() for file in (Path(__file__), PROTOC, REQUIREMENTS))
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
    uv.run(*install, protoc, "-r", PROTOC)
    generate_modules(tree, protoc)
    for name, packages in IMPORTED_LATER.items():
        module = tree / "seldon_core" / name
        module.write_text(import_later(module.read_text(), packages))
    write_wheel(wheel, modules(tree) | metadata(tree / PUBLISHED_METADATA))


def generate_modules(tree: Path, protoc: Path) -> None:
    """Run protoc on the wheel's .proto files, under seldon-core's names for them."""
    package = tree / "seldon_core"
    tensor = [str(path.relative_to(package)) for path in sorted((package / TENSOR).glob("*.proto"))]
    run_protoc(protoc, package, "-Iproto", "--python_out=proto", *tensor)
    outputs = ("--python_out=.", "--pyi_out=.", "--grpc_python_out=.")
    run_protoc(protoc, package, "-I.", "-Iproto", *outputs, "proto/prediction.proto")
    for module in (package / "proto").rglob("*_pb2*.py*"):
        text = module.read_text()  # protoc writes imports relative to the .proto search path
        text = text.replace("from tensorflow.core", "from seldon_core.proto.tensorflow.core")
        module.write_text(text.replace("from proto import", "from seldon_core.proto import"))


def run_protoc(protoc: Path, directory: Path, *arguments: str) -> None:
    """Run the protoc of grpcio-tools in `directory`."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{protoc}/grpc_tools/_proto"]
    python_path = {"PYTHONPATH": str(protoc)}
    subprocess.run([*command, *arguments], cwd=directory, env=python_path, check=True)


def import_later(text: str, packages: Iterable[str]) -> str:
    """The module with these packages imported by the functions that use them."""
    tree, lines = ast.parse(text), text.splitlines(keepends=True)
    imports = [
        node
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in packages
    ]
    for function in reversed([node for node in tree.body if isinstance(node, ast.FunctionDef)]):
        used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        first = function.body[1 if ast.get_docstring(function) else 0].lineno - 1
        lines[first:first] = [
            f"    {lines[node.lineno - 1]}"
            for node in imports
            if used & {each.asname or each.name for each in node.names}
        ]
    for node in reversed(imports):
        del lines[node.lineno - 1]
    return "".join(lines)


def modules(tree: Path) -> dict[str, bytes]:
    """The package's files by their names in the wheel, without bytecode."""
    files = (path for path in (tree / "seldon_core").rglob("*") if path.is_file())
    kept = (path for path in files if "__pycache__" not in path.parts)
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in kept}


def metadata(published: Path) -> dict[str, bytes]:
    """The .dist-info files except RECORD, with our version and requirements, and a note."""
    headers, _, description = (published / "METADATA").read_text().partition("\n\n")
    kept = re.sub(r"(?m)^(Version|Requires-Dist|Provides-Extra):.*\n", "", f"{headers}\n")
    wanted = re.findall(r"(?m)^[^#\s]+", REQUIREMENTS.read_text())
    requires = "".join(f"Requires-Dist: {requirement}\n" for requirement in wanted)
    files = {
        "METADATA": f"{kept}Version: {VERSION}\n{requires}\n{CHANGES}{description}".encode(),
        "WHEEL": WHEEL_FILE.encode(),
        **{name: (published / name).read_bytes() for name in ("LICENSE", "entry_points.txt")},
    }
    return {f"{METADATA}/{name}": body for name, body in files.items()}


def write_wheel(wheel: Path, files: dict[str, bytes]) -> None:
    """Write a wheel, whose bytes depend only on `files`, in one step."""
    record = "".join(f"{name},{digest(body)},{len(body)}\n" for name, body in sorted(files.items()))
    record += f"{METADATA}/RECORD,,\n"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    partial = wheel.with_suffix(f".{os.getpid()}")  # because `make -j` runs several at a time
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, body in (*sorted(files.items()), (f"{METADATA}/RECORD", record.encode())):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    partial.replace(wheel)


def digest(body: bytes) -> str:
    """A file's digest in RECORD's form."""
    encoded = base64.urlsafe_b64encode(hashlib.sha256(body).digest())
    return f"sha256={encoded.rstrip(b'=').decode()}"
