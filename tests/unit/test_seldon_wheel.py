import ast
import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from packaging.requirements import Requirement
from seldon_core import flask_utils
from seldon_core.metadata import SeldonInvalidMetadataError, validate_model_metadata
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from seldon_core.proto.tensorflow.core.framework import (
    resource_handle_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)

import seldon_wheel
import uv

pytestmark = pytest.mark.usefixtures("private_cache")

ROOT = Path(__file__).parents[2]
INFO = "seldon_core-1.17.1+prepackaged.dist-info"
GENERATED = {
    "prediction_pb2.py": prediction_pb2,
    "tensorflow/core/framework/resource_handle_pb2.py": resource_handle_pb2,
    "tensorflow/core/framework/tensor_pb2.py": tensor_pb2,
    "tensorflow/core/framework/tensor_shape_pb2.py": tensor_shape_pb2,
    "tensorflow/core/framework/types_pb2.py": types_pb2,
}


def make(directory: Path) -> Path:
    """Build the wheel without the cache."""
    wheel = directory / "wheels" / seldon_wheel.WHEEL
    scratch = directory / "scratch"
    scratch.mkdir()
    seldon_wheel.make(wheel, scratch)
    return wheel


def install_published(directory: Path) -> Path:
    """Install the published seldon-core, hard-linked from uv's cache."""
    requirements = directory / "published.txt"
    requirements.write_text(seldon_wheel.PUBLISHED)
    target = directory / "published"
    uv.run("pip", "install", "-q", "--no-deps", "--target", target, "-r", requirements)
    return target


