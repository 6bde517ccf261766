"""The cases of the benchmark: models, the load on each, and the warm-up of servers."""

import json
import random
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench import load
from bench.load import Figures
from bench.programs import ROOT, Serves, programs_of
from bench.samples import (
    GRPC_INFER,
    INFER,
    of_image,
    of_records,
    of_rows,
    of_tensor,
    to_infer_protobuf,
    to_protobuf,
)
from bench.servers import MODELS, Model, Server, pss_megabytes, wait_for_answer

TRAINED_IN = {
    "onnx": "dev",
    "tables": "sklearn",
}  # the environments that create models, if they are not the image's
FRAMEWORKS = {
    "xgboost": "100 trees of 28 features",
    "pytorch": "784-128-10 perceptron of PyTorch",
    "tensorflow2": "784-128-10 perceptron of Keras",
    "onnx": "784-128-10 perceptron as ONNX",
}
TABLES = {
    "linear": "a record of 4 numbers and 4 texts",
    "forest": "the same record, 100 trees",
}
TABLE_CONNECTIONS = (1, 32)
CONNECTIONS = (1, 8, 32, 128)
BULK_CONNECTIONS = 8
IMAGE_BYTES = 1_000_000
MEGABYTE = 2**20
SLOW_CLIENTS = 32
SLOW_REQUESTS = 320
WARM_UP = 128  # the number of requests; enough for several batches of all clients
TRAINING_SECONDS = 120

Measure = Callable[[Server], Figures]


@dataclass(frozen=True)
class Case:
    """A measurement of a running server."""

    name: str
    title: str
    measure: Measure


@dataclass
class Group:
    """Cases with one model. Without a warm-up, each server is restarted and runs alone.

    Servers without a model are skipped if `needs_model` is set, and servers without the Open
    Inference Protocol if `needs_infer` is set.
    """

    model: Model
    cases: Sequence[Case]
    warm_up: Measure | None = None
    needs_model: bool = False
    needs_infer: bool = False


