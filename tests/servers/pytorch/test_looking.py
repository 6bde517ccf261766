"""Loading never changes the model: tracing and trial calls use a copy."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serving import serve_here
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
ROWS = np.array([[5.3, 3.5, 1.4, 0.2]])
SOURCE = """
import random
import numpy as np
import torch
from torch import nn

class PyTorchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(1))
        self.count, self.seen, self.hidden, self.noise = 0, [], None, None
        self.fc.register_forward_hook(lambda module, inputs, output: self.seen.append(output))

    def forward(self, x):
        self.calls += 1
        self.count += 1
        if self.hidden is None:
            self.hidden = x.sum()
        self.noise = torch.rand(1) + random.random() + float(np.random.rand())
        return self.drop(self.fc(x)) + 0 * self.noise
"""
LIGHTNING = SOURCE.replace("nn.Module)", "pl.LightningModule)").replace(
    "import random\n", "import pytorch_lightning as pl\nimport random\n"
)


class Counting(nn.Module):
    """Counts its calls in a buffer, as TorchScript and torch.export allow."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return self.drop(self.fc(x)) + 0 * torch.rand(1)


def weights() -> dict[str, Any]:
    """Weights that are the same on each call."""
    torch.manual_seed(0)
    return Counting().state_dict()


def save_class(directory: Path) -> None:
    """Save weights with their class."""
    (directory / "net.py").write_text(SOURCE)
    torch.save(weights(), directory / "model.pt")


def save_lightning(directory: Path) -> None:
    """Save a Lightning checkpoint."""
    (directory / "net.py").write_text(LIGHTNING)
    torch.save({"state_dict": weights(), "hyper_parameters": {}}, directory / "last.ckpt")


def save_program(directory: Path) -> None:
    """Save a program of torch.export."""
    rows = {"x": {0: torch.export.Dim("rows")}}
    program = torch.export.export(Counting().eval(), (torch.ones(2, 4),), dynamic_shapes=rows)
    torch.export.save(program, directory / "model.pt2")


def save_pickle(directory: Path) -> None:
    """Save a pickled module."""
    torch.save(Counting().eval(), directory / "model.pt")


def save_script(directory: Path) -> None:
    """Save TorchScript."""
    torch.jit.script(Counting().eval()).save(directory / "model.pt")


WAYS = [save_class, save_lightning, save_program, save_pickle, save_script]


def state_of(module: nn.Module) -> dict[str, Any]:
    """The state of a module: weights, buffers, plain attributes, training mode."""
    kept = {name: value.tolist() for name, value in module.state_dict().items()}
    for name, layer in module.named_modules():
        kept[f"{name} trains"] = layer.training
        if not isinstance(module, torch.jit.ScriptModule):
            values = {key: each for key, each in vars(layer).items() if key[0] != "_"}
            kept[name] = {
                key: str(each) for key, each in values.items()
                if key != "program" and not callable(each)
            }  # fmt: skip
    return kept


@pytest.mark.parametrize("save", WAYS)
def test_a_loaded_model_is_as_it_was_in_the_file(
    save: Callable[[Path], None], tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For every format, the loaded model has the state of the file."""
    from pytorch_files import Wanted, read  # the server's modules, found once conftest has run

    save(tmp_path)
    model = model_of(tmp_path, allow_pickle="true")
    read_alone, _ = read(model.artifact, Wanted(allow_pickle=True))

    assert state_of(model.network.module) == state_of(read_alone)


@pytest.mark.parametrize("save", WAYS)
def test_looking_draws_no_random_numbers(
    save: Callable[[Path], None], tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Loading does not change the state of the random number generators."""
    from pytorch_files import Wanted, read  # as above

    def drawn() -> list[float]:
        return [float(torch.rand(1)), random.random(), float(np.random.rand())]

    def seed() -> None:
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)

    save(tmp_path)
    artifact = model_of(tmp_path, allow_pickle="true").artifact
    seed()
    read(artifact, Wanted(allow_pickle=True))
    expected = drawn()
    seed()
    model_of(tmp_path, allow_pickle="true")

    assert drawn() == expected


