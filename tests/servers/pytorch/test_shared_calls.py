"""Requests share a call only if trial calls to a copy, at load or with a request, allow it.

The modules here take inputs whose shape neither their layers nor trial calls at load reveal.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serving import Server
from torch import Tensor, nn

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
AS = pytest.mark.parametrize("is_script", [False, True], ids=["pickle", "TorchScript"])
SHAPE = (7, 11)
CLIENTS = 12


class Grid(nn.Module):
    """Takes rows of 7 by 11 numbers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(77, 2)
        self.calls = 0
        self.register_buffer("counter", torch.zeros(1))

    def hidden(self, x: Tensor) -> Tensor:
        assert x.dim() == 3
        assert x.size(1) == 7
        assert x.size(2) == 11
        return self.layer(x.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden(x)


class Counting(Grid):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.hidden(x) * 0 + self.calls


class Buffered(Grid):
    def forward(self, x: Tensor) -> Tensor:
        self.counter += 1
        return self.hidden(x) * 0 + self.counter


class Centred(Grid):
    def forward(self, x: Tensor) -> Tensor:
        return self.hidden(x - x.mean(0, keepdim=True))


class Lists(Grid):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [row[row > 0.5] for row in x * (self.hidden(x) * 0 + 1).sum() / (2 * len(x))]


def saved(net: type[nn.Module], path: Path, *, is_script: bool) -> Any:
    """Save the module as a pickle or as TorchScript, and return it."""
    torch.manual_seed(0)
    module = net().eval()
    if is_script:
        torch.jit.script(module).save(path / "model.pt")
    else:
        torch.save(module, path / "model.pt")
    return module


def rows(count: int) -> list[Any]:
    """Requests of one row each."""
    return np.random.default_rng(0).random((count, 1, *SHAPE), dtype=np.float32).tolist()


def at_once(server: Server, requests: list[Any]) -> list[Any]:
    """The answers to simultaneous requests, in their order."""

    def ask(values: Any) -> Any:
        return server.post({"data": {"ndarray": values}}).json()["data"]["ndarray"]

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(ask, requests))


@AS
@pytest.mark.parametrize("net", [Counting, Buffered])
def test_an_untried_module_that_counts_its_calls_counts_the_requests(
    net: type[nn.Module],
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    server_on: Callable[..., Server],
) -> None:
    """Neither a comparison of batches nor a trial call is counted."""
    saved(net, tmp_path, is_script=is_script)
    server = server_on(tmp_path, allow_pickle="true")

    counts = sorted(answer[0][0] for answer in at_once(server, rows(30)))

    assert counts == list(range(1, 31))


@AS
def test_an_untried_module_shares_calls_after_its_first_request(
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """With the values of a request, trial calls show that rows are independent."""
    module = saved(Grid, tmp_path, is_script=is_script)
    model = model_of(tmp_path, allow_pickle="true")
    (row,) = rows(1)
    may_share = [model.batchable]

    answer = model.predict(row)

    may_share.append(model.batchable)
    assert may_share == [False, True]
    np.testing.assert_allclose(answer, module(torch.tensor(row)).detach(), rtol=1e-5)


@AS
@pytest.mark.parametrize("net", [Grid, Centred])
def test_untried_modules_answer_simultaneous_requests_as_pytorch_does(
    net: type[nn.Module],
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    server_on: Callable[..., Server],
) -> None:
    """Whether rows are independent or not, each request gets the answer that it gets alone."""
    module = saved(net, tmp_path, is_script=is_script)
    requests = rows(40)

    answers = at_once(server_on(tmp_path, allow_pickle="true"), requests)

    expected = [module(torch.tensor(row)).detach().numpy() for row in requests]
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)


@AS
def test_an_untried_module_whose_rows_influence_each_other_never_shares_calls(
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """A module that subtracts the mean over its rows is called for each request."""
    saved(Centred, tmp_path, is_script=is_script)
    model = model_of(tmp_path, allow_pickle="true")

    model.predict(rows(1)[0])

    assert not model.batchable


@AS
def test_an_untried_module_answers_lists_by_row(
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """A list with a tensor for each row is one output, as after a trial at load."""
    saved(Lists, tmp_path, is_script=is_script)
    model = model_of(tmp_path, allow_pickle="true")
    several = np.concatenate(rows(3))

    answer = model.predict(several)

    assert len(answer) == 3
    for got, row in zip(answer, several, strict=True):
        np.testing.assert_allclose(got, row[row > 0.5], rtol=1e-5)


class CentredRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x - x.mean(0, keepdim=True))


class Ranked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.argsort(0)


@AS
@pytest.mark.parametrize("net", [CentredRows, Ranked])
def test_a_trial_at_load_finds_rows_that_influence_each_other(
    net: type[nn.Module],
    is_script: bool,  # noqa: FBT001  a case
    tmp_path: Path,
    model_of: Callable[..., Any],
) -> None:
    """Two different rows are answered together as alone, or requests never share a call."""
    saved(net, tmp_path, is_script=is_script)

    assert not model_of(tmp_path, allow_pickle="true").batchable
