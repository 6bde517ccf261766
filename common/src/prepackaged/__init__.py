"""The API for Model authors: base classes, model files, request payloads, errors."""

import prepackaged.cpus  # before numpy, whose threads it limits
import prepackaged.quiet  # noqa: F401  before seldon-core, which it imports quietly
from prepackaged.artifacts import Artifact, ModelFiles, find_artifact, local_path
from prepackaged.b64 import decode_b64
from prepackaged.cells import find_cell
from prepackaged.component import Component
from prepackaged.devices import choose_device
from prepackaged.errors import ClientError, DeploymentError, ModelError, NotReadyError, describe
from prepackaged.headers import request_headers
from prepackaged.signature import Column, Signature, TensorSpec, ValueRange
from prepackaged.tables import Columns, Table, texts
from prepackaged.tensors import TensorComponent

__all__ = [
    "Artifact",
    "ClientError",
    "Column",
    "Columns",
    "Component",
    "DeploymentError",
    "ModelError",
    "ModelFiles",
    "NotReadyError",
    "Signature",
    "Table",
    "TensorComponent",
    "TensorSpec",
    "ValueRange",
    "choose_device",
    "decode_b64",
    "describe",
    "find_artifact",
    "find_cell",
    "local_path",
    "request_headers",
    "texts",
]
