"""Parts that requests do not reach in every case: file outline, forks, error messages."""

import os
import select
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import graph, node, product
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import external_data_helper, helper, numpy_helper
from serving import ROOT

SERVER = ROOT / "onnx/server"

BOUND_SECONDS = 20  # far longer than any answer takes


def test_the_outline_is_what_onnx_itself_reads(tmp_path: Path) -> None:
    """The outline has the versions and the producer that the package onnx wrote."""
    from onnx_file import outline  # found once conftest.py has set the path

    content = product()
    content.opset_import.add(domain="ai.onnx.ml", version=3)
    (tmp_path / "model.onnx").write_bytes(content.SerializeToString())

    read = outline(tmp_path / "model.onnx")

    assert read.ir_version == content.ir_version
    assert read.opset() == "ai.onnx 20, ai.onnx.ml 3"
    assert read.producer == "tests 7"
    assert (read.data_files, read.unranked) == ((), frozenset())


def test_values_in_the_file_are_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing the outline skips values, such as millions of numbers in a tree ensemble."""
    import onnx_file

    walked = []
    fields = onnx_file._fields
    monkeypatch.setattr(
        onnx_file, "_fields", lambda part: (walked.append(each) or each for each in fields(part))
    )
    many = 10_000
    trees = node(
        "TreeEnsembleRegressor",
        "x",
        "y",
        domain="ai.onnx.ml",
        nodes_values=[0.5] * many,
        nodes_featureids=[7] * many,
        nodes_modes=["BRANCH_LEQ"] * many,
    )
    words = np.array(["word"] * many, dtype=object)
    content = graph(
        [trees], {"x": ("float", ("n", 1))}, {"y": ("float", ("n", 1))}, {"words": words}
    )
    (tmp_path / "model.onnx").write_bytes(content.SerializeToString())

    read = onnx_file.outline(tmp_path / "model.onnx")

    assert (read.producer, read.data_files) == ("tests 7", ())
    assert len(walked) < 200


def test_files_are_found_wherever_a_tensor_may_be(tmp_path: Path) -> None:
    """Data files are found for weights, for attributes of nodes, and in graphs of branches."""
    from onnx_file import outline

    def outside(name: str) -> onnx.TensorProto:
        content = numpy_helper.from_array(np.zeros(1, np.float32), name)
        external_data_helper.set_external_data(content, f"{name}.bin")
        content.ClearField("raw_data")
        return content

    constant = helper.make_node("Constant", [], ["c"], value=outside("attribute"))
    branch = helper.make_graph([], "branch", [], [], [outside("branch")])
    condition = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    content = graph([constant, condition], {"x": ("bool", ())}, {"y": ("float", None)})
    content.graph.initializer.extend([numpy_helper.from_array(np.zeros(3)), outside("weight")])
    (tmp_path / "model.onnx").write_bytes(content.SerializeToString())

    found = outline(tmp_path / "model.onnx").data_files

    assert sorted(found) == ["attribute.bin", "branch.bin", "weight.bin"]


@settings(deadline=None)  # no test asserts on time
@given(content=st.binary(min_size=1, max_size=200))
def test_any_bytes_have_an_outline_or_none(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes that are not a model raise only ValueError."""
    from onnx_file import outline

    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)

    with suppress(ValueError):
        outline(path)


@settings(deadline=None)
@given(place=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_damaged_model_has_an_outline_or_none(
    place: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A model with any damaged byte raises only ValueError."""
    from onnx_file import outline

    content = bytearray(product().SerializeToString())
    content[place % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)

    with suppress(ValueError):
        outline(path)


def test_a_model_answers_on_both_sides_of_a_fork(loaded: Callable[..., Any]) -> None:
    """A model answers in parent and child after a fork, which ends a session's threads."""
    model = loaded(product(512, 512), execution_mode="parallel", inter_op_num_threads=2)
    rows = np.ones((512, 512), np.float32)
    before = model.predict(rows).sum()
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            os.write(writing, struct.pack("d", model.predict(rows).sum()))
        finally:
            os._exit(0)

    has_answered = select.select([reading], [], [], BOUND_SECONDS)[0]
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert has_answered
    assert struct.unpack("d", os.read(reading, 8)) == (before,)
    assert model.predict(rows).sum() == before


def test_no_usage_statistics_are_sent(tmp_path: Path) -> None:
    """The server writes no telemetry ID into the home directory, as onnxruntime does by default."""
    (tmp_path / "model.onnx").write_bytes(product().SerializeToString())
    program = f"from Model import Model; Model({str(tmp_path)!r})"
    loud = f"import onnxruntime; onnxruntime.InferenceSession({str(tmp_path / 'model.onnx')!r})"

    left = {}
    for name, source in (("ours", program), ("onnxruntime's", loud)):
        home = tmp_path / name
        home.mkdir()
        silencers = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
        environment = {key: value for key, value in os.environ.items() if key not in silencers}
        command = [sys.executable, "-c", source]
        subprocess.run(command, cwd=SERVER, env=environment | {"HOME": str(home)}, check=True)
        left[name] = list(home.rglob("*"))

    assert left["ours"] == []
    assert left["onnxruntime's"] != []


SOURCE = "/src/core/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, const int&) "
NODE = "Non-zero status code returned while running Gather node. Name:'/a/Gather' Status Message: "
INVALID, FAILED = "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : ", "[ONNXRuntimeError] : 1 : FAIL : "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{INVALID}{NODE}idx=99 is out of range", "Gather: idx=99 is out of range"),
        (f"{FAILED}{SOURCE}Unsupported version: 20, max 14\n", "Unsupported version: 20, max 14"),
        (f"{FAILED}{NODE}{SOURCE}it is (too) large", "Gather: it is (too) large"),
        ("something (else) happened", "something (else) happened"),
    ],
    ids=["node", "source", "both", "foreign"],
)
def test_errors_do_not_contain_places_in_onnxruntimes_code(text: str, said: str) -> None:
    """Error messages omit locations in onnxruntime's source."""
    from onnx_session import reason

    assert reason(RuntimeError(text)) == said
