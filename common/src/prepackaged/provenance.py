"""Identify a model by a digest of its files, which anybody can compute again.

The digest is the root of OpenSSF's model signing, https://github.com/sigstore/model-transparency:
the SHA-256 of the SHA-256 digests of all files, in the order of their paths.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prepackaged.artifacts import Artifact

MOST_FILES = 10_000  # the most files in a model directory; a larger one has no digest
# Files of git and of model signing, and the cache that Python writes when it imports modules.
LEFT_OUT = {".git", ".gitattributes", ".github", ".gitignore", "model.sig", "__pycache__"}
# For each `platform` of a component, the key in `custom` of its framework's version.
FRAMEWORKS = {
    "sklearn": "scikit-learn",
    "pytorch": "torch",
    "onnx": "onnxruntime",
}


def framework_of(model: Any) -> tuple[str, str]:
    """The framework of a loaded component and its version; empty if it does not state them."""
    platform = str(getattr(model, "platform", ""))
    custom = getattr(model, "custom", None)
    name = FRAMEWORKS.get(platform, platform)
    version = custom.get(name, "") if isinstance(custom, dict) else ""
    return (name, str(version)) if version else ("", "")


def model_digest(model: Any) -> str:
    """The digest of a loaded model's directory, or of its file if `model_uri` names a file.

    It has the form `sha256:...`. It is empty for a model without a file, for a directory with more
    than MOST_FILES files, and if a file cannot be read.
    """
    artifact = getattr(model, "artifact", None)
    if not isinstance(artifact, Artifact):
        return ""
    is_alone = Path(str(model.model_uri).removeprefix("file://")).is_file()
    try:
        files = [artifact.path] if is_alone else files_in(artifact.directory)
        return digest_of(files) if 0 < len(files) <= MOST_FILES else ""
    except OSError:
        return ""


def digest_of(files: list[Path]) -> str:
    """The root digest of these files, in this order. Raises `OSError`."""
    root = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            root.update(hashlib.file_digest(content, "sha256").digest())
    return f"sha256:{root.hexdigest()}"


def files_in(directory: Path) -> list[Path]:
    """The files below a directory that belong to a model, in the order of their paths.

    Links are followed, because platforms mount models through links. Their targets in directories
    such as `..data`, which Kubernetes creates, are not read a second time. Raises `OSError`.
    """
    return sorted(_walk(directory, ()), key=lambda file: file.relative_to(directory).parts)


def _walk(directory: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    here = directory.resolve()
    if here in above:  # a link to a directory above
        return
    count = 0
    for entry in directory.iterdir():
        if entry.name in LEFT_OUT or entry.name.startswith(".."):
            continue
        if entry.is_dir():
            yield from _walk(entry, (*above, here))
        elif entry.is_file():
            yield entry
        count += 1
        if count > MOST_FILES:
            return
