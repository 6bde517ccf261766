"""The servers that the benchmark compares, one for each column of the table."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from pathlib import Path

from bench.samples import INFER, PREDICT, Sample

ROOT = Path(__file__).parents[1]


class Serves(Flag):
    """The models that a program can serve."""

    MODELS = auto()
    ESTIMATORS = auto()
    TABLES = auto()
    ONE_ANSWER = auto()


@dataclass(frozen=True)
class Program:
    """The program of one column of the table.

    `options` are the arguments after the model's name. `root` is the checkout that has the servers
    of the images, and `programs` the environment in .envs that has the command, if it is not the
    image's. `takes_plain` says whether it serves the class that its users would write instead of an
    image's Model, and `speaks_infer` whether it supports the Open Inference Protocol.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    serves: Serves = Serves.MODELS
    options: tuple[str, ...] = ()
    root: Path = ROOT
    programs: str = ""
    path: str = PREDICT
    takes_plain: bool = False
    speaks_infer: bool = False

    @property
    def names_model(self) -> bool:
        """Whether the command line contains the name of the model's class."""
        return bool(self.options)

    def body(self, sample: Sample) -> bytes:
        """The body of the sample in the program's protocol."""
        return sample.infer if self.path == INFER else sample.body


OPTIONS = ("--service-type", "MODEL", "--access-log")


def microservice(name: str, program: str, environment: Mapping[str, str]) -> Program:
    """A server with the command line of the images."""
    return Program(name, (program,), environment, options=OPTIONS)


def trainable_images() -> list[str]:
    """The images in images.toml for which the benchmark has a script that trains a model."""
    names = tomllib.loads((ROOT / "images.toml").read_text())
    return [name for name in names if (ROOT / f"bench/models/train_{name}.py").exists()]


def programs_of(image: str) -> Path:
    """The directory of the programs in an image's environment."""
    return ROOT / f".envs/{image}/bin"


UPSTREAM = "upstream"
TUNED = {
    "GUNICORN_WORKERS": "2",
    "GUNICORN_THREADS": "8",
    "GRPC_WORKERS": "2",
    "GRPC_THREADS": "8",
}
PUBLISHED = microservice(UPSTREAM, "seldon-core-microservice", {})
OURS = replace(microservice("ours", "prepackaged-microservice", {}), speaks_infer=True)
BARE = ("python", str(ROOT / "bench/bare.py"))
ALL = (
    replace(PUBLISHED, takes_plain=True),
    replace(PUBLISHED, name="upstream tuned", environment=TUNED, takes_plain=True),
    replace(PUBLISHED, name="upstream, our Model", serves=Serves.TABLES),
    OURS,
    Program("bare", BARE, serves=Serves.ONE_ANSWER, speaks_infer=True),
    Program("bare with model", (*BARE, "--model"), serves=Serves.ESTIMATORS),
)
# The fastest of the settings that were tried: batches of 32, 64 and 128 rows, waits of 1, 5 and
# 20 ms, with and without MLServer's process pool.
BATCHING = {
    "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
    "MLSERVER_MODEL_NAME": "model",
    "MLSERVER_MODEL_MAX_BATCH_SIZE": "32",
    "MLSERVER_MODEL_MAX_BATCH_TIME": "0.005",
    "MLSERVER_PARALLEL_WORKERS": "0",
}
MLSERVER = Program(
    "MLServer",
    ("mlserver", "start", "."),
    BATCHING,
    Serves.TABLES | Serves.ESTIMATORS,
    programs="mlserver",
    path=INFER,
    speaks_infer=True,
)


def peer(name: str) -> Program:
    """Another project's server with the same estimator, in the environment of the clients."""
    script = str(ROOT / f"bench/models/serve_{name.lower()}.py")
    return Program(
        name,
        ("python", script),
        serves=Serves.ESTIMATORS,
        programs="clients",
        path=INFER,
        speaks_infer=True,
    )


PEERS = {"mlserver": MLSERVER, "kserve": peer("KServe"), "triton": peer("Triton")}


def earlier(checkout: Path) -> Program:
    """The server of another checkout of this project, in the same environment.

    PYTHONPATH may name further packages that it needs.
    """
    package = tomllib.loads((checkout / "common/pyproject.toml").read_text())
    module, _, function = package["project"]["scripts"]["prepackaged-microservice"].partition(":")
    start = f"from {module} import {function}; {function}()"
    path = {"PYTHONPATH": f"{checkout}/common/src:{os.environ.get('PYTHONPATH', '')}"}
    return Program("earlier", ("python", "-c", start), path, options=OPTIONS, root=checkout)
