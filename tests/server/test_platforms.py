"""The server as SageMaker and Vertex AI start it, as real processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests
from serving import OURS, PROGRAMS, end, free_ports, wait_until_answering
from waiting import wait_until

MODELS = Path(__file__).parent / "models"
SERVE = [sys.executable, "-c", "from prepackaged.server.runtime.sagemaker import main; main()"]
MICROSERVICE = [str(PROGRAMS / OURS), "Where"]

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start a command with these variables on a free port, and return its URL once it answers."""
    with ExitStack() as stack:

        def run(
            command: list[str], port_variable: str, *, is_ready: bool = True, **variables: str
        ) -> str:
            port, metrics = free_ports(2)
            ports = {port_variable: str(port), "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics)}
            log = tmp_path / "log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    command,
                    cwd=MODELS,
                    env=os.environ | ports | variables,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            stack.callback(end, process)
            url = f"http://localhost:{port}"
            if is_ready:
                wait_until_answering(url, lambda: process.poll() is None, log.read_text)
            return url

        yield run


def test_sagemaker_gets_its_port_and_its_model(run: Run, tmp_path: Path) -> None:
    """`serve` listens on SageMaker's port and loads the model from SageMaker's directory."""
    url = run(SERVE, "SAGEMAKER_BIND_TO_PORT", MODEL_NAME="Where")

    assert requests.get(f"{url}/ping", timeout=60).status_code == 200
    csv = {"Content-Type": "text/csv", "Accept": "text/csv"}
    answer = requests.post(f"{url}/invocations", data="5.1,3.5\n4.9,3.0\n", headers=csv, timeout=60)
    assert (answer.status_code, answer.text) == (200, "/opt/ml/model\n/opt/ml/model\n")
    # Each request is in the log, as with the images' own command.
    wait_until(lambda: '"POST /invocations" 200' in (tmp_path / "log").read_text())


def test_sagemakers_defaults_give_way_to_settings(run: Run) -> None:
    """Seldon's port variable and parameters override SageMaker's defaults."""
    parameters = '[{"name": "model_uri", "value": "/elsewhere", "type": "STRING"}]'
    url = run(
        SERVE,
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
        MODEL_NAME="Where",
        PREDICTIVE_UNIT_PARAMETERS=parameters,
    )

    body = {"instances": [1, 2]}
    assert requests.post(f"{url}/invocations", json=body, timeout=60).json() == {
        "predictions": ["/elsewhere", "/elsewhere"]
    }


@pytest.mark.parametrize(
    ("predict", "health"),
    [
        ("/v1/endpoints/1/deployedModels/2:predict", "/v1/endpoints/1/deployedModels/2"),
        ("/predict", "/health/ping"),
    ],
)
def test_vertex_ai_gets_its_port_and_its_routes(run: Run, predict: str, health: str) -> None:
    """The server uses Vertex AI's port and routes; these override its own routes."""
    url = run(
        MICROSERVICE,
        "AIP_HTTP_PORT",
        AIP_PREDICT_ROUTE=predict,
        AIP_HEALTH_ROUTE=health,
        AIP_STORAGE_URI="/model",
        GRPC_WORKERS="0",
    )
    wait_until(lambda: requests.get(url + health, timeout=60).status_code == 200)

    assert requests.get(url + health, timeout=60).text == '{"ready":true}'
    body = {"instances": [[1], [2]], "parameters": {"confidence": 0.5}}
    assert requests.post(url + predict, json=body, timeout=60).json() == {
        "predictions": ["/model", "/model"]
    }
    wrong = requests.post(url + predict, json={"rows": []}, timeout=60)
    assert (wrong.status_code, wrong.json()) == (
        400,
        {"error": "expected one of instances, inputs in the body, got an object with rows"},
    )


def test_vertex_ai_finds_the_port_open_while_the_model_loads(run: Run, tmp_path: Path) -> None:
    """The port opens before the model is loaded: Vertex AI allows a container 40 seconds."""
    url = run(
        [*MICROSERVICE[:1], "Loads"],
        "AIP_HTTP_PORT",
        AIP_PREDICT_ROUTE="/predictions",
        AIP_HEALTH_ROUTE="/state",
        GRPC_WORKERS="0",
        PREDICTIVE_UNIT_PARAMETERS=f'[{{"name":"directory","value":"{tmp_path}","type":"STRING"}}]',
        is_ready=False,
    )

    def state() -> int | None:
        with suppress(requests.ConnectionError):
            return requests.get(f"{url}/state", timeout=60).status_code
        return None

    wait_until(lambda: state() == 503)
    refused = requests.post(f"{url}/predictions", json={"instances": [1]}, timeout=60)
    assert (refused.status_code, refused.json()) == (503, {"error": "the model is being loaded"})
    (tmp_path / "open").touch()
    wait_until(lambda: state() == 200)


def test_a_model_in_a_bucket_ends_the_start_in_one_line(run: Run, tmp_path: Path) -> None:
    """A model URI in a bucket ends the start, and the last line says what to do."""
    run(MICROSERVICE, "AIP_HTTP_PORT", AIP_STORAGE_URI="gs://bucket/model", is_ready=False)
    log = tmp_path / "log"
    wait_until(lambda: "downloads nothing" in log.read_text())

    assert "AIP_STORAGE_URI: expected a directory, got gs://bucket/model" in log.read_text()
    assert "Traceback" not in log.read_text()