def groups(scratch: Path, seconds: int, names: Collection[str]) -> list[Group]:
    """All groups, with loads of this many seconds.

    Only the frameworks in `names` are included, since creating their models takes time.
    """
    iris = trained("sklearn", train("sklearn", scratch))
    wide = trained("sklearn", scratch / "sklearn/wide")
    return [
        alone(iris),
        rows(iris, seconds),
        *tables(scratch, seconds),
        plain(seconds),
        *(framework(image, scratch, seconds) for image in FRAMEWORKS if image in names),
        bulk("wide", "256 rows of 784 numbers", wide, seconds),
        bulk("image-json", "1 MB image as JSON", images(is_multipart=False), seconds),
        bulk("image-file", "1 MB image as a file", images(is_multipart=True), seconds),
        *(tensors(32, 784, seconds, is_binary=each) for each in (False, True)),
        tensors(1, MEGABYTE // 4, seconds, is_binary=True),
        slow(),
    ]


def train(image: str, scratch: Path) -> Path:
    """Run the training script of an image, and return the directory of its model."""
    python = programs_of(TRAINED_IN.get(image, image)) / "python"
    command = [python, MODELS / f"train_{image}.py", scratch / image]
    subprocess.run(command, check=True, timeout=TRAINING_SECONDS)
    return scratch / image


def trained(image: str, directory: Path) -> Model:
    """The image's server with a model from `train`."""
    samples = json.loads((directory / "samples.json").read_text())
    pairs = list(zip(samples["inputs"], samples["answers"], strict=True))
    rows, answer = pairs[0]
    return Model(
        ROOT / image / "server",
        "Model",
        [of_rows(rows, answer) for rows, answer in pairs],
        {"model_uri": str(directory)},
        to_protobuf(rows),
        to_infer_protobuf(rows),
        to_protobuf(answer),
        image,
    )


def trained_on_records(directory: Path) -> Model:
    """The sklearn image's server with a pipeline for records."""
    samples = json.loads((directory / "samples.json").read_text())
    pairs = zip(samples["inputs"], samples["answers"], strict=True)
    return Model(
        ROOT / "sklearn/server",
        "Model",
        [of_records(*pair) for pair in pairs],
        {"model_uri": str(directory)},
        plain="Frame",
    )


def alone(iris: Model) -> Group:
    """Startup time and memory of a server that runs alone and shares no libraries with others."""

    def measure(server: Server) -> Figures:
        start = wait_for_answer(server, iris.samples[0])
        rest = load.rest(server, iris.samples, 32, 1)
        grpc = load.over_grpc(server, iris, 32, 1)
        memory = pss_megabytes(server.process.pid)
        return {"start s": start, "PSS MB": memory, "errors": rest["errors"] + grpc["errors"]}

    return Group(iris, [Case("alone", "start to first answer, memory after load", measure)])


def rows(iris: Model, seconds: int) -> Group:
    """Requests with one row of four columns."""
    cases = [
        Case(
            f"rest-{clients}",
            f"1 row, REST, {clients} connection{'s'[: clients > 1]}",
            partial(load.rest, samples=iris.samples, clients=clients, seconds=seconds),
        )
        for clients in CONNECTIONS
    ]
    varied = partial(load.rest, samples=iris.samples, clients=32, seconds=seconds, is_varied=True)
    cases.append(Case("rest-varied", "1 row, REST, 32 connections, ids in headers", varied))
    over_grpc = partial(load.over_grpc, model=iris, clients=32, seconds=seconds)
    cases.append(Case("grpc-32", "1 row, gRPC, 32 connections", over_grpc))
    cases += infer(iris, seconds)
    warm_up = partial(load.rest, samples=iris.samples, clients=32, seconds=1)
    return Group(iris, cases, warm_up)


def infer(iris: Model, seconds: int) -> list[Case]:
    """Requests with one row in the Open Inference Protocol, for servers that support it."""

    def over_grpc(server: Server) -> Figures:
        if not server.program.speaks_infer or server.program.serves is Serves.ONE_ANSWER:
            return {}
        return load.over_grpc(server, iris, 32, seconds, path=GRPC_INFER)

    return [
        Case(
            "v2-rest",
            "1 row, Open Inference Protocol, REST, 32 connections",
            partial(over_infer, samples=iris.samples, clients=32, seconds=seconds),
        ),
        Case("v2-grpc", "1 row, Open Inference Protocol, gRPC, 32 connections", over_grpc),
    ]


def over_infer(server: Server, **how: Any) -> Figures:
    """Load REST in the Open Inference Protocol, if the server supports it."""
    if not server.program.speaks_infer:
        return {}
    return load.rest(replace(server, program=replace(server.program, path=INFER)), **how)


def tensors(rows: int, columns: int, seconds: int, *, is_binary: bool) -> Group:
    """An array of float32 in the Open Inference Protocol."""
    arrays = np.random.default_rng(0).integers(0, 256, (2, rows, columns)).astype("<f4") / 256
    answers = [each[:, :1].tolist() for each in arrays]
    samples = [
        of_tensor(each, answer, is_binary=is_binary)
        for each, answer in zip(arrays, answers, strict=True)
    ]
    kind = "binary" if is_binary else "json"
    loaded = partial(over_infer, samples=samples, clients=BULK_CONNECTIONS)
    title = f"[{rows}, {columns}] of float32, Open Inference Protocol in {kind}"
    case = Case(f"v2-{kind}-{rows}", title, partial(loaded, seconds=seconds))
    model = Model(MODELS, "First", [of_rows(answers[0], answers[0])])
    warm_up = partial(loaded, seconds=1)
    return Group(model, [case], warm_up, needs_model=rows > 1, needs_infer=True)


def tables(scratch: Path, seconds: int) -> list[Group]:
    """Requests with one record, for pipelines on DataFrames."""
    directory = train("tables", scratch)
    return [table(directory / name, title, seconds) for name, title in TABLES.items()]


def table(directory: Path, title: str, seconds: int) -> Group:
    """Requests with one record, for the pipeline in this directory."""
    model = trained_on_records(directory)
    loaded = partial(load.rest, samples=model.samples)
    cases = [
        Case(
            f"{directory.name}-{clients}",
            f"{title}, REST, {clients} connection{'s'[: clients > 1]}",
            partial(loaded, clients=clients, seconds=seconds),
        )
        for clients in TABLE_CONNECTIONS
    ]
    return Group(model, cases, partial(loaded, clients=32, seconds=1), needs_model=True)


def plain(seconds: int) -> Group:
    """A class without declarations, which is called on its own thread for one request at a time."""
    samples = [of_rows([[each, 0.5]], [[each, 0.5]]) for each in range(8)]
    loaded = partial(load.rest, samples=samples, clients=32)
    case = Case("plain", "a plain class, REST, 32 connections", partial(loaded, seconds=seconds))
    model = Model(MODELS, "Plain", samples)
    return Group(model, [case], partial(loaded, seconds=1), needs_model=True)


def framework(image: str, scratch: Path, seconds: int) -> Group:
    """Requests with one row, for a small model of the image's framework."""
    title, model = FRAMEWORKS[image], trained(image, train(image, scratch))
    loaded = partial(load.rest, samples=model.samples, clients=32)
    case = Case(image, f"{title}, REST, 32 connections", partial(loaded, seconds=seconds))
    return Group(model, [case], partial(loaded, seconds=1))


def bulk(name: str, title: str, model: Model, seconds: int) -> Group:
    """Large requests, for which only the rate and the median latency are measured."""
    loaded = partial(load.rest, samples=model.samples, clients=BULK_CONNECTIONS)

    def measure(server: Server) -> Figures:
        figures = loaded(server, seconds=seconds)
        return {key: figures[key] for key in ("req/s", "p50 ms", "errors") if key in figures}

    case = Case(name, f"{title}, REST, {BULK_CONNECTIONS} connections", measure)
    return Group(model, [case], partial(loaded, seconds=1))


def images(*, is_multipart: bool) -> Model:
    """A model that accepts images and only returns their size."""
    numbers = random.Random(0)  # noqa: S311  # incompressible bytes, the same in every run
    content = [numbers.randbytes(IMAGE_BYTES + more) for more in range(2)]
    samples = [of_image(each, is_multipart=is_multipart) for each in content]
    return Model(MODELS, "Image", samples)


def slow() -> Group:
    """A model that takes 20 ms per call; servers that support batching can batch its requests."""
    samples = [of_rows([[each, 0]], [[each, 0]]) for each in range(SLOW_REQUESTS)]
    measure = partial(load.with_pings, samples=samples, clients=SLOW_CLIENTS)
    title = f"20 ms a call, {SLOW_REQUESTS} requests, {SLOW_CLIENTS} connections"
    warm_up = partial(load.with_pings, samples=samples[:WARM_UP], clients=SLOW_CLIENTS)
    model = Model(MODELS, "Slow", samples)
    return Group(model, [Case("slow", title, measure)], warm_up, needs_model=True)
