"""Read the input columns from the `MLmodel` file of an MLflow model.

Reference: MLflow's model signatures, `mlflow.types.schema`.
"""

import json
from collections.abc import Mapping
from typing import Any

from prepackaged.artifacts import Artifact
from prepackaged.errors import DeploymentError
from prepackaged.signature import Column, Kind

KINDS: dict[str, Kind] = {
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "integer": "int64",
    "boolean": "bool",
    "string": "text",
    "datetime": "datetime",
}
DTYPES: dict[str, Kind] = {"float64": "float64", "float32": "float32", "str": "text"}


def columns_in(artifact: Artifact) -> tuple[Column, ...] | None:
    """The input columns of an MLflow model's signature; None if it describes no table.

    A tensor of shape [-1, n] means n columns without names. Raises `DeploymentError` if the
    signature is not in MLflow's format.
    """
    signature = artifact.mlmodel.get("signature")
    if not isinstance(signature, Mapping) or not signature.get("inputs"):
        return None
    try:
        inputs = json.loads(signature["inputs"])
        if len(inputs) == 1 and inputs[0]["type"] == "tensor":
            return _of_tensor(inputs[0])
        return tuple(map(_column, inputs))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DeploymentError(f"MLmodel has inputs that are no MLflow schema: {error!r}") from error


def _column(field: Mapping[str, Any]) -> Column:
    name = field.get("name")
    kind = KINDS.get(field["type"], "any")
    is_optional = field.get("required") is False or field.get("optional") is True
    return Column(None if name is None else str(name), kind, optional=is_optional)


def _of_tensor(field: Mapping[str, Any]) -> tuple[Column, ...] | None:
    spec = field["tensor-spec"]
    shape = spec["shape"]
    if field.get("name") or len(shape) != 2 or shape[1] < 1:
        return None
    return (Column(kind=DTYPES.get(spec["dtype"], "any")),) * int(shape[1])
