"""Wrong deployments: the start stops with one line that says how to fix it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pickled_code import PICKLES
from serving import ROOT, fail_to_serve
from torch import nn
from torch_nets import Mlp, Tokens, seeded, source_of

from prepackaged import DeploymentError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def assert_refused(
    model_of: Callable[..., Any], directory: Path | str, *words: str, **given: str
) -> None:
    """Check that loading fails with a single line that contains these words."""
    with pytest.raises(DeploymentError) as caught:
        model_of(directory, **given)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_last_log_line_of_a_process_is_the_message(tmp_path: Path) -> None:
    """The server exits with status 1, and its message is the last log line, without a traceback."""
    (tmp_path / "model.onnx").touch()

    failed = fail_to_serve(ROOT / "pytorch/server", model_uri=str(tmp_path))

    assert failed.status == 1
    assert "has no model: expected model.pt, model.pth" in failed.last_line
    assert "found model.onnx" in failed.last_line
    assert "Traceback" not in failed.log


def test_no_model_uri_is_refused(model_of: Callable[..., Any]) -> None:
    """Without model_uri, the line names the parameter and what the directory should contain."""
    assert_refused(model_of, "", "no model to serve: mount a directory with model.pt")


def test_two_candidates_are_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """Two possible model files are refused."""
    for name in ("one.pt", "two.pth"):
        torch.save({}, tmp_path / name)

    assert_refused(model_of, tmp_path, "2 candidates: one.pt, two.pth", "model_file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"age,city\n3,Taipei\n", "is text that begins with 'age,city', which torch.save does not"),
        (b"\xde\xad\xbe\xef" * 99, "it begins with the bytes de ad be ef"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras saves"),
        (b"<!DOCTYPE html><title>Sign in", "is an HTML page, not the model"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ],
)
@pytest.mark.parametrize("allowed", [{}, {"allow_pickle": "true"}], ids=["", "allowed"])
def test_bytes_that_pytorch_does_not_write_are_named(
    content: bytes, words: str, allowed: dict[str, str], tmp_path: Path, model_of: Any
) -> None:
    """For content that PyTorch does not write, the message does not suggest to allow pickles."""
    (tmp_path / "model.pt").write_bytes(content)

    with pytest.raises(DeploymentError) as caught:
        model_of(tmp_path, **allowed)

    assert words in str(caught.value)
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_of_another_python_is_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """Pickled code of another Python, as from MLflow, is refused: calling it would crash."""
    content = PICKLES["3.12", "class"]
    writer = torch._C.PyTorchFileWriter(str(tmp_path / "model.pt"))
    writer.write_record("data.pkl", content, len(content))
    writer.write_end_of_file()

    assert_refused(model_of, tmp_path, "of Python 3.12 (Doubling.", allow_pickle="true")


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pt2", "model.safetensors"])
@pytest.mark.parametrize("content", [b"\x89PNG and so on", b"PK\x03\x04 and so on"])
def test_a_file_of_another_kind_is_refused(
    name: str, content: bytes, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a file of another kind, the line names the file."""
    (tmp_path / name).write_bytes(content)
    (tmp_path / "net.py").write_text(source_of(Mlp))

    assert_refused(model_of, tmp_path, f"model file {tmp_path / name}")


