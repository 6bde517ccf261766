import inspect
from pathlib import Path
from typing import Any

import pytest

from prepackaged import DeploymentError
from prepackaged.server.runtime.loading import load_model, read_metadata

HANDS_ON = """class Above:
    def __init__(self, width=1): pass
class CLASS(Above):
    def __init__(self, color=2, **rest):
        super().__init__(**rest)
"""


@pytest.fixture
def model_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> str:
    """A module in the working directory, with a new name for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"Model{abs(hash(request.node.name))}"
    lines = request.param.replace("CLASS", name)
    (tmp_path / f"{name}.py").write_text(lines)
    return name


@pytest.mark.parametrize(
    "model_file",
    ["class CLASS:\n def __init__(self, size=1):\n  self.size = size\n"],
    indirect=True,
)
def test_a_plain_class_is_constructed_with_its_parameters(model_file: str) -> None:
    """A class without a base class or load method gets its parameters."""
    assert load_model(model_file, {"size": 3}).size == 3


@pytest.mark.parametrize(
    "model_file",
    ["class Other:\n def load(self):\n  self.ready = True\n"],
    indirect=True,
)
def test_a_class_may_be_named_with_its_module(model_file: str) -> None:
    """The model may be named `module.Class`, and its load method is called."""
    assert load_model(f"{model_file}.Other", {}).ready


@pytest.mark.parametrize(
    ("model_file", "message"),
    [
        ("import nothing_like_this", "cannot be imported: ModuleNotFoundError"),
        ("class Other: pass", "has no class CLASS; it has Other, served as CLASS.Other$"),
        (
            "from collections import OrderedDict\nclass B: pass\nclass A(B): pass\ndef f(): pass",
            "has no class CLASS; it has B, A, served as CLASS.B$",
        ),
        ("from decimal import Decimal", "has no class CLASS; it has no class$"),
        ("CLASS = 3", "cannot be loaded: TypeError: 'int' object is not callable$"),
        ("class CLASS:\n def __init__(self): pass\n", "has no parameter 'size'; it has none"),
        (
            "class CLASS:\n def __init__(self, sise=1, *, color=2): pass\n",
            "has no parameter 'size'; it has sise, color",
        ),
        (
            HANDS_ON,
            "has no parameter 'size'; it has color, width",
        ),
        (
            "class CLASS:\n def __init__(self, size, color): pass\n",
            "needs the parameter 'color', which is not set",
        ),
        (
            "class CLASS:\n def __init__(self, size): pass\n def load(self): return self.nothing\n",
            "cannot be loaded: AttributeError",
        ),
    ],
    indirect=["model_file"],
)
def test_a_failure_to_load_is_a_deployment_error(model_file: str, message: str) -> None:
    """Any failure to load is a deployment error, also an AttributeError, which upstream ignores."""
    with pytest.raises(DeploymentError, match=message.replace("CLASS", model_file)):
        load_model(model_file, {"size": 3})


STEPS = {
    "CLASS cannot be imported": "END\nclass CLASS: pass\n",
    "CLASS cannot be loaded": "class CLASS:\n def __init__(self): END\n",
    "CLASS cannot be loaded: ": "class CLASS:\n def load(self): END\n",
    "the metadata of CLASS cannot be read": "class CLASS:\n def init_metadata(self): END\n",
}


@pytest.mark.parametrize(
    ("end", "described"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("raise SystemExit", "SystemExit"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
        ("raise BaseException('own words')", "BaseException: own words"),
        ("raise StopIteration", "StopIteration"),
    ],
)
@pytest.mark.parametrize("step", STEPS)
def test_a_model_that_exits_is_a_deployment_error(
    step: str, end: str, described: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the model's code, also `sys.exit(0)`, is an error that names the step."""
    name = f"Exits{abs(hash((step, end)))}"
    (tmp_path / f"{name}.py").write_text(STEPS[step].replace("CLASS", name).replace("END", end))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeploymentError) as caught:
        read_metadata(load_model(name, {}))
    message = step.replace("CLASS", name).removesuffix(": ")
    assert str(caught.value) == f"{message}: {described}"


@pytest.mark.parametrize(
    "model_file",
    [
        "class CLASS:\n def __init__(self, **rest):\n  self.size = rest['size']\n",
        "class CLASS:\n def __init__(self, *rest, size):\n  self.size = size\n",
    ],
    indirect=True,
)
def test_a_class_may_accept_any_parameter(model_file: str) -> None:
    """A class with **kwargs accepts any parameter."""
    assert load_model(model_file, {"size": 3}).size == 3


@pytest.mark.parametrize("model_file", ["class CLASS: pass"], indirect=True)
def test_a_name_in_a_message_is_truncated(model_file: str) -> None:
    """Long names are truncated in error messages."""
    with pytest.raises(DeploymentError) as caught:
        load_model(model_file, {"x" * 9999: 3})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("model_dir", [None, "/somewhere"])
def test_a_class_without_a_signature_is_constructed(
    model_dir: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A class without a signature is constructed with what is given, and without a directory."""
    with pytest.raises(ValueError, match="no signature found"):
        inspect.signature(dict)

    assert load_model("builtins.dict", {"size": 3}, model_dir) == {"size": 3}
    assert ("/somewhere is not used" in caplog.text) == (model_dir is not None)
