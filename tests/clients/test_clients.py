"""Published clients, each in a process of its own, against our server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients_of_others import reported
from serving import ROOT, Server, serve

HERE = Path(__file__).parent
NUMBERS = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")
TYPED = (*NUMBERS, "FP32", "FP64", "BYTES")
EVERY = (*TYPED, "FP16")
REFUSED = "loading a model by request is off: expected PREPACKAGED_REPOSITORY_API=true"
UNKNOWN = "there is no model 'other' here; 'm x' is served"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that echoes, with a model name that clients have to escape."""
    os.environ["PREPACKAGED_MODEL_NAME"] = "m x"
    try:
        with serve(HERE / "models", "Echo") as started:
            yield started
    finally:
        del os.environ["PREPACKAGED_MODEL_NAME"]


def outcomes(server: Server, program: str) -> Any:
    """Run a client program and return the outcomes that it prints."""
    return reported(program, server.url, server.grpc)


def same(*kinds: tuple[str, tuple[str, ...]]) -> dict[str, str]:
    """Expected outcomes: these datatypes come back unchanged in these ways."""
    return {f"{way} {name}": "same" for way, names in kinds for name in names}


def test_tritonclient_over_rest(server: Server) -> None:
    """JSON and binary work for every datatype, also compressed, and health, metadata and errors."""
    assert outcomes(server, "triton_http.py") == {
        **same(("binary", EVERY), ("json", TYPED)),
        "gzip": "same",
        "deflate": "same",
        "live": True,
        "ready": True,
        "model ready": True,
        "other model ready": False,
        "metadata": "m x",
        "config": "m x",
        "index": ["READY"],
        "load": f"403 {REFUSED}",
        "sequence": "400 expected no parameters.sequence_id: sequences are not supported",
        "other": f"404 {UNKNOWN}",
        "version": "404 model 'm x' has version '1' here, not '7'",
    }


def test_tritonclient_over_rest_with_asyncio(server: Server) -> None:
    """JSON and metadata work despite octet-stream and codings that the client cannot decode."""
    assert outcomes(server, "triton_http_aio.py") == {
        "binary FP32": True,
        "json FP32": True,
        "ready": True,
        "metadata": "m x",
    }


def test_tritonclient_over_grpc(server: Server) -> None:
    """Raw and typed contents work for every datatype, and health, metadata and errors."""
    assert outcomes(server, "triton_grpc.py") == {
        **same(("raw", EVERY), ("typed", TYPED)),
        "live": True,
        "ready": True,
        "model ready": True,
        "other model ready": False,
        "metadata": "m x",
        "index": ["READY"],
        "load": f"StatusCode.PERMISSION_DENIED {REFUSED}",
        "statistics": (
            "StatusCode.UNIMPLEMENTED there is no /inference.GRPCInferenceService/ModelStatistics"
        ),
        "other": f"StatusCode.NOT_FOUND {UNKNOWN}",
    }


def test_kserves_clients(server: Server) -> None:
    """JSON, binary and gRPC work for every datatype, and health and errors."""
    assert outcomes(server, "kserve_clients.py") == {
        **same(("binary", EVERY), ("json", TYPED), ("grpc", EVERY)),
        "live": True,
        "ready": True,
        "model ready": True,
        "grpc ready": True,
        "grpc model ready": True,
        "refused": "expected at least one input",
    }


def test_kserve_knows_every_field_of_our_files() -> None:
    """KServe's and Kubernetes' classes have every field of deploy/kserve, with the right type."""
    files = sorted((ROOT / "deploy/kserve").iterdir())

    assert reported("kserve_fields.py", *files) == {"unknown": []}


def test_kserve_does_not_know_what_is_misspelt(tmp_path: Path) -> None:
    """The check finds a misspelt field of KServe's, one of the pod's, and a text for a number."""
    text = (ROOT / "deploy/kserve/sklearn.yaml").read_text()
    for right, wrong in (
        ("storageUri", "storageURI"),
        ("preStop", "prestop"),
        ("scaleTarget: 70", "scaleTarget: '70'"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    (tmp_path / "wrong.yaml").write_text(text)

    place = "wrong.yaml: InferenceService.spec.predictor"
    assert reported("kserve_fields.py", tmp_path / "wrong.yaml") == {
        "unknown": [
            f"{place}.scaleTarget: expected int, got '70'",
            f"{place}.model: no 'storageURI' in V1beta1ModelSpec",
            f"{place}.model.lifecycle: no 'prestop' in V1Lifecycle",
        ]
    }


def test_the_codecs_of_mlserver(server: Server) -> None:
    """Values that MLServer's codecs encode come back equal when its codecs decode them."""
    assert reported("mlserver_codecs.py", server.url, environment="mlserver") == {
        "numpy request": True,
        "numpy": True,
        "string request": True,
        "string": True,
        "base64": True,
        "datetime": ["2024-02-29T12:30:00+00:00"],
    }
