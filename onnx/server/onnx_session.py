"""Open an onnxruntime session for a model file and the deployment's parameters."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnxruntime
from onnx_file import Outline

from prepackaged import Artifact, DeploymentError
from prepackaged.cpus import available_cpus
from prepackaged.devices import choose_device
from prepackaged.parameters import wrong_parameter

CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
LEVELS = {
    "disabled": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
MODES = {
    "sequential": onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
    "parallel": onnxruntime.ExecutionMode.ORT_PARALLEL,
}
ERRORS_ONLY = 3  # onnxruntime's severity level for errors


@dataclass(frozen=True)
class Settings:
    """The parameters for onnxruntime.

    `providers` is a comma-separated list of execution providers, the preferred one first, with or
    without `ExecutionProvider` in their names. The default is CUDA's provider if `device` is
    a GPU, else the CPU's. The other parameters are onnxruntime's options of the same names.
    """

    device: str | None = None
    providers: str | None = None
    graph_optimization_level: str | None = None
    execution_mode: str | None = None
    intra_op_num_threads: str | int | None = None
    inter_op_num_threads: str | int | None = None

    def chosen_providers(self) -> list[tuple[str, dict[str, str]]]:
        """Execution providers by name, each with its options.

        Raises `DeploymentError` for a device or a provider that is not available.
        """
        place = choose_device(self.device, [] if self.device == "cpu" else gpus())
        usual = CPU if place == "cpu" else f"{CUDA},{CPU}"
        number = place.partition(":")[2]
        options = {"device_id": number} if number else {}
        names = map(_provider, (self.providers or usual).split(","))
        return [(name, options if name in (CUDA, TENSORRT) else {}) for name in names]

    def session_options(self) -> onnxruntime.SessionOptions:
        """Options for one session; by default with one thread for each available processor.

        Idle threads sleep. With spinning, onnxruntime's default, a small model took 20 times the
        processor time at 100 requests a second.

        Raises `DeploymentError` for values that onnxruntime does not accept.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.graph_optimization_level = _one_of(
            LEVELS, "graph_optimization_level", self.graph_optimization_level or "all"
        )
        options.execution_mode = _one_of(
            MODES, "execution_mode", self.execution_mode or "sequential"
        )
        options.intra_op_num_threads = _threads("intra_op_num_threads", self.intra_op_num_threads)
        options.inter_op_num_threads = _threads("inter_op_num_threads", self.inter_op_num_threads)
        for pool in ("intra_op", "inter_op"):
            options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
        return options


def is_made_for_cuda() -> bool:
    """Whether this is onnxruntime's build for CUDA, with or without a GPU."""
    return CUDA in onnxruntime.get_available_providers()


def gpus() -> list[str]:
    """The GPUs that this onnxruntime can use, as `cuda:0`, `cuda:1` and so on."""
    found: list[str] = []
    if is_made_for_cuda():
        onnxruntime.preload_dlls()  # CUDA's libraries, if they are Python packages
        for number in count():
            try:  # onnxruntime has no function that lists GPUs
                onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(1), "cuda", number)
            except Exception:
                break
            found.append(f"cuda:{number}")
    return found


def open_session(
    artifact: Artifact, outline: Outline | None, settings: Settings
) -> onnxruntime.InferenceSession:
    """Open the model in a session; `outline` is None for a file in onnxruntime's own format.

    Raises `DeploymentError` for a model that this onnxruntime cannot run, for missing files of
    weights, and for a provider that does not work.
    """
    options, providers = settings.session_options(), settings.chosen_providers()
    # Set the format: onnxruntime relies on the suffix, which the target of a link may lack.
    options.add_session_config_entry("session.load_model_format", "ONNX" if outline else "ORT")
    with artifact.reading(), _weights(artifact, outline, options):
        try:
            session = onnxruntime.InferenceSession(
                artifact.path, options, providers=providers, enable_fallback=0
            )
        except Exception as error:
            raise DeploymentError(_why(error, artifact, outline)) from error
    _check_providers(session, [name for name, _ in providers])
    return session


