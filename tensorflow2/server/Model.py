"""Serves TensorFlow SavedModels and Keras models."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import tensorflow as tf
from compiled import Compiled
from keras_file import read_keras_file
from saved_model import SAVED_MODEL, newest_version, read_saved_model
from tensorflow_runtime import prepare

from prepackaged import Artifact, ModelFiles, TensorComponent, local_path
from prepackaged.artifacts import MLMODEL, find_artifact, list_directory, read_mlmodel
from prepackaged.parameters import is_true

# The MLflow flavors that may contain the model, each with its key for the path.
FLAVORS = (("keras", "data"), ("tensorflow", "data"), ("tensorflow", "saved_model_dir"))


class Model(TensorComponent):
    """A Model that runs a signature of a SavedModel, or a Keras model in inference mode.

    `signature` names the signature; the default is `serving_default`, else the only one.
    `allow_lambda` is `true` to load Keras files that contain Python code. `TensorComponent`
    documents the other parameters.
    """

    platform = "tensorflow"
    callable_from_any_thread = True
    files = ModelFiles(
        names=(SAVED_MODEL, f"model/{SAVED_MODEL}"),
        suffixes=(".keras", ".h5", ".hdf5"),
        flavor="keras or tensorflow",
        flavor_key="data",
    )

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        signature: str | None = None,
        allow_lambda: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(model_uri, model_file, **more)
        self.signature_key = signature or None
        self.allow_lambda = is_true("allow_lambda", allow_lambda)
        # This reports a wrong path early. TensorFlow does not survive a fork, so the model itself
        # is loaded after upstream's microservice has forked, in `load`.
        self.find_artifact(self.files)

    def find_artifact(self, files: ModelFiles) -> Artifact:
        """Find the model file at `model_uri`, in an MLflow model under any of `FLAVORS`.

        Among the numbered directories of TensorFlow Serving, the highest number is used. Raises
        `DeploymentError` if there is no model file.
        """
        if self.model_uri and not self.model_file:
            place = local_path(self.model_uri)
            is_mlflow = place.is_dir() and MLMODEL in list_directory(place)
            flavors = read_mlmodel(place)["flavors"] if is_mlflow else {}
            for flavor, key in FLAVORS:
                table = flavors.get(flavor)
                if isinstance(table, dict) and table.get(key):
                    return super().find_artifact(replace(files, flavor=flavor, flavor_key=key))
            if newest := newest_version(place, files):
                return find_artifact(self.model_uri, files, f"{newest}/{SAVED_MODEL}")
        return super().find_artifact(files)

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the model, compile a Keras model, and make a trial run.

        Raises `DeploymentError` for a file that cannot be loaded, a missing signature, or a GPU
        that is not available.
        """
        assert artifact is not None  # because this class sets `files`
        self.device = prepare(self.device)
        with artifact.reading():
            read, versions = self._read(artifact)
        self.asks_framework_about_sizes = not read.has_one_batch
        self.compiled = read.tried()
        signature = self.compiled.signature()
        self.signature = replace(signature, example=self.compiled.example())
        self.custom = {**versions, "device": str(self.device), "tensorflow": tf.__version__}
        self.whole_outputs = self.compiled.whole_outputs()
        self.batchable = self.stacks() and self.compiled.stacks()

    def _read(self, artifact: Artifact) -> tuple[Compiled, dict[str, str]]:
        path = artifact.directory / artifact.name  # the target of a link may have another name
        if path.name != SAVED_MODEL:
            compiled, version = read_keras_file(path, allow_lambda=self.allow_lambda)
            return compiled, {"format": "Keras", "saved_with": f"Keras {version}"}
        wanted = self.signature_key or artifact.flavor.get("signature_def_key")
        tags = artifact.flavor.get("meta_graph_tags")
        compiled, signature, version = read_saved_model(path.parent, wanted, tags)
        saved_with = {"saved_with": f"TensorFlow {version}"}
        return compiled, {"format": "SavedModel", "signature": signature, **saved_with}

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """Run the model on the request's tensors: an array, or a dict of several outputs by name.

        Raises `ClientError` for data that does not fit the model, `ModelError` if it fails.
        """
        return self.answer(self.compiled, X, feature_names)
