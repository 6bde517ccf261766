"""Find the model file at `model_uri`, or raise an error that lists what is there.

The order is: the `model_file` parameter, `MLmodel` (an MLflow model), a well-known name, the only
file with a known suffix. Nothing is guessed: with two candidates, the server does not start.
Symbolic links are resolved, because platforms provide models as links into mounts.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from prepackaged.errors import DeploymentError
from prepackaged.file_kinds import why_no_model
from prepackaged.load_errors import explained
from prepackaged.yaml_files import read_mapping

MLMODEL = "MLmodel"
MOUNT = Path("/mnt/models")  # the directory where platforms put a model


@dataclass(frozen=True)
class ModelFiles:
    """The files that a Model can load.

    `names` are well-known file names, which may include a directory, such as
    `model/saved_model.pb`; `suffixes` are endings such as `.joblib`. `flavor` is the MLflow
    flavor that the Model reads, and `flavor_key` is the key in that flavor's section of `MLmodel`
    that names the file or its directory; leave both empty if the Model reads no MLflow models.
    `other_flavors` are pairs of flavor and key, for MLflow models without the first flavor.

    >>> ModelFiles(names=("model.npy",), suffixes=(".npy",)).wanted()
    'model.npy, one *.npy'
    """

    names: tuple[str, ...]
    suffixes: tuple[str, ...]
    flavor: str = ""
    flavor_key: str = ""
    other_flavors: tuple[tuple[str, str], ...] = ()

    def wanted(self) -> str:
        """A text that lists the files that a model directory may contain, for error messages."""
        wanted = ", ".join((*self.names, *(f"one *{suffix}" for suffix in self.suffixes)))
        return f"{wanted} or an MLflow {self.flavor} model" if self.flavor else wanted


@dataclass(frozen=True)
class Artifact:
    """A model file.

    `path` is the file's path with symbolic links resolved, and `name` is its name in the model's
    `directory`. For an MLflow model, `flavor` is the flavor's section of `MLmodel`, `mlmodel` is
    the whole content of that file, and `code` is the directory of the model's Python modules or
    None. For other models, `flavor` and `mlmodel` are empty and `code` is None.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     _ = Path(directory, "model.txt").write_text("1 2 3")
    ...     artifact = find_artifact(directory, ModelFiles(("model.txt",), (".txt",)))
    ...     with artifact.reading():
    ...         weights = [int(word) for word in artifact.path.read_text().split()]
    >>> artifact.name, weights
    ('model.txt', [1, 2, 3])
    """

    path: Path
    name: str
    directory: Path
    flavor: dict[str, Any] = field(default_factory=dict)
    code: Path | None = None
    mlmodel: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The file's SHA-256 as `sha256:...`; empty if the file can no longer be read."""
        try:
            with self.path.open("rb") as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError:
            return ""

    @contextmanager
    def reading(self, advice: str = "") -> Iterator[None]:
        """Turn any exception in this block into a `DeploymentError` that names the file.

        `advice` becomes the last sentence of the message. In the block and after it,
        the Python modules of an MLflow model can be imported.
        """
        if self.code and str(self.code) not in sys.path:
            sys.path.append(str(self.code))
        try:
            yield
        except DeploymentError:
            raise
        except Exception as error:
            raise explained(error, self.path, advice) from error


