"""The pod of PrimeHub's controller on its smallest instance, from start to end."""

from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from lives import Life
from samples import Sample, main_file

Begun = dict[str, Future[Any]]
EITHER = ["PrimeHub", "PrimeHub, upstream"]
PREDICTED = ('"POST /predict" 200', '"gRPC /seldon.protos.Model/Predict" OK')


@pytest.fixture(params=EITHER)
def life(request: pytest.FixtureRequest, begun: Begun) -> Life:
    """The record of a pod, with our server or upstream's."""
    return begun[request.param].result()


def assert_answered(life: Life, form: str, kind: str, sample: Sample) -> None:
    """Check that a documented request got the right values in the documented format."""
    if form not in life.documented:
        pytest.skip("this model does not take it, or it is a fork's")
    response = life.documented[form]
    assert response.status_code == 200
    if sample.answer is None:
        return
    if isinstance(sample.answer, str):
        assert response.json()["strData"] == sample.answer
        return
    data = response.json()["data"]
    assert data.keys() - {"names"} == {kind}
    rows = data[kind]
    if kind == "tensor":
        assert rows["shape"] == [*np.shape(sample.answer)]
        rows = np.reshape(rows["values"], rows["shape"])
    np.testing.assert_allclose(rows, sample.answer, rtol=1e-4)


def test_whoever_connects_first_is_answered(life: Life) -> None:
    """Once a TCP probe succeeds, the first request is answered."""
    assert life.first.strip() == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("form", ["ndarray", "tensor"])
def test_rows_are_answered_as_they_were_sent(life: Life, form: str, sample: Sample) -> None:
    """Nested lists are answered with nested lists and a tensor with a tensor, with right values."""
    assert_answered(life, form, form, sample)


def test_a_picture_is_answered_with_a_tensor(life: Life, sample: Sample) -> None:
    """A picture sent with `curl -F binData=@test_image.png` gets the same answer as its pixels."""
    assert_answered(life, "picture", "tensor", sample)


def test_the_answer_names_the_image(life: Life, tag: str) -> None:
    """The answer's requestPath has the image, as in PrimeHub's documents."""
    assert life.documented["ndarray"].json()["meta"] == {"requestPath": {"model": tag}}


def test_requests_are_answered_while_the_hook_runs(life: Life) -> None:
    """Requests are answered during the preStop hook, when some nodes still send them."""
    assert life.while_hooked > 0


def test_the_pod_ends_before_it_is_killed(begun: Begun) -> None:
    """The hook and the shutdown fit into the grace period; upstream's may not on a busy machine."""
    assert begun["PrimeHub"].result().status == 0


@pytest.mark.parametrize("pod", ["PrimeHub", "OpenShift"])
def test_no_request_is_lost_at_the_end(begun: Begun, pod: str) -> None:
    """No request is lost: every prediction reached its client, and every request was answered.

    Clients send requests without a pause during the preStop hook and SIGTERM, on open connections
    and over gRPC. On a connection that is open at SIGTERM each request is answered, the last one
    with `Connection: close`; a gRPC call is answered, or refused before it is read. So the pod's
    log has as many answers as the clients counted, plus the one to the probe.

    New connections are refused after SIGTERM, and idle ones are closed soon, because the Service
    has sent nothing to the pod for 10 s by then. Upstream's server keeps no connection open, and
    does not answer clients that connect during its shutdown.
    """
    life = begun[pod].result()

    assert sum(map(life.log.count, PREDICTED)) == life.answered + 1
    assert (life.status, "ERROR" in life.log) == (0, False)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("missing", "model directory /mnt/models has no model: expected"),
        ("of another kind", "found model.gguf"),
        ("damaged", "model file /phfs/flowers/{file} "),
    ],
)
def test_a_wrong_model_ends_the_pod_with_a_clear_last_line(
    begun: Begun, sample: Sample, what: str, line: str
) -> None:
    """A wrong model gives exit status 1, and the last line names the file and what is wrong."""
    if what not in begun:
        pytest.skip("there is no model that could be wrong, or it is a fork's")
    failure = begun[what].result()

    assert line.format(file=main_file(sample.model).name) in failure.last_line
    assert failure.status == 1
