"""Samples: requests with expected answers, in the directory `samples/` beside a model.

Only the members that a sample names are compared; other members of an answer may have any value.
Floats may differ by a tolerance relative to the number; everything else must be equal.
"""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prepackaged.artifacts import Artifact, local_path
from prepackaged.errors import DeploymentError
from prepackaged.input_examples import mlflow_example

logger = logging.getLogger(__name__)

DIRECTORY = "samples"
MOST_FILES = 100
MOST_BYTES = 16 * 2**20  # the largest file in bytes
TOLERANCE = 1e-3  # relative to the number
NEAR_ZERO = 1e-6  # the absolute tolerance of numbers near zero
FORM = '{"request": {"path", "body"}, "response": {"body"}}'
MODEL = "{model}"  # the placeholder for the model's name in a path
SELDON, V2, MLFLOW = "/api/v1.0/predictions", f"/v2/models/{MODEL}/infer", "/invocations"
MLFLOW_FORMS = {"dataframe_split", "dataframe_records", "instances", "inputs"}
SHOWN = 100  # the most characters of a value in an error message
LONGEST = 500  # the most characters of a failed response in an error message
# The files with MLflow's request: the name since 2.16, and the name before.
MLFLOW_FILES = ("serving_input_example.json", "serving_input_payload.json")


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()  # stands for a value that is missing in the answer or the sample


@dataclass(frozen=True)
class Sample:
    """A JSON request to a path, with the expected status and body of the response.

    `expected` is NOTHING if any body is accepted. If a sample that `is_required` gets another
    answer, the server does not start.
    """

    name: str
    path: str
    body: Any
    expected: Any = NOTHING
    status: int = 200
    tolerance: float = TOLERANCE
    is_required: bool = True

    def difference(self, status: int, text: bytes) -> str:
        """The first difference (place, expected and actual value); empty if there is none."""
        if status != self.status:
            shown = text.decode(errors="replace").strip()[:LONGEST]
            return f"expected status {self.status}, got {status}: {shown}"
        if self.expected is NOTHING:
            return ""
        try:
            return next(_differences(self.expected, _read_answer(text), self.tolerance, ""), "")
        except RecursionError:
            return "the answer is nested too deeply to compare"


def samples_of(model: Any) -> list[Sample]:
    """The samples beside a loaded model, then MLflow's example, which has no expected answer.

    A file without a request is ignored with a warning. Raises `DeploymentError`, which names the
    file, for an invalid sample.
    """
    artifact = getattr(model, "artifact", None)
    directory = artifact.directory if isinstance(artifact, Artifact) else _directory_of(model)
    if directory is None:
        return []
    return [*_beside(directory / DIRECTORY), *_examples_of(artifact)]


def _beside(directory: Path) -> Iterator[Sample]:
    for file in _files_in(directory):
        content = read_json(file)
        if isinstance(content, dict) and "request" in content:
            yield read_sample(file, content)
        else:
            logger.warning("%s is not a sample and is ignored: expected %s", file, FORM)


def read_sample(file: Path, content: dict[str, Any]) -> Sample:
    """The sample that a file contains. Raises `DeploymentError` if it is invalid."""
    request = content["request"]
    if not isinstance(request, dict) or "body" not in request:
        raise _broken(file, f"expected {FORM}")
    response, tolerance = content.get("response", {}), content.get("tolerance", TOLERANCE)
    if not isinstance(response, dict):
        raise _broken(file, f"expected response as an object, got {_cut(response)}")
    path, status = request.get("path", path_for(request["body"])), response.get("status", 200)
    if not isinstance(path, str) or not path.startswith("/"):
        raise _broken(file, f"expected request.path such as {SELDON}, got {_cut(path)}")
    if type(status) is not int:
        raise _broken(file, f"expected response.status as a number, got {_cut(status)}")
    if not _is_number(tolerance) or not 0 <= tolerance < math.inf:
        raise _broken(file, f"expected tolerance as a number from 0, got {_cut(tolerance)}")
    expected = response.get("body", NOTHING)
    return Sample(file.name, path, request["body"], expected, status, float(tolerance))


