"""Where models run: on the CPU, or on a GPU if there is one; threads; compilation."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, serve
from torch import nn
from torch_nets import Cifar, Mixed, Mlp

from prepackaged.cpus import available_cpus

SERVER = ROOT / "pytorch/server"
ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")


@pytest.mark.parametrize("device", ["", "cpu", "auto"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="without a GPU they all mean the same")
def test_the_cpu_is_used_without_a_gpu(
    device: str, tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """Without a GPU the CPU is used, by default or on request."""
    saved(Mlp)

    model = model_of(tmp_path, device=device)

    assert model.init_metadata()["custom"]["device"] == "cpu"


@needs_gpu
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
@pytest.mark.parametrize("kind", ["weights", "TorchScript", "torch.export"])
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_gpu_answers_as_the_cpu_does(
    kind: str,
    device: str,
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """A GPU gives the CPU's answers."""
    module = saved(Mlp)
    if kind == "TorchScript":
        torch.jit.script(module).save(tmp_path / "model.pt")
    elif kind == "torch.export":
        (tmp_path / "model.pt").unlink()
        program = torch.export.export(module, (torch.zeros(1, 4),))
        torch.export.save(program, tmp_path / "model.pt2")
    model = model_of(tmp_path, device=device)

    answer = model.predict(np.array(ROWS))

    assert answer == pytest.approx(asked(module, ROWS).numpy(), rel=1e-3)
    assert model.init_metadata()["custom"]["device"] == "cuda:0"


@needs_gpu
@pytest.mark.parametrize("microservice", [OURS, UPSTREAM])
def test_a_gpu_is_used_under_both_microservices(
    microservice: str, tmp_path: Path, saved: Callable[..., nn.Module], asked: Callable[..., Any]
) -> None:
    """A GPU works under both microservices; the model is loaded after upstream's fork."""
    module = saved(Mlp)
    with serve(SERVER, program=PROGRAMS / microservice, model_uri=str(tmp_path)) as server:
        answer = server.post({"data": {"ndarray": ROWS}})

    assert np.array(answer.json()["data"]["ndarray"]) == pytest.approx(
        asked(module, ROWS).numpy(), rel=1e-3
    )


@pytest.mark.parametrize("microservice", [OURS, UPSTREAM])
def test_threads_serve_both_microservices(
    microservice: str, tmp_path: Path, saved: Callable[..., nn.Module], asked: Callable[..., Any]
) -> None:
    """Loading starts no threads, whose loss at upstream's fork would hang the first call."""
    module = saved(Cifar)
    pixels = np.random.default_rng(0).random((8, 3, 32, 32))
    with serve(SERVER, program=PROGRAMS / microservice, model_uri=str(tmp_path)) as server:
        answers = [server.post({"data": {"ndarray": pixels.tolist()}}) for _ in range(2)]

    for answer in answers:
        got = np.array(answer.json()["data"]["ndarray"])
        assert got == pytest.approx(asked(module, pixels).numpy(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("told", "threads"), [({}, available_cpus()), ({"OMP_NUM_THREADS": "3"}, 3)]
)
def test_threads_are_as_many_as_the_container_may_use(
    told: dict[str, str], threads: int, tmp_path: Path, saved: Callable[..., nn.Module]
) -> None:
    """The number of threads is the container's limit or the operator's, also on other threads."""
    saved(Mlp)
    program = (
        "import sys, threading; from Model import Model; import torch;"
        "Model(sys.argv[1]); show = lambda: print(torch.get_num_threads());"
        "show(); thread = threading.Thread(target=show); thread.start(); thread.join()"
    )
    environment = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}

    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        cwd=SERVER,
        env=environment | told,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [str(threads)] * 2


@pytest.mark.parametrize("net", [Mlp, Mixed])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_model_answers_as_it_does_uncompiled(
    net: type[nn.Module],
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
) -> None:
    """A compiled model gives the same answers, with a backend that needs no compiler."""
    saved(net)
    rows = {Mlp: np.array(ROWS), Mixed: {"category": [[1], [2]], "size": [[1, 2], [3, 4]]}}[net]
    plain, compiled = model_of(tmp_path), model_of(tmp_path, compile="aot_eager")

    assert type(compiled.network.module).__name__ == "OptimizedModule"
    np.testing.assert_equal(compiled.predict(rows), plain.predict(rows))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_no_request_waits_for_compiling(
    tmp_path: Path, saved: Callable[..., nn.Module], model_of: Callable[..., Any]
) -> None:
    """The model is compiled before the server is ready, for one row and for any other number."""
    saved(Mlp)
    model = model_of(tmp_path, compile="eager")
    counts = torch._dynamo.utils.counters["stats"]
    before = counts["unique_graphs"]

    for count in (1, 2, 30):
        model.predict(np.array(ROWS[:1] * count))

    assert counts["unique_graphs"] == before >= 1