@pytest.fixture(scope="module")
def wheel(private_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    return make(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def published(private_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published seldon-core, installed."""
    return install_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def headers(files: dict[str, bytes]) -> Message:
    """The headers of the wheel's METADATA."""
    return Parser().parsestr(files[f"{INFO}/METADATA"].decode())


# The wheel


def test_the_same_input_gives_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    """Building the wheel in another directory gives the same bytes."""
    assert make(tmp_path).read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize(
    "lock",
    [ROOT / "requirements-dev.txt", *sorted(ROOT.glob("*/server/requirements*.txt"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_locks_hold_its_digest(wheel: Path, lock: Path) -> None:
    """The locks pin the hash of the built wheel."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    pin = f"seldon-core==1.17.1+prepackaged \\\n    --hash=sha256:{digest}\n"
    assert pin in lock.read_text()


def test_the_record_is_right_for_every_file(files: dict[str, bytes]) -> None:
    """RECORD lists each file with its hash and size, and itself with neither."""
    rows = list(csv.reader(io.StringIO(files[f"{INFO}/RECORD"].decode())))
    expected = [
        [name, "sha256=" + urlsafe_sha256(body), str(len(body))]
        for name, body in files.items()
        if name != f"{INFO}/RECORD"
    ]
    assert sorted(rows) == sorted([*expected, [f"{INFO}/RECORD", "", ""]])


def urlsafe_sha256(body: bytes) -> str:
    """Return a hash as in a wheel's RECORD."""
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")


def test_the_wheel_installs_only_seldon_core(files: dict[str, bytes]) -> None:
    """The wheel has no top-level package `tests` and no bytecode, unlike the published one."""
    assert {name.partition("/")[0] for name in files} == {"seldon_core", INFO}
    assert not [name for name in files if "__pycache__" in name or "/tests/" in name]


def test_every_published_module_is_kept(files: dict[str, bytes], published: Path) -> None:
    """All modules but the protobuf ones are the published ones, and import Flask when called."""
    modules = [
        path for path in (published / "seldon_core").rglob("*.py") if "_pb2" not in path.name
    ]
    ours = {path: files[str(path.relative_to(published))] for path in modules}
    changed = {path.name for path in modules if ours[path] != path.read_bytes()}
    assert changed == {"flask_utils.py", "metadata.py"}
    for path in modules:
        assert without_later_imports(ours[path]) == without_later_imports(path.read_bytes())
    assert len(modules) > 20


class _LaterImports(ast.NodeTransformer):
    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        packages = {"flask", "jsonschema", "werkzeug"}
        return None if str(node.module).partition(".")[0] in packages else node


def without_later_imports(module: bytes) -> str:
    """Return a module's syntax tree without what imports Flask, Werkzeug and jsonschema."""
    return ast.dump(_LaterImports().visit(ast.parse(module)))


def test_a_package_is_imported_by_the_functions_that_use_it() -> None:
    """Imports of these packages move into functions, below their docstrings; others stay."""
    module = "import os\nfrom a.b import c\nfrom a import d as e\n\nX = 1\n\n\n"
    functions = 'def f():\n    """F."""\n    return c, e\n\n\ndef g():\n    return os\n'
    assert seldon_wheel.import_later(module + functions, ["a"]) == (
        "import os\n\nX = 1\n\n\n"
        'def f():\n    """F."""\n    from a.b import c\n    from a import d as e\n'
        "    return c, e\n\n\ndef g():\n    return os\n"
    )


def test_functions_with_later_imports_work_as_published() -> None:
    """The functions that import Flask and jsonschema find what they need of them."""
    app = Flask("test")
    with app.test_request_context(json={"strData": "x"}):
        assert flask_utils.get_request() == {"strData": "x"}
        assert flask_utils.jsonify({"a": 1}).get_json() == {"a": 1}
    with app.test_request_context(data="{", content_type="application/json"):
        with pytest.raises(flask_utils.SeldonMicroserviceException) as refused:
            flask_utils.get_request()
        assert refused.value.message == "Can't find JSON in data"
    parts = {"strData": "x", "binData": (io.BytesIO(b"y"), "y")}
    with app.test_request_context(method="POST", data=parts):
        assert flask_utils.get_request() == {"strData": "x", "binData": b"eQ=="}
    with pytest.raises(SeldonInvalidMetadataError):
        validate_model_metadata({"name": 1})


def test_the_wheel_keeps_the_programs_and_the_license(
    files: dict[str, bytes], published: Path
) -> None:
    """The entry points and the license are identical to the published ones."""
    for name in ("entry_points.txt", "LICENSE"):
        original = published / "seldon_core-1.17.1.dist-info" / name
        assert files[f"{INFO}/{name}"] == original.read_bytes()
    assert b"seldon-core-microservice" in files[f"{INFO}/entry_points.txt"]


def test_the_wheel_says_that_it_was_changed(headers: Message) -> None:
    """The metadata has the published name and license, a local version, and states the changes."""
    assert (headers["Name"], headers["Version"]) == ("seldon-core", "1.17.1+prepackaged")
    assert "Apache" in headers["License"]
    assert headers.get_payload().startswith("Changed from the published 1.17.1: ")


def test_the_wheel_requires_only_what_its_code_imports(headers: Message) -> None:
    """The wheel requires only what its code imports, without Jaeger and OpenTracing."""
    names = {Requirement(line).name for line in headers.get_all("Requires-Dist")}
    assert names == {
        "click", "flask", "flask-cors", "grpcio", "grpcio-reflection", "gunicorn", "jsonschema",
        "numpy", "prometheus-client", "protobuf", "pyyaml", "requests", "setuptools", "werkzeug",
    }  # fmt: skip
    assert headers.get_all("Provides-Extra") is None


def test_this_environment_meets_its_requirements(headers: Message) -> None:
    """The installed packages meet the wheel's requirements."""
    requirements = [Requirement(line) for line in headers.get_all("Requires-Dist")]
    unmet = [each for each in requirements if metadata.version(each.name) not in each.specifier]
    assert unmet == []


def test_building_the_wheel_does_not_change_the_published_one(
    published: Path, tmp_path: Path
) -> None:
    """Building the wheel does not write through hard links into uv's cache."""
    make(tmp_path)
    again = install_published(tmp_path)
    assert wrong_files(published) == []
    assert wrong_files(again) == []


def wrong_files(target: Path) -> list[str]:
    """Return the installed files that do not match their RECORD."""
    record = (target / "seldon_core-1.17.1.dist-info/RECORD").read_text()
    rows = [(name, digest) for name, digest, _ in csv.reader(io.StringIO(record)) if digest]
    assert len(rows) > 50
    return [
        name
        for name, digest in rows
        if digest != "sha256=" + urlsafe_sha256((target / name).read_bytes())
    ]


def test_the_wheel_is_built_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The wheel is built once and then taken from the cache."""
    first = seldon_wheel.ensure(tmp_path)
    assert capfd.readouterr().out == ("-> making seldon_core-1.17.1+prepackaged-py3-none-any.whl\n")
    assert seldon_wheel.ensure(tmp_path) == first
    assert capfd.readouterr().out == ""
    assert first.parent.parent == tmp_path


# The installed package


@pytest.mark.parametrize("module", ["seldon_core.microservice", "seldon_core.user_model"])
def test_seldon_core_is_imported_without_a_warning(module: str) -> None:
    """Importing seldon_core causes no warnings."""
    command = [sys.executable, "-W", "error", "-c", f"import {module}"]
    completed = subprocess.run(command, capture_output=True, text=True)
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")


def test_the_file_is_named_as_upstream_names_it() -> None:
    """The protobuf file has its published name, by which reflection finds it."""
    assert prediction_pb2.DESCRIPTOR.name == "proto/prediction.proto"


@pytest.mark.parametrize("module", GENERATED)
def test_the_messages_are_the_published_ones(published: Path, module: str) -> None:
    """All protobuf messages equal those in the published modules."""
    source = (published / "seldon_core/proto" / module).read_text()
    theirs = FileDescriptorProto.FromString(published_descriptor(ast.parse(source)))
    ours = FileDescriptorProto.FromString(GENERATED[module].DESCRIPTOR.serialized_pb)
    assert ours == theirs


def published_descriptor(tree: ast.Module) -> bytes:
    """Return the serialized descriptor in a module from the old generator."""
    keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword))
    (found,) = (node.value for node in keywords if node.arg == "serialized_pb")
    return bytes(ast.literal_eval(found))


def test_the_services_are_the_published_ones() -> None:
    """The services have the published names and methods."""
    services = prediction_pb2.DESCRIPTOR.services_by_name
    methods = [method.name for method in services["Model"].methods]
    assert methods == ["Predict", "SendFeedback", "Metadata"]
    assert services["Model"].full_name == "seldon.protos.Model"
    assert {f"{name}Stub" for name in services} <= set(dir(prediction_pb2_grpc))


def messages() -> Iterator[prediction_pb2.SeldonMessage]:
    """Generate messages with each kind of nested payload."""
    tensor = prediction_pb2.Tensor(shape=[2, 2], values=[1.0, 2.5, -3.0, 4.0])
    yield prediction_pb2.SeldonMessage(
        data=prediction_pb2.DefaultData(names=["a", "b"], tensor=tensor)
    )
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=3)])
    content = np.array([1, 2, 3], dtype=np.float32).tobytes()
    tftensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT, tensor_shape=shape, tensor_content=content
    )
    yield prediction_pb2.SeldonMessage(data=prediction_pb2.DefaultData(tftensor=tftensor))
    message = prediction_pb2.SeldonMessage()
    json_format.ParseDict({"rows": [1, None, "x", {"deep": True}]}, message.jsonData)
    yield message


@pytest.mark.parametrize("message", list(messages()), ids=["tensor", "tftensor", "jsonData"])
def test_messages_are_unchanged_by_protobuf_and_json(message: prediction_pb2.SeldonMessage) -> None:
    """Messages are unchanged by encoding and decoding, as protobuf and as JSON."""
    kind = type(message)
    assert kind.FromString(message.SerializeToString()) == message
    assert json_format.ParseDict(json_format.MessageToDict(message), kind()) == message


def test_a_message_has_the_published_wire_format() -> None:
    """Hand-written bytes in the published wire format are decoded correctly."""
    tensor = b"\x0a\x01\x02" + b"\x12\x10" + np.array([1.0, 2.5]).tobytes()
    data = b"\x0a\x01a" + b"\x12" + bytes([len(tensor)]) + tensor
    message = prediction_pb2.SeldonMessage.FromString(b"\x1a" + bytes([len(data)]) + data)
    assert json_format.MessageToDict(message) == {
        "data": {"names": ["a"], "tensor": {"shape": [2], "values": [1.0, 2.5]}}
    }
