"""Wrong requests: errors name the input, what was expected and received; serving continues."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from serving import Server, serve_here
from torch_nets import Cifar, Mixed, Mlp, Pair, Tokens, seeded, source_of

from prepackaged import ClientError, ModelError

GOOD = {
    "Mlp": [[1, 2, 3, 4]],
    "Mixed": {"category": [[1]], "size": [[1, 2]]},
    "Pair": {"left": [1], "right": [2]},
    "Tokens": [[1, 2]],
}


@pytest.fixture(scope="module")
def servers(
    model_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Server]]:
    """A function that takes a class's name and returns a server with it."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def start(name: str) -> Server:
            if name not in running:
                directory = tmp_path_factory.mktemp(name)
                net = {each.__name__: each for each in (Cifar, Mixed, Mlp, Pair, Tokens)}[name]
                torch.save(seeded(net).state_dict(), directory / "model.pt")
                (directory / "net.py").write_text(source_of(net))
                running[name] = stack.enter_context(serve_here(model_of(directory)))
            return running[name]

        yield start


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("Mlp", [[1, 2, 3]], ["'x': expected float32 of shape [n, 4]", "got shape [1, 3]"]),
        ("Mlp", [1, 2, 3, 4], ["got shape [4]", "another pair of brackets"]),
        ("Mlp", [[[1, 2, 3]] * 2], ["float32 of shape [n, ?, 4]", "got shape [1, 2, 3]"]),
        ("Mlp", [[1, 2, "wide", 4]], ["'x': expected float32", "got 'wide' at [0, 2]"]),
        ("Mlp", [[1, 2, 1e39, 4]], ["got 1e+39 at [0, 2]"]),
        ("Mlp", [], ["no rows"]),
        ("Mlp", "flowers", ["'x': expected float32", "got a string"]),
        ("Mlp", {"y": [[1, 2, 3, 4]]}, ["missing: x", "unknown: y"]),
        ("Tokens", [[1.5, 2]], ["'tokens': expected int64", "got 1.5 at [0, 0]"]),
        ("Tokens", [[1, 10]], ["index out of range", "input 'tokens'", "int64 of shape [1, 2]"]),
        ("Mixed", [[1, 2, 3]], ["expected an object with", "'category' (int64)", "by name"]),
        ("Mixed", {"category": [[1]]}, ["missing: size"]),
        ("Mixed", {"category": [[1]], "size": [[1, 2]], "colour": [1]}, ["unknown: colour"]),
        (
            "Mixed",
            {"category": [[1]], "size": [[1, 2, 3]]},
            ["refuses the data", "input 'size'", "shape [1, 3]"],
        ),
        ("Mixed", {"category": [[7]], "size": [[1, 2]]}, ["index out of range"]),
        ("Pair", {"left": [1, 2, 3], "right": [1, 2]}, ["input 'left'", "shape [3]", "shape [2]"]),
    ],
)
def test_wrong_data_is_refused(
    servers: Callable[[str], Server], name: str, data: Any, words: list[str]
) -> None:
    """Wrong data gets an HTTP 400 with input, expected and received; the next request works."""
    server = servers(name)

    answer = server.post({"jsonData": data})

    error = answer.json()["status"]
    assert (answer.status_code, error["reason"]) == (400, "MICROSERVICE_BAD_DATA"), error
    for word in words:
        assert word in error["info"]
    assert server.post({"jsonData": GOOD[name]}).status_code == 200


def test_a_size_that_only_a_later_layer_minds_is_refused(servers: Callable[[str], Server]) -> None:
    """If a later layer refuses a size, the message has PyTorch's words, expected and received."""
    pixels = torch.zeros(1, 3, 31, 31).tolist()

    answer = servers("Cifar").post({"data": {"ndarray": pixels}})

    assert answer.status_code == 400
    info = answer.json()["status"]["info"]
    assert "shape '[-1, 400]' is invalid for input of size 256" in info
    assert (
        "input 'x': expected float32 of shape [n, 3, ?, ?], got float32 of shape [1, 3, 31, 31]"
        in info
    )


@pytest.mark.parametrize("body", [{"binData": "aGVsbG8="}, {"strData": "hello"}])
def test_bytes_that_are_not_an_image_are_refused(
    servers: Callable[[str], Server], body: Any
) -> None:
    """Text for an image model gets an HTTP 400."""
    assert servers("Cifar").post(body).status_code == 400


FAILING = """
import torch
from torch import nn

class PyTorchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x):
        x = torch.flatten(x, 1)
        {statement}
"""


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("raise ValueError('no luck')", "ValueError: no luck"),
        ("return self.fcc(x)", "AttributeError"),
        ("return 'a text'", "forward returned a str; expected tensors"),
        ("return None", "forward returned no tensor"),
        ("return {{}}['key']".replace("{{}}", "{}"), "KeyError"),
    ],
)
def test_a_forward_that_fails_is_the_models_mistake(
    statement: str, words: str, model_of: Callable[..., Any], tmp_path: Any
) -> None:
    """An exception in the author's `forward` is a ModelError with its text."""
    (tmp_path / "net.py").write_text(FAILING.replace("{statement}", statement))
    torch.save(
        {f"fc.{k}": v for k, v in torch.nn.Linear(2, 2).state_dict().items()}, tmp_path / "a.pt"
    )
    model = model_of(tmp_path)

    with pytest.raises(ModelError, match=words):
        model.predict([[1.0, 2.0]])


def test_torchscripts_own_message_is_reported(model_of: Callable[..., Any], tmp_path: Any) -> None:
    """For an error in TorchScript, the message has the line that says what is wrong."""
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(seeded(Cifar)).save(tmp_path / "model.pt")
    model = model_of(tmp_path)

    with pytest.raises(
        Exception,
        match=r"^the model refuses the data: RuntimeError: shape '\[-1, 400\]' is invalid",
    ):
        model.predict(torch.zeros(1, 3, 31, 31).numpy())


@pytest.mark.parametrize(
    "statement",
    [
        "return F.interpolate(x, scale_factor=2)",
        "return F.pad(x, (1, 1, 1, 1), mode='reflect')",
    ],
)
def test_data_with_a_wrong_number_of_axes_is_refused(
    statement: str, model_of: Callable[..., Any], tmp_path: Any
) -> None:
    """If PyTorch implements an operation only for images, other data is the client's mistake."""
    head = "import torch\nimport torch.nn.functional as F\n\n"
    code = f"class PyTorchModel(torch.nn.Module):\n    def forward(self, x):\n        {statement}\n"
    (tmp_path / "net.py").write_text(head + code)
    torch.save({}, tmp_path / "model.pt")
    model = model_of(tmp_path)

    with pytest.raises(ClientError, match=r"\dD"):
        model.predict([[1.5, 2.0]])
    assert model.predict(torch.ones(1, 1, 2, 2).tolist()).shape[-1] == 4


@pytest.mark.parametrize(
    "statement", ["raise NotImplementedError('2D input')", "return self.no(x)"]
)
def test_what_the_author_has_not_implemented_is_the_models_mistake(
    statement: str, model_of: Callable[..., Any], tmp_path: Any
) -> None:
    """A missing `forward` and an author's own `NotImplementedError` are a ModelError."""
    code = f"""
from torch import nn

class PyTorchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.no = nn.Module()

    def forward(self, x):
        {statement}
"""
    (tmp_path / "net.py").write_text(code)
    torch.save({}, tmp_path / "model.pt")

    with pytest.raises(ModelError, match="NotImplementedError"):
        model_of(tmp_path).predict([[1.5, 2.0]])
