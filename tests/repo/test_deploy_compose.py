"""The service in deploy/compose.yaml is valid, and its health check works."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from manifests import DEPLOY, documents
from serving import free_ports, serve

import images
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.shutdown import ShutdownTimes

# https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json
KNOWN = {
    "image",
    "ports",
    "volumes",
    "read_only",
    "cap_drop",
    "security_opt",
    "restart",
    "stop_grace_period",
    "healthcheck",
}
HEALTH = {"test", "interval", "timeout", "retries", "start_period", "start_interval"}


@pytest.fixture
def service() -> dict[str, Any]:
    """The only service of the file."""
    (file,) = documents(DEPLOY / "compose.yaml")
    assert set(file) == {"services"}
    return file["services"]["model"]


def test_the_fields_are_those_of_the_specification(service: dict[str, Any]) -> None:
    """All fields are in the Compose specification."""
    assert set(service) == KNOWN
    assert set(service["healthcheck"]) == HEALTH


def test_the_image_and_the_ports_are_the_servers(
    service: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has this release's tag, the default ports, and time for a whole shutdown."""
    monkeypatch.setattr(images, "REGISTRY", "infuseai")
    unset = Config("Model", {})

    assert service["image"] == images.find("sklearn").tags()[0]
    assert service["ports"] == [
        f"{port}:{port}" for port in (unset.http_port, unset.grpc_port, unset.metrics_port)
    ]
    assert service["volumes"] == ["./model:/mnt/models:ro"]
    assert float(service["stop_grace_period"].removesuffix("s")) >= ShutdownTimes().workers


def asked(service: dict[str, Any], port: int) -> int:
    """Run the health check against a port and return its exit status."""
    how, program, *words = service["healthcheck"]["test"]
    assert (how, program) == ("CMD", "python")
    words = [word.replace("localhost:9000", f"localhost:{port}") for word in words]
    return subprocess.run([sys.executable, *words], capture_output=True, check=False).returncode


def test_the_health_check_tells_a_ready_server_from_none(
    service: dict[str, Any], tmp_path: Path
) -> None:
    """The health check uses Python, since the image has no curl, and finds if a server is ready."""
    (tmp_path / "Model.py").write_text("class Model:\n    def predict(self, X, names): return X\n")

    with serve(tmp_path) as server:
        assert asked(service, int(server.url.rpartition(":")[2])) == 0
    assert asked(service, free_ports(1)[0]) == 1