def read_json(file: Path) -> Any:
    """Parse a JSON file. Raises `DeploymentError`, which names the file."""
    try:
        if not file.is_file():
            raise _broken(file, "expected a regular file")
        if (size := file.stat().st_size) > MOST_BYTES:
            raise _broken(file, f"expected at most {MOST_BYTES} bytes, got {size}")
        return json.loads(file.read_bytes())
    except OSError as error:
        raise _broken(file, f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _broken(file, f"expected JSON: {error}") from error


def path_for(body: Any) -> str:
    """The path for a body of this form: V2's, MLflow's or, for other forms, Seldon's."""
    if not isinstance(body, dict):
        return SELDON
    inputs = body.get("inputs")
    if isinstance(inputs, list) and inputs and all(_is_v2(each) for each in inputs):
        return V2
    return MLFLOW if MLFLOW_FORMS & body.keys() else SELDON


def _is_v2(tensor: Any) -> bool:
    return isinstance(tensor, dict) and {"name", "datatype", "shape"} <= tensor.keys()


def _directory_of(model: Any) -> Path | None:
    """The directory that `model_uri` names, for a model whose files have no known kind."""
    uri = getattr(model, "model_uri", None)
    if not isinstance(uri, str):
        return None
    try:
        location = local_path(uri)
    except DeploymentError:  # the model may define its own kind of URI
        return None
    return location if location.is_dir() else None


def _files_in(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    try:
        entries = [*directory.iterdir()]  # unlike glob, it raises an error if access is denied
    except OSError as error:
        raise DeploymentError(f"{directory} cannot be read: {error.strerror}") from error
    files = sorted(each for each in entries if each.suffix == ".json" and each.name[0] != ".")
    if len(files) > MOST_FILES:
        raise DeploymentError(
            f"{directory}: expected at most {MOST_FILES} samples, got {len(files)};"
            " PREPACKAGED_SAMPLES=false starts the server without them"
        )
    return files


def _examples_of(artifact: Any) -> list[Sample]:
    """MLflow's example; if it cannot be read, no example and a warning, since it is optional."""
    try:
        return list(_of_mlflow(artifact))
    except DeploymentError as error:
        logger.warning("%s", error)
        return []


def _of_mlflow(artifact: Any) -> Iterator[Sample]:
    """MLflow's example: the stored request for `/invocations` or, without one, the input row."""
    if not isinstance(artifact, Artifact):
        return
    info = artifact.mlmodel.get("saved_input_example_info")
    if not isinstance(info, dict):
        return
    for name in (info.get("serving_input_path"), *MLFLOW_FILES):
        file = artifact.directory / str(name)
        if name and file.is_file():
            yield Sample(file.name, MLFLOW, read_json(file), is_required=False)
            return
    row = mlflow_example(artifact)
    if row is not None:
        name = str(info.get("artifact_path"))
        yield Sample(name, SELDON, {"jsonData": row}, is_required=False)


def _differences(expected: Any, got: Any, tolerance: float, place: str) -> Iterator[str]:
    """Yield each difference between an answer and the expected one."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, value in expected.items():
            inside = f"{place}.{name}" if place else str(name)
            yield from _differences(value, got.get(name, NOTHING), tolerance, inside)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for number, (value, other) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(value, other, tolerance, f"{place}[{number}]")
    elif not _is_same(expected, got, tolerance):
        where = f"{place}: " if place else ""
        yield f"{where}expected {_described(expected)}, got {_described(got)}"


def _is_same(expected: Any, got: Any, tolerance: float) -> bool:
    if _is_number(expected) and _is_number(got):
        if isinstance(expected, int) and isinstance(got, int):
            return expected == got
        is_near = math.isclose(expected, got, rel_tol=tolerance, abs_tol=NEAR_ZERO)
        return is_near or (math.isnan(expected) and math.isnan(got))
    return type(expected) is type(got) and bool(expected == got)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _described(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, list) else _cut(value)


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _read_answer(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")


def _broken(file: Path, why: str) -> DeploymentError:
    return DeploymentError(f"sample {file}: {why}")