def reason(error: Exception) -> str:
    """The message of an onnxruntime error in one line, without locations in its source code."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    text = re.sub(r"Non-zero status code .* running (\w+) node.*?Message: ", r"\1: ", text)
    return re.sub(r"/\S+:\d+ .*?\)(?: const)? (?=\S)", "", text)


def _provider(asked: str) -> str:
    available = onnxruntime.get_available_providers()
    short = asked.strip().removesuffix("ExecutionProvider").lower()
    for name in available:
        if name.removesuffix("ExecutionProvider").lower() == short:
            return str(name)
    raise DeploymentError(
        f"the parameter providers names {asked.strip()!r}; this onnxruntime has"
        f" {', '.join(available)}"
    )


def _one_of(choices: dict[str, Any], parameter: str, asked: str) -> Any:
    if asked.lower() not in choices:
        raise wrong_parameter(parameter, f"one of {', '.join(choices)}", asked)
    return choices[asked.lower()]


def _threads(parameter: str, asked: str | int | None) -> int:
    if asked is None or asked == "":
        return available_cpus()
    if not str(asked).isdecimal() or int(asked) < 1:
        raise wrong_parameter(parameter, "a number from 1", asked)
    return int(asked)


def _why(error: Exception, artifact: Artifact, outline: Outline | None) -> str:
    """The message for a model that onnxruntime cannot load, in one line."""
    text, version = reason(error), onnxruntime.__version__
    newest = re.search(r"domain (\S+) is till opset (\d+)|max supported IR version: (\d+)", text)
    if not newest or not outline:
        return (
            f"model file {artifact.path} cannot be loaded by onnxruntime {version}: it is damaged"
            f" or needs something that is not in this image: {text}"
        )
    domain, opset, ir_version = newest.groups()
    producer = f", made by {outline.producer}," if outline.producer else ""
    return (
        f"model file {artifact.path}{producer} needs {outline.opset()} and IR version"
        f" {outline.ir_version}; onnxruntime {version} reads"
        f" {f'{domain} up to {opset}' if domain else f'IR versions up to {ir_version}'}: export the"
        " model for an older opset, or use an image with a newer onnxruntime"
    )


def _check_providers(session: onnxruntime.InferenceSession, wanted: Iterable[str]) -> None:
    working = session.get_providers()
    if missing := [name for name in wanted if name not in working]:
        raise DeploymentError(
            f"{', '.join(missing)} does not work here, see the log above; working:"
            f" {', '.join(working)}. Set the parameter providers to those, or device to cpu"
        )


@contextmanager
def _weights(
    artifact: Artifact, outline: Outline | None, options: onnxruntime.SessionOptions
) -> Iterator[None]:
    """In this block, onnxruntime finds weights in separate files.

    It reads files below the model's directory itself, but refuses symbolic links that lead
    elsewhere; then the content of the files is passed to it.
    """
    files = {name: _locate(name, artifact) for name in (outline.data_files if outline else ())}
    home = artifact.path.parent
    with ExitStack() as stack:
        if any(path != home / name for name, path in files.items()):
            contents = [stack.enter_context(_content(path)) for path in files.values()]
            sizes = list(map(len, contents))
            options.add_external_initializers_from_files_in_memory(list(files), contents, sizes)
        yield


def _locate(name: str, artifact: Artifact) -> Path:
    """The resolved path of a file of weights: beside the model's link, else beside its target.

    Raises `DeploymentError` if it is in neither place, or its name leads outside the directory.
    """
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise DeploymentError(
            f"model file {artifact.path} keeps weights in {name!r}, which is outside its directory:"
            " save the model with a plain file name for its external data"
        )
    beside = [(artifact.directory / artifact.name).parent, artifact.path.parent]
    for directory in beside:
        if (directory / name).is_file():
            return (directory / name).resolve()
    raise DeploymentError(
        f"model file {artifact.path} keeps weights in {name!r}, which is not beside it: copy that"
        " file into the directory of the model"
    )


def _content(path: Path) -> mmap:
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)
