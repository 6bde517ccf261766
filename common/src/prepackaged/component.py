"""The base class of the servers: what a Model author inherits and may override."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from seldon_core.metadata import SeldonInvalidMetadataError, validate_model_metadata
from seldon_core.user_model import SeldonComponent

from prepackaged.artifacts import MOUNT, Artifact, ModelFiles, find_artifact, mounted_model
from prepackaged.errors import (
    DeploymentError,
    NotReadyError,
    describe,
    end_deployment_errors_in_one_line,
)
from prepackaged.metadata import seldon_metadata
from prepackaged.signature import Signature
from prepackaged.yaml_files import read_mapping

logger = logging.getLogger(__name__)


class Component(SeldonComponent):
    """A model server for one framework.

    A subclass says in `files` what it loads, loads it in `load_model`, and answers in
    `predict(self, X, feature_names=None, meta=None)`. What is known of the loaded model goes
    into `signature` and `custom`, of which `GET /metadata` is made. It may also override
    `describe_model` and every hook of seldon-core's `SeldonComponent` (`tags`, `metrics`,
    `class_names`, `transform_input`, ...). It runs under any Seldon v1 microservice.

    Parameters come from `PREDICTIVE_UNIT_PARAMETERS`: `model_uri` is a local directory, a
    file, or a `file://` URI of either, and without it `/mnt/models` where that holds something;
    `model_file` names the file inside that directory where more than one could be meant.
    """

    #: The files that this server loads; without it, `load_model` gets no artifact.
    files: ClassVar[ModelFiles | None] = None
    #: Whether requests may be stacked into one call of `predict`: for models whose rows do not
    #: influence each other and whose `predict` answers a row for a row, whatever `meta` says.
    #: A model that is known only when it is loaded sets it on itself.
    batchable: bool = False
    #: Whether the model may be called on any thread, one call at a time. A Model that does not say
    #: so is constructed, loaded and called on the process's main thread, as under seldon-core's
    #: microservice.
    callable_from_any_thread: ClassVar[bool] = False
    #: Whether answers name the columns that `signature.outputs` names, rather than t:0, t:1, ...
    names_outputs: bool = True
    #: Whether `predict` should get the rows of `data.ndarray` as the lists that were sent, where
    #: the server can: an array has one dtype for all columns, so that 101 beside 2.5 is 101.0.
    takes_lists: bool = False
    #: The framework's name, for `GET /metadata`.
    platform: ClassVar[str] = ""
    #: What the model takes and gives: `load_model` sets it, None where it says nothing of it.
    signature: Signature | None = None

    def __init__(self, model_uri: str | None = None, model_file: str | None = None) -> None:
        end_deployment_errors_in_one_line()
        super().__init__()
        self.model_uri = model_uri or mounted_model()
        self.model_file = model_file or None
        self.ready = False
        self.artifact: Artifact | None = None
        #: Facts for people, such as versions: `load_model` adds them, `GET /metadata` shows them.
        self.custom: dict[str, str] = {}

    def load(self) -> None:
        """Load the model unless it is loaded already.

        Microservices call this once a worker. Raises `DeploymentError` when the model cannot
        be found, read or used, and for any other mistake the exception of `load_model`.
        """
        if self.ready:
            return
        if self.files:
            self.artifact = self.find_artifact(self.files)
        try:
            self.load_model(self.artifact)
            self._metadata(self.describe_model())  # a wrong metadata.yaml fails the load
        except (AttributeError, NotImplementedError) as error:
            # seldon-core's microservice takes these two for "there is no load" and serves on.
            raise RuntimeError(f"loading the model failed: {describe(error)}") from error
        self.ready = True
        logger.info("Model loaded: %s", self.artifact.path if self.artifact else "no model file")

    def find_artifact(self, files: ModelFiles) -> Artifact:
        """The model file at `model_uri`. Raises `DeploymentError` where there is not just one."""
        if self.model_uri is None:
            raise DeploymentError(
                f"no model to serve: mount a directory with {files.wanted()} at {MOUNT},"
                " or set the parameter model_uri to such a directory,"
                ' as in PREDICTIVE_UNIT_PARAMETERS=\'[{"name":"model_uri","type":"STRING",'
                '"value":"/mnt/models"}]\''
            )
        return find_artifact(self.model_uri, files, self.model_file)

    def load_model(self, artifact: Artifact | None) -> None:
        """Hook: load `artifact` (None where `files` is not set) and keep what `predict` needs.

        Sets `self.signature` and fills `self.custom` as far as the model is known.
        """

    def prepare(self, X: Any, feature_names: Iterable[str] | None = None) -> Any:
        """Hook: a request's payload as `predict` wants it; by default the payload itself.

        The server calls it for each request before requests share a call of `predict`, so that
        a mistake of one client's costs no other: an array, or a `Table`, with as many rows as
        the request, or a `ClientError`. It may be called on any thread while `predict` runs, and
        `predict` may get what it returned or, under another microservice, the payload.
        """
        del feature_names  # which an override may need
        return X

    def describe_model(self) -> dict[str, Any]:
        """Hook: what the loaded model says of itself, in Seldon's metadata fields.

        Unless it is overridden: `inputs` and `outputs` of `signature`, and `custom`. The first
        two are lists such as `[{"messagetype": "tensor", "schema": {"names": ["a", "b"],
        "shape": [2]}}]`; `custom` maps strings to strings.
        """
        tensors = seldon_metadata(self.signature) if self.signature else {}
        return {**tensors, "custom": dict(self.custom)} if self.custom else tensors

    def health_status(self) -> str:
        """`healthy` once the model is loaded; HTTP 503 until then."""
        if not self.ready:
            raise NotReadyError("the model is not loaded yet")
        return "healthy"

    def init_metadata(self) -> dict[str, Any]:
        """The answer to `GET /metadata`: the model's description overlaid by `metadata.yaml`.

        The microservice fills in `name` and `versions` from the image where neither says them.
        Raises `DeploymentError` when the file is not what Seldon's metadata schema allows.
        """
        return self._metadata(self.describe_model() if self.ready else {})

    def _metadata(self, described: dict[str, Any]) -> dict[str, Any]:
        written = _read_metadata_file(self.artifact.directory) if self.artifact else {}
        metadata = {"platform": self.platform, **described, **written}
        if isinstance(written.get("custom"), dict):
            metadata["custom"] = {**described.get("custom", {}), **written["custom"]}
        try:
            validate_model_metadata(metadata)
        except SeldonInvalidMetadataError as error:
            source = "metadata.yaml" if written else "describe_model"
            where, what = error.args[0].json_path, error.args[0].message
            raise DeploymentError(f"{source}: {where}: {what}") from error
        return metadata


def _read_metadata_file(directory: Path) -> dict[str, Any]:
    path = directory / "metadata.yaml"
    return read_mapping(path) if path.exists() else {}