def mounted_model() -> str | None:
    """MOUNT if it contains a file or cannot be read; in the latter case, loading reports why."""
    try:
        names = {entry.name for entry in MOUNT.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return str(MOUNT)
    return str(MOUNT) if names - {"lost+found"} else None  # an empty volume may have this


def find_artifact(model_uri: str, files: ModelFiles, model_file: str | None = None) -> Artifact:
    """The model file at `model_uri`, which is a directory or the file itself.

    In a directory, it is the first of these that exists: the file that `model_file` names, the
    file of an MLflow model, one of `files.names`, the only file with one of `files.suffixes`.
    Raises `DeploymentError` if there is no such file or more than one, or if it cannot be read.
    `Component` calls this function for you.

    >>> find_artifact("/no/such/model", ModelFiles(("model.txt",), (".txt",)))
    Traceback (most recent call last):
    prepackaged.errors.DeploymentError: model_uri '/no/such/model' does not exist
    """
    location = local_path(model_uri)
    if location.is_file():
        named = _named_path(model_uri)  # unlike its target's name, a link's shows the format
        return _existing(named.parent.resolve(), named.name, "model_uri")
    entries = list_directory(location)
    if model_file:
        return _existing(location, model_file, "the parameter model_file")
    if files.flavor and MLMODEL in entries:
        return _mlflow_artifact(location, files)
    return _existing(location, _choose(location, entries, files), "the model directory")


def local_path(model_uri: str) -> Path:
    """The path that a plain path or a `file://` URI names, with symbolic links resolved.

    Raises `DeploymentError` for any other scheme and for a path that does not exist.

    >>> local_path("file:///").as_posix()
    '/'
    """
    return _resolve(_named_path(model_uri), f"model_uri {model_uri!r}")


def _named_path(model_uri: str) -> Path:
    try:
        parts = urlsplit(model_uri)
    except ValueError as error:
        raise DeploymentError(f"model_uri {model_uri!r} cannot be read: {error}") from error
    if parts.scheme not in ("", "file"):
        raise DeploymentError(
            f"model_uri {model_uri!r}: the scheme {parts.scheme}:// is not supported here."
            " Give a local path or file://; downloading is the platform's part"
            " (in Kubernetes, its storage initializer puts the model into /mnt/models)"
        )
    if parts.scheme and parts.netloc not in ("", "localhost"):
        raise DeploymentError(
            f"model_uri {model_uri!r} names the host {parts.netloc!r}, not a local path:"
            " write file:///path, with three slashes"
        )
    return Path(unquote(parts.path)) if parts.scheme else Path(model_uri)


def list_directory(directory: Path) -> list[str]:
    """The names in a directory, sorted. Raises `DeploymentError` if it cannot be read."""
    try:
        return sorted(entry.name for entry in directory.iterdir())
    except OSError as error:
        raise DeploymentError(f"model directory {directory}: {error.strerror}") from error


def read_mlmodel(directory: Path) -> dict[str, Any]:
    """The content of an MLflow model's `MLmodel` file, of any MLflow version.

    Raises `DeploymentError` if it is not a YAML mapping with `flavors`.
    """
    content = read_mapping(directory / MLMODEL)
    if not isinstance(content.get("flavors"), dict):
        raise DeploymentError(f"{directory / MLMODEL} has no table `flavors`: not an MLflow model")
    return content


def _mlflow_artifact(directory: Path, files: ModelFiles) -> Artifact:
    mlmodel = read_mlmodel(directory)
    flavors = mlmodel["flavors"]
    known = ((files.flavor, files.flavor_key), *files.other_flavors)
    wanted, key = next((each for each in known if each[0] in flavors), known[0])
    flavor = flavors.get(wanted)
    if not isinstance(flavor, dict):
        raise DeploymentError(
            f"{directory / MLMODEL}: this image serves the MLflow flavor {files.flavor!r};"
            f" the model has {', '.join(sorted(map(str, flavors))) or 'none'}"
        )
    if not flavor.get(key):
        raise DeploymentError(
            f"{directory / MLMODEL}: flavor {wanted!r} has no {key!r},"
            " which should name the model file"
        )
    name = str(flavor[key])
    if (directory / name).is_dir():
        inside = directory / name
        name = f"{name}/{_choose(inside, list_directory(inside), files)}"
    found = _existing(directory, name, MLMODEL)
    code = directory / flavor["code"] if flavor.get("code") else None
    return replace(found, flavor=flavor, code=code, mlmodel=mlmodel)


def _choose(directory: Path, entries: list[str], files: ModelFiles) -> str:
    known = [each for each in files.names if each in entries or os.path.lexists(directory / each)]
    named = [name for name in entries if name.endswith(files.suffixes) and name[0] != "."]
    candidates = known or [name for name in named if not (directory / name).is_dir()]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise DeploymentError(
            f"model directory {directory} has {len(candidates)} candidates:"
            f" {', '.join(candidates)}. Leave only one, or set the parameter model_file to one"
        )
    raise DeploymentError(
        f"model directory {directory} has no model: expected {files.wanted()};"
        f" found {_enumerate(entries)}"
    )


def _existing(directory: Path, name: str, source: str) -> Artifact:
    path = _resolve(directory / name, f"{name!r}, which {source} names,")
    if not path.is_file():
        raise DeploymentError(f"{path}, which {source} names, is not a file")
    if path.stat().st_size == 0:
        raise DeploymentError(f"model file {path} is empty (0 bytes)")
    if why := why_no_model(path):
        raise DeploymentError(f"model file {path} is {why}")
    return Artifact(path, name, directory)


def _resolve(path: Path, what: str) -> Path:
    try:
        return path.resolve(strict=True)
    except FileNotFoundError as error:
        if path.is_symlink():
            target = path.readlink()
            raise DeploymentError(f"{what} is a link to {target}, which does not exist") from error
        parent = path.parent
        can_list = parent.is_dir() and os.access(parent, os.R_OK)
        there = f"; {parent} has {_enumerate(list_directory(parent))}" if can_list else ""
        raise DeploymentError(f"{what} does not exist{there}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise DeploymentError(f"{what} cannot be read: {error}") from error


def _enumerate(entries: list[str], most: int = 20) -> str:
    shown = ", ".join(entries[:most]) or "nothing"
    return f"{shown} and {len(entries) - most} more" if len(entries) > most else shown
