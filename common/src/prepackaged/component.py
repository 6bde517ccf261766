"""The base class of a Model: what authors inherit and may override."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from seldon_core.metadata import SeldonInvalidMetadataError
from seldon_core.user_model import SeldonComponent

from prepackaged.artifacts import MOUNT, Artifact, ModelFiles, find_artifact, mounted_model
from prepackaged.errors import (
    DeploymentError,
    NotReadyError,
    describe,
    end_deployment_errors_in_one_line,
)
from prepackaged.metadata import contradictions, seldon_metadata
from prepackaged.metadata_schema import validated
from prepackaged.signature import Signature
from prepackaged.yaml_files import read_mapping

logger = logging.getLogger(__name__)


class Component(SeldonComponent):
    """The base class of a Model.

    A subclass lists its file types in `files`, loads a file in `load_model` and answers requests
    in `predict(self, X, feature_names=None, meta=None)`. It describes the loaded model in
    `self.signature` and `self.custom`, which `GET /metadata` shows. It may override
    `describe_model` and every hook of seldon-core's `SeldonComponent`: `tags`, `metrics`,
    `class_names`, `transform_input` and others. It runs under any Seldon v1 microservice.

    The arguments are the parameters of the deployment. `model_uri` is a local directory, a file,
    or a `file://` URI of either; the default is `/mnt/models` if that directory is not empty.
    `model_file` is the name of the file in the directory, needed if several files match.

    >>> class Doubler(Component):
    ...     def predict(self, X, feature_names=None, meta=None):
    ...         return [2 * value for value in X]
    >>> model = Doubler()
    >>> model.load()
    >>> model.predict([1, 2])
    [2, 4]
    """

    #: The files that this Model can load; None if it loads none.
    files: ClassVar[ModelFiles | None] = None
    #: True if one call to `predict` may answer the rows of several requests: no row influences
    #: another, `predict` returns one row for each row, and its result does not depend on `meta`. If
    #: this differs between models, set it on `self` in `load_model`, or later if only a request
    #: shows it.
    batchable: bool = False
    #: True if the model may be called on any thread, one call at a time. If False, it is
    #: constructed, loaded and called on the main thread of the process.
    callable_from_any_thread: ClassVar[bool] = False
    #: True if answers use the column names in `signature.outputs`, False for t:0, t:1, ...
    names_outputs: bool = True
    #: True if `predict` should get the rows of `data.ndarray` as lists. An array has one dtype for
    #: all columns, which turns 101 beside 2.5 into 101.0.
    takes_lists: bool = False
    #: The name of the framework, which `GET /metadata` shows.
    platform: ClassVar[str] = ""
    #: An answer of `predict` to one request, whose datatype and shape the metadata of V2 shows if
    #: `signature` has no output tensors; None if it is unknown.
    example_answer: Any = None
    #: The model's inputs and outputs, which `load_model` sets; None if they are unknown.
    signature: Signature | None = None

    def __init__(self, model_uri: str | None = None, model_file: str | None = None) -> None:
        end_deployment_errors_in_one_line()
        super().__init__()
        self.model_uri = model_uri or mounted_model()
        self.model_file = model_file or None
        self.ready = False
        self.artifact: Artifact | None = None
        #: More facts, such as versions, which `load_model` adds and `GET /metadata` shows.
        self.custom: dict[str, str] = {}

    def load(self) -> None:
        """Find the model file and call `load_model` with it, once.

        The microservice calls this in each worker; further calls do nothing. Raises
        `DeploymentError` if the model cannot be found, read or used, and any other exception of
        `load_model`.
        """
        if self.ready:
            return
        if self.files:
            self.artifact = self.find_artifact(self.files)
        try:
            self.load_model(self.artifact)
            self._metadata(self.describe_model())  # a wrong metadata.yaml fails the load
            for wrong in self._contradictions(self._written()).values():
                logger.warning("metadata.yaml is ignored for %s", wrong)
        except (AttributeError, NotImplementedError) as error:
            # seldon-core's microservice would take these two to mean that the class has no `load`.
            raise RuntimeError(f"loading the model failed: {describe(error)}") from error
        self.ready = True
        logger.info("Model loaded: %s", self.artifact.path if self.artifact else "no model file")

    def find_artifact(self, files: ModelFiles) -> Artifact:
        """The model file at `model_uri`. Raises `DeploymentError` unless there is exactly one."""
        if self.model_uri is None:
            raise DeploymentError(
                f"no model to serve: mount a directory with {files.wanted()} at {MOUNT},"
                " or set the parameter model_uri to such a directory,"
                ' as in PREDICTIVE_UNIT_PARAMETERS=\'[{"name":"model_uri","type":"STRING",'
                '"value":"/mnt/models"}]\''
            )
        return find_artifact(self.model_uri, files, self.model_file)

    def load_model(self, artifact: Artifact | None) -> None:
        """Hook: load `artifact`, which is None if `files` is not set.

        Set `self.signature` and fill `self.custom` with everything that is known about the model.
        """

    def prepare(self, X: Any, feature_names: Iterable[str] | None = None) -> Any:
        """Hook: convert a request's payload before requests are batched; by default unchanged.

        The server calls it for each request separately, so that an invalid request fails alone.
        Return an array or a `Table` with as many rows as the request, or raise `ClientError`. It
        may run on any thread while `predict` runs. `predict` then gets its result; seldon-core's
        microservice does not call it, so there `predict` gets the payload itself.
        """
        del feature_names  # only overrides use it
        return X

    def describe_model(self) -> dict[str, Any]:
        """Hook: the loaded model's description, in Seldon's metadata fields.

        By default, `inputs` and `outputs` come from `self.signature`, and `custom` is
        `self.custom`. `inputs` and `outputs` are lists such as `[{"messagetype": "tensor",
        "schema": {"names": ["a", "b"], "shape": [2]}}]`; `custom` maps strings to strings.
        """
        tensors = seldon_metadata(self.signature) if self.signature else {}
        return {**tensors, "custom": dict(self.custom)} if self.custom else tensors

    def health_status(self) -> str:
        """Hook: return `healthy` if the model is loaded, else raise `NotReadyError` (503)."""
        if not self.ready:
            raise NotReadyError("the model is not loaded yet")
        return "healthy"

    def init_metadata(self) -> dict[str, Any]:
        """The answer to `GET /metadata`: `describe_model`, overridden by `metadata.yaml`.

        If the file contradicts the inputs or outputs of `signature`, those of `signature` win.
        If neither sets `name` and `versions`, the microservice takes them from the image.
        Raises `DeploymentError` if the file does not follow Seldon's metadata schema.
        """
        return self._metadata(self.describe_model() if self.ready else {})

    def _metadata(self, described: dict[str, Any]) -> dict[str, Any]:
        written = self._written()
        metadata = {"platform": self.platform, **described, **written}
        if isinstance(written.get("custom"), dict):
            metadata["custom"] = {**described.get("custom", {}), **written["custom"]}
        try:
            validated(metadata)
        except SeldonInvalidMetadataError as error:
            source = "metadata.yaml" if written else "describe_model"
            where, what = error.args[0].json_path, error.args[0].message
            raise DeploymentError(f"{source}: {where}: {what}") from error
        denied = self._contradictions(written).keys() & described.keys()
        return {**metadata, **{field: described[field] for field in denied}}

    def _written(self) -> dict[str, Any]:
        return _read_metadata_file(self.artifact.directory) if self.artifact else {}

    def _contradictions(self, written: dict[str, Any]) -> dict[str, str]:
        """The contradictions between `metadata.yaml` and the signature, by field."""
        return contradictions(self.signature, written) if self.signature else {}


def _read_metadata_file(directory: Path) -> dict[str, Any]:
    path = directory / "metadata.yaml"
    return read_mapping(path) if path.exists() else {}
