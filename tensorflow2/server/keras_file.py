"""Read whole Keras models from one file: `.keras`, or HDF5 with any suffix.

The major version of Keras that wrote a file also reads it: Keras 3 refuses many files of Keras 2,
which its continuation tf_keras accepts.
"""

import json
import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
from compiled import Compiled
from custom_objects import unpickle
from keras_model import compile_keras

from prepackaged import DeploymentError, describe


@dataclass(frozen=True)
class KerasFile:
    """A Keras file: the version of Keras that wrote it, and the model's configuration."""

    path: Path
    version: str
    config: Any

    @property
    def reader(self) -> str:
        """The package that reads the file: `keras` or `tf_keras`."""
        return "keras" if int(self.version.partition(".")[0]) >= 3 else "tf_keras"

    def tables(self) -> list[dict[str, Any]]:
        """Every dict in the configuration, of layers, activations, functions and others."""
        return list(_tables(self.config))


def read_keras_file(path: Path, *, allow_lambda: bool) -> tuple[Compiled, str]:
    """Return the compiled call of the model, and the version of Keras that wrote the file.

    Raises `DeploymentError` for Python code in the file unless `allow_lambda`, for missing custom
    objects, and for weights without a model; `ValueError` for files of other formats.
    """
    file = _open(path)
    if not allow_lambda and any(map(_is_code, file.tables())):
        raise DeploymentError(
            f"model file {path} has a Lambda layer, whose Python code runs when the model is"
            " loaded. If you trust the file, set the parameter allow_lambda to true"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about future changes, for the model's author
        return compile_keras(_load(file, allow_lambda=allow_lambda)), file.version


def _open(path: Path) -> KerasFile:
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                raise DeploymentError(
                    f"model file {path} has weights without a model: save the whole model, with"
                    " model.save('model.keras')"
                )
            # Keras 1 did not write its version.
            return KerasFile(path, _text(file.attrs.get("keras_version", "1")),
                             json.loads(_text(file.attrs["model_config"])))  # fmt: skip
    if not zipfile.is_zipfile(path):
        raise ValueError("it is neither a .keras archive nor HDF5")
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
        return KerasFile(path, metadata["keras_version"], json.loads(archive.read("config.json")))


def _load(file: KerasFile, *, allow_lambda: bool) -> Any:
    """Load the model; read the custom objects that MLflow pickled only if that fails."""
    package = import_module(file.reader)
    options = {"compile": False, "safe_mode": not allow_lambda}
    try:
        with _authors_modules_find(file.reader):
            try:
                return package.models.load_model(file.path, **options)
            except Exception:
                custom = unpickle(file.path.parent, file.reader)
                if not custom:
                    raise
                return package.models.load_model(file.path, custom_objects=custom, **options)
    except Exception as error:
        raise _explained(error, file, package) from error


@contextmanager
def _authors_modules_find(reader: str) -> Iterator[None]:
    """In this block, `tensorflow.keras` is the Keras that reads the file."""
    if reader == "tf_keras":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"  # TensorFlow reads it on first use
    try:
        yield
    finally:
        os.environ.pop("TF_USE_LEGACY_KERAS", None)


def _explained(error: Exception, file: KerasFile, package: Any) -> DeploymentError:
    distribution = f"{file.reader.replace('_', '-')} {version(file.reader.replace('_', '-'))}"
    if names := _missing(error, file, package):
        return DeploymentError(
            f"model file {file.path} needs custom objects that it does not contain:"
            f" {', '.join(names)}. Save the model with model.export(directory), which needs no"
            " Python code, or fork this image and register them"
        )
    return DeploymentError(
        f"model file {file.path}, written by Keras {file.version}, cannot be loaded by"
        f" {distribution}: {describe(error)}"
    )


def _missing(error: Exception, file: KerasFile, package: Any) -> list[str]:
    """The names of custom objects in the configuration that are not registered."""
    names = []
    for each in file.tables():
        registered = each.get("registered_name")
        if registered and package.saving.get_registered_object(registered) is None:
            is_function = each["class_name"] == "function"
            names.append(str(each["config"] if is_function else each["class_name"]))
    # Before Keras 2.13, files did not say which objects are custom.
    unknown = re.search(r"Unknown [\w ]+: '?([\w>]+)'?", str(error))
    return list(dict.fromkeys(([unknown[1]] if unknown else []) + names))


def _tables(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        values = [value for key, value in part.items() if key != "compile_config"]  # not loaded
    else:
        values = part if isinstance(part, list) else []
    for value in values:
        yield from _tables(value)


def _is_code(table: dict[str, Any]) -> bool:
    """Whether the table contains Python bytecode, in the form of Keras 3 or of Keras 2."""
    types = [value for key, value in table.items() if key.endswith("_type")]
    return table.get("class_name") == "__lambda__" or "lambda" in types


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
