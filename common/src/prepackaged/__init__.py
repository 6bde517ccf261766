"""What a Model author uses: the base class, finding the model, reading the request, errors."""

import prepackaged.cpus  # noqa: F401  before numpy, whose threads it limits
from prepackaged.artifacts import Artifact, ModelFiles, find_artifact, local_path
from prepackaged.component import Component
from prepackaged.errors import ClientError, DeploymentError, ModelError, NotReadyError, describe
from prepackaged.inputs import Columns, find_cell, texts

__all__ = [
    "Artifact",
    "ClientError",
    "Columns",
    "Component",
    "DeploymentError",
    "ModelError",
    "ModelFiles",
    "NotReadyError",
    "describe",
    "find_artifact",
    "find_cell",
    "local_path",
    "texts",
]