@pytest.mark.parametrize("kind", ["weights", "TorchScript", "torch.export"])
def test_a_truncated_file_is_refused(
    kind: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a truncated file, the line names the file."""
    path = tmp_path / "model.pt"
    module = seeded(Mlp)
    if kind == "weights":
        torch.save(module.state_dict(), path)
    elif kind == "TorchScript":
        torch.jit.script(module).save(path)
    else:
        torch.export.save(torch.export.export(module, (torch.zeros(1, 4),)), str(path) + "2")
        Path(str(path) + "2").rename(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "net.py").write_text(source_of(Mlp))

    assert_refused(model_of, tmp_path, f"model file {path}")


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], "weights", 3])
def test_a_file_of_something_else_is_refused(
    content: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A file with a tensor or a list is refused: neither weights nor a module."""
    torch.save(content, tmp_path / "model.pt")

    assert_refused(model_of, tmp_path, f"holds a {type(content).__name__}: neither weights")


def test_weights_without_a_class_are_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """For weights without a class, the line names both solutions."""
    torch.save(seeded(Mlp).state_dict(), tmp_path / "model.pt")

    assert_refused(model_of, tmp_path, "put a .py file with a class PyTorchModel", "torch.export")


def test_a_class_of_another_name_is_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """For a missing class, the line lists the classes in the files and the parameter to set."""
    torch.save(seeded(Mlp).state_dict(), tmp_path / "model.pt")
    (tmp_path / "net.py").write_text(source_of(Mlp, "Net"))

    assert_refused(
        model_of,
        tmp_path,
        "no class PyTorchModel",
        "model_class to the right class: net.py has Net",
    )


def test_two_files_with_the_class_are_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """If two files define the class, the line names both and the parameter that chooses."""
    torch.save(seeded(Mlp).state_dict(), tmp_path / "model.pt")
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(source_of(Mlp))

    assert_refused(model_of, tmp_path, "in 2 files: one.py, two.py", "model_class_file")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class PyTorchModel(:\n", "net.py has SyntaxError: invalid syntax (<unknown>, line 1)"),
        ("import nosuch\nclass PyTorchModel(nosuch.Net): ...", "needs the Python module 'nosuch'"),
        ("import nosuch\ndef PyTorchModel(): nosuch.f()", "needs the Python module 'nosuch'"),
        ("from .near import f\nclass PyTorchModel: ...", "needs the Python module '.near'"),
        ("class PyTorchModel: ...\n1 / 0", "net.py cannot be imported: ZeroDivisionError"),
        ("class PyTorchModel: ...", "expected a torch.nn.Module, got PyTorchModel"),
        ("PyTorchModel = 3", "net.py has no class PyTorchModel"),
        ("def PyTorchModel(size): ...", "missing 1 required positional argument: 'size'"),
    ],
    ids=[
        "syntax",
        "base not there",
        "called not there",
        "not beside",
        "failing",
        "no module",
        "no class",
        "arguments",
    ],
)
def test_a_class_file_that_does_not_work_is_refused(
    source: str, words: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a class file that fails, the line names the file and the error."""
    torch.save(seeded(Mlp).state_dict(), tmp_path / "model.pt")
    (tmp_path / "net.py").write_text(source)

    assert_refused(model_of, tmp_path, words)


def test_weights_of_another_class_are_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """For weights of another class, the line names missing and unexpected weights."""
    torch.save(seeded(Tokens).state_dict(), tmp_path / "model.pt")
    (tmp_path / "net.py").write_text(source_of(Mlp))

    assert_refused(
        model_of,
        tmp_path,
        "does not fit PyTorchModel of net.py",
        "missing: layers.0.weight, layers.0.bias",
        "unexpected: embedding.weight, fc.weight, fc.bias",
    )


def test_weights_of_another_shape_are_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """For a weight of another shape, the line names it and both shapes."""
    torch.save(Mlp(hidden=6).state_dict(), tmp_path / "model.pt")
    (tmp_path / "net.py").write_text(source_of(Mlp))

    assert_refused(model_of, tmp_path, "layers.0.weight", "[6, 4]", "[8, 4]")


def test_a_pickle_whose_class_is_missing_is_refused(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a pickle without its class, the line names the class and where to put its file."""
    (tmp_path / "left_out.py").write_text(source_of(Mlp, "Net"))
    save = "import torch, left_out; torch.save(left_out.Net(), 'model.pt')"
    subprocess.run([sys.executable, "-c", save], cwd=tmp_path, check=True)
    (tmp_path / "left_out.py").unlink()

    assert_refused(model_of, tmp_path, "'left_out'", "beside the model file", allow_pickle="true")


def test_torchscript_without_tensor_arguments_is_refused(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For TorchScript with an unsupported argument, the line names it and its type."""
    torch.jit.script(Summing()).save(tmp_path / "model.pt")

    assert_refused(model_of, tmp_path, "'parts' as Dict[int, Tensor]")


class Summing(nn.Module):
    """Sums the tensors of a dict whose keys are numbers."""

    def forward(self, parts: dict[int, torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(parts.values())).sum(0)


def test_forward_without_named_tensors_is_refused(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A `forward` without named arguments is refused, as requests could not be mapped to it."""
    source = (
        "from torch import nn\nclass PyTorchModel(nn.Module):\n    def forward(self, *x): ...\n"
    )
    (tmp_path / "net.py").write_text(source)
    torch.save({}, tmp_path / "model.pt")

    assert_refused(model_of, tmp_path, "must name the tensors", "forward(*x)")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "gpu"}, "device to be auto, cpu, cuda or cuda:N, got 'gpu'"),
        ({"device": "cuda:99"}, "sees (cpu), got 'cuda:99'"),
        ({"allow_pickle": "perhaps"}, "allow_pickle to be true or false, got 'perhaps'"),
        ({"strict": "perhaps"}, "strict to be true or false, got 'perhaps'"),
        ({"compile": "quickly"}, "compile to be true, false or a backend"),
        ({"model_class_file": "nat.py"}, "model_class_file names 'nat.py'"),
        ({"model_class": "Net"}, "no class Net"),
        ({"image_size": "32"}, "image_size to be height and width"),
        ({"image_mode": "RGB"}, "image parameters do not fit"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_a_wrong_parameter_is_refused(
    given: dict[str, str],
    words: str,
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
) -> None:
    """For a wrong parameter, the line names it and the allowed values."""
    saved(Mlp)

    assert_refused(model_of, tmp_path, words, **given)


def test_torchscript_is_not_compiled_again(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """The parameter compile is refused for TorchScript, which torch.compile does not accept."""
    torch.jit.script(seeded(Mlp)).save(tmp_path / "model.pt")

    assert_refused(model_of, tmp_path, "compile is not for TorchScript", compile="true")


def test_compiling_needs_a_compiler(
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If compile needs a C++ compiler, which the image lacks, the start stops, not a request."""
    saved(Mlp)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert_refused(model_of, tmp_path, "needs a C++ compiler", compile="true")


def test_a_mlflow_model_of_another_flavor_is_refused(
    tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """For an MLflow model of another flavor, the line names the flavors that it has."""
    saved(Mlp)
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function: {}\n  xgboost: {}\n")

    with pytest.raises(DeploymentError, match=r"'pytorch'.*python_function, xgboost"):
        model_of(tmp_path)


def test_an_empty_mlflow_model_is_refused(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """For an MLflow model without a file, the line names the directory and its content."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pickle_module_info.txt").write_text("mlflow.pytorch.pickle_module")
    (tmp_path / "MLmodel").write_text("flavors:\n  pytorch: {model_data: data}\n")

    assert_refused(
        model_of, tmp_path, f"{re.escape('data')} has no model", "pickle_module_info.txt"
    )