def test_what_forward_keeps_is_its_own_and_not_a_tracers(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A module that stores computed values, as in masks or caches, stores no placeholders."""
    save_class(tmp_path)

    model = model_of(tmp_path)
    answer = model.predict(ROWS)

    module = model.network.module
    expected = module.fc(torch.tensor(ROWS, dtype=torch.float32)).tolist()
    assert answer.tolist() == [pytest.approx(expected[0])]
    assert (module.count, module.calls.item(), len(module.seen)) == (1, 1, 2)
    assert module.hidden.item() == pytest.approx(ROWS.sum())


UNCOPIED = SOURCE.replace("import random\n", "import random, threading\n").replace(
    "        self.count, ", "        self.lock = threading.Lock()\n        self.count, "
)
ONCE = """
import torch
from torch import nn

class PyTorchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(1))

    def __deepcopy__(self, memo):
        raise TypeError("one is enough")

    def forward(self, x):
        self.calls += 1
        return self.fc(x)
"""


def test_a_module_that_cannot_be_copied_is_loaded_again(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A module that cannot be copied, as one with a lock, is loaded again for trial calls."""
    (tmp_path / "net.py").write_text(UNCOPIED)
    torch.save(weights(), tmp_path / "model.pt")

    model = model_of(tmp_path)

    assert model.network.module.count == 0
    assert [each.dtype for each in model.signature.inputs] == [np.float32]


def test_a_module_of_which_there_is_only_one_is_not_tried(
    tmp_path: Path, model_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module without any copy is served without trial calls, so its outputs are unknown."""
    import Model  # the server's modules, found once conftest has run
    import pytorch_look

    (tmp_path / "net.py").write_text(ONCE)
    torch.save(weights(), tmp_path / "model.pt")
    monkeypatch.setattr(pytorch_look, "tried", lambda *_: pytest.fail("it was tried"))
    monkeypatch.setattr("Model.read", only_once(Model.read))

    model = model_of(tmp_path)

    assert model.signature.outputs is None
    assert model.predict(ROWS).shape == (1, 3)
    assert model.network.module.calls.item() == 1


def only_once(read: Callable[..., Any]) -> Callable[..., Any]:
    """A function that reads once, then raises an error as if the file were gone."""
    reads: list[Any] = []

    def read_once(*given: Any) -> Any:
        reads.append(given)
        if len(reads) > 1:
            raise OSError("the file is gone")
        return read(*given)

    return read_once


STATEFUL = """
import collections, itertools
import torch
from torch import nn

class Log:
    def __init__(self):
        self.rows = collections.deque(maxlen=3)

class PyTorchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(1), persistent=False)
        self.count, self.seen, self.log, self.hidden = 0, [], Log(), torch.zeros(3)
        self.numbers = itertools.count()

    def forward(self, x):
        hidden = self.fc(x)
        STEP
        return hidden
"""
STEPS = [
    "self.calls += 1",
    "self.count += 1",
    "self.seen.append(1)",
    "self.log.rows.append(float(len(self.log.rows)) + sum(self.log.rows))",
    "self.hidden = hidden = hidden + self.hidden.sum()",
    "next(self.numbers)",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_module_that_each_call_changes_gets_a_call_for_each_request_and_no_more(
    step: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Requests do not share calls, because testing whether they may would take further calls."""
    (tmp_path / "net.py").write_text(STATEFUL.replace("STEP", step))
    layers = {name: value for name, value in weights().items() if name.startswith("fc")}
    torch.save(layers, tmp_path / "model.pt")

    assert not model_of(tmp_path).batchable


@pytest.mark.parametrize(
    "step",
    ["pass", "self.count = x.shape[1]", "self.calls = self.calls if self.count else hidden[0]"],
)
def test_a_module_that_fills_a_cache_may_answer_requests_together(
    step: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A value that is the same after each call, such as a cache, does not prevent shared calls."""
    (tmp_path / "net.py").write_text(STATEFUL.replace("STEP", step))
    layers = {name: value for name, value in weights().items() if name.startswith("fc")}
    torch.save(layers, tmp_path / "model.pt")

    assert model_of(tmp_path).batchable


@pytest.mark.parametrize("save", WAYS)
def test_as_many_calls_are_counted_as_requests_came(
    save: Callable[[Path], None], tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A counter counts the requests of simultaneous clients, for every format."""
    save(tmp_path)
    model = model_of(tmp_path, allow_pickle="true")

    with serve_here(model) as server, ThreadPoolExecutor(8) as clients:
        rows = [{"data": {"ndarray": [[number, 1, 2, 3]]}} for number in range(40)]
        assert {answer.status_code for answer in clients.map(server.post, rows)} == {200}

    assert calls_of(model.network.module) == 40


def calls_of(module: nn.Module) -> float:
    """What the buffer `calls` has counted."""
    return next(float(each) for name, each in module.named_buffers() if name.endswith("calls"))
