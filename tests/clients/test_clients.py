"""Clients that others publish, each in a process of its own, against our server."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import ROOT, Server, serve

HERE = Path(__file__).parent
PYTHON = ROOT / ".envs/clients/bin/python"
NUMBERS = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")
TYPED = (*NUMBERS, "FP32", "FP64", "BYTES")
EVERY = (*TYPED, "FP16")
REFUSED = "the server has one model, from its start to its end; it is not loaded by request"
UNKNOWN = "there is no model 'other' here; 'm x' is served"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that echoes, under a name that clients escape."""
    os.environ["PREPACKAGED_MODEL_NAME"] = "m x"
    try:
        with serve(HERE / "models", "Echo") as started:
            yield started
    finally:
        del os.environ["PREPACKAGED_MODEL_NAME"]


def outcomes(server: Server, program: str) -> Any:
    """What a program of clients reports."""
    command = [str(PYTHON), str(HERE / program), server.url, server.grpc]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def same(*kinds: tuple[str, tuple[str, ...]]) -> dict[str, str]:
    """Each of these datatypes is answered unchanged, in each of these ways."""
    return {f"{way} {name}": "same" for way, names in kinds for name in names}


def test_tritonclient_over_rest(server: Server) -> None:
    """Every datatype in JSON and binary, compressed both ways, health, metadata and errors."""
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
        "sequence": "400 parameters.sequence_id: sequences of requests are not offered",
        "other": f"404 {UNKNOWN}",
        "version": "404 model 'm x' has version '1' here, not '7'",
    }


def test_tritonclient_over_rest_with_asyncio(server: Server) -> None:
    """Which declares JSON as octet-stream, and offers codings that it cannot read."""
    assert outcomes(server, "triton_http_aio.py") == {
        "binary FP32": True,
        "json FP32": True,
        "ready": True,
        "metadata": "m x",
    }


def test_tritonclient_over_grpc(server: Server) -> None:
    """Every datatype, raw as the client sends it and typed by the stub that it is made of."""
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
    """Over REST in JSON and binary, and over gRPC."""
    assert outcomes(server, "kserve_clients.py") == {
        **same(("binary", EVERY), ("json", TYPED), ("grpc", EVERY)),
        "live": True,
        "ready": True,
        "model ready": True,
        "grpc ready": True,
        "grpc model ready": True,
        "refused": "expected at least one input",
    }
