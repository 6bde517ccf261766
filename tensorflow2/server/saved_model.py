"""Read a signature of a SavedModel that Keras, a tf.Module or TensorFlow 1 wrote."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from compiled import Compiled

from prepackaged import DeploymentError, ModelFiles
from prepackaged.artifacts import list_directory

DEFAULT = "serving_default"
SAVED_MODEL = "saved_model.pb"


def newest_version(directory: Path, files: ModelFiles) -> str | None:
    """The highest-numbered subdirectory with a SavedModel, as TensorFlow Serving chooses it.

    None if there is none, or if `directory` contains a model itself or is not a directory.
    """
    if not directory.is_dir():
        return None
    names = list_directory(directory)
    has_named = any((directory / name).exists() for name in files.names)
    if has_named or any(name.endswith(files.suffixes) for name in names):
        return None
    numbers = [name for name in names if (directory / name / SAVED_MODEL).is_file()]
    return max((name for name in numbers if name.isdecimal()), key=int, default=None)


def read_saved_model(
    directory: Path, signature: str | None = None, tags: Sequence[str] | None = None
) -> tuple[Compiled, str, str]:
    """Return a signature's function, its name, and the TensorFlow version that saved the model.

    Raises `DeploymentError` if no signature or several match, if the signature has no inputs or
    outputs, and for operations that TensorFlow itself does not have.
    """
    try:
        loaded = tf.saved_model.load(str(directory), tags=tags)
    except Exception as error:
        if missing := re.search(r"Op type not registered '(.+?)'", str(error)):
            raise DeploymentError(
                f"{directory} needs the operation {missing[1]}, which TensorFlow itself does not"
                " have: fork this image and import the package that provides it"
            ) from error
        raise
    name = choose_signature(loaded.signatures, signature, directory)
    version = str(getattr(loaded, "tensorflow_version", "unknown"))
    return _compiled(loaded, loaded.signatures[name], directory), name, version


def choose_signature(signatures: Mapping[str, Any], wanted: str | None, directory: Path) -> str:
    """Choose the signature `wanted` if set, else `serving_default`, else the only one.

    Raises `DeploymentError` if there is no such signature, or more than one to choose from.
    """
    there = ", ".join(sorted(signatures)) or "none"
    if wanted:
        if wanted in signatures:
            return wanted
        raise DeploymentError(
            f"{directory} has no signature {wanted!r}, which the parameter signature names;"
            f" it has {there}"
        )
    if DEFAULT in signatures:
        return DEFAULT
    if len(signatures) == 1:
        return str(next(iter(signatures)))
    if signatures:
        raise DeploymentError(
            f"{directory} has no signature {DEFAULT} and more than one other: {there}."
            " Set the parameter signature to one of these"
        )
    raise DeploymentError(
        f"{directory} has no signature that could be served: save it with"
        " tf.saved_model.save(module, path, signatures=function.get_concrete_function(...))"
    )


def _compiled(loaded: Any, signature: Any, directory: Path) -> Compiled:
    inputs = dict(signature.structured_input_signature[1])
    outputs = dict(signature.structured_outputs)
    if not inputs or not outputs:
        raise DeploymentError(f"{directory}: the signature takes or gives no tensors")

    def call(tensors: list[Any]) -> Any:
        return signature(**dict(zip(inputs, tensors, strict=True)))

    return Compiled(call, inputs, outputs, signature, loaded)
