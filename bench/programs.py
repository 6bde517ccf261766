"""The programs that are compared, one a column of the table."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from pathlib import Path

from bench.samples import INFER, PREDICT, Sample

ROOT = Path(__file__).parents[1]


class Serves(Flag):
    """What a program can answer."""

    MODELS = auto()
    ESTIMATORS = auto()
    TABLES = auto()
    ONE_ANSWER = auto()


@dataclass(frozen=True)
class Program:
    """One column of the table.

    `options` come behind the model's name. `root` is the checkout whose images' servers it runs,
    `programs` the environment in .envs that has the command, where that is not the image's.
    `takes_plain` says whether it serves, in place of an image's Model, the class that its users
    write for the model, and `speaks_infer` whether it has the Open Inference Protocol beside
    Seldon's.
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
        """Whether its command line has the name of the model's class."""
        return bool(self.options)

    def body(self, sample: Sample) -> bytes:
        """The sample's request in the form of the program's protocol."""
        return sample.infer if self.path == INFER else sample.body


OPTIONS = ("--service-type", "MODEL", "--access-log")


def microservice(name: str, program: str, environment: Mapping[str, str]) -> Program:
    """A server with the command line of the images."""
    return Program(name, (program,), environment, options=OPTIONS)


def programs_of(image: str) -> Path:
    """Where the programs of an image's environment are."""
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
# The quickest of what was tried: batches of 32, 64 and 128 after 1, 5 and 20 ms, and with its
# pool of processes.
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
    """A server of others with a model of our own, in the environment of their clients."""
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
    """The microservice of another checkout of the project, in the same environment.

    Packages that it needs and this one does not have may be on PYTHONPATH.
    """
    package = tomllib.loads((checkout / "common/pyproject.toml").read_text())
    module, _, function = package["project"]["scripts"]["prepackaged-microservice"].partition(":")
    start = f"from {module} import {function}; {function}()"
    path = {"PYTHONPATH": f"{checkout}/common/src:{os.environ.get('PYTHONPATH', '')}"}
    return Program("earlier", ("python", "-c", start), path, options=OPTIONS, root=checkout)
